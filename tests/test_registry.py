from __future__ import annotations

from dataclasses import dataclass

import pytest

from taurec.errors import UsageError, did_you_mean
from taurec.registry import Registry


@dataclass(frozen=True)
class Thing:
    n: int = 1
    rates: tuple[float, ...] = (0.5,)
    sharp: bool = False


def factory(log: object, /, dim: int = 64, seed: int = 0) -> tuple[object, int, int]:
    return log, dim, seed


THINGS: Registry[object] = Registry("thing", {"thing": Thing, "made": factory}, runtime=frozenset({"seed"}))


def test_values_follow_the_signature_in_order_and_by_name() -> None:
    assert THINGS.build("thing:3:0.1,0.2") == Thing(3, (0.1, 0.2))
    assert THINGS.build("thing", given={"sharp": "true"}) == Thing(sharp=True)
    assert THINGS.build("thing:3", given={"n": 5}) == Thing(5)


def test_the_program_supplies_runtime_parameters_and_the_user_cannot() -> None:
    assert THINGS.build("made:8", "log", seed=7) == ("log", 8, 7)
    assert THINGS.build("thing", seed=7) == Thing()
    assert list(THINGS.settings("made")) == ["dim"]
    with pytest.raises(UsageError, match="no setting 'seed'"):
        THINGS.build("made", "log", given={"seed": 3})


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("thin", {}, "unknown thing 'thin'; did you mean 'thing'"),
        ("thing:1:2:true:9", {}, "at most 3 values"),
        ("thing:x", {}, r"thing\.n: .*integer.*got 'x'"),
        ("thing", {"ratse": 1}, "did you mean 'rates'"),
        ("thing:1.5", {}, r"thing\.n"),
        ("thing:n=2", {}, r"have no names and come in the order n, .*; give one by its name as --set thing\.n=2"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_nearest_right_one(text: str, given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        THINGS.build(text, given=given)


def test_did_you_mean_lists_what_is_accepted_when_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["bpr", "sl"]) == " (accepted: bpr, sl)"
