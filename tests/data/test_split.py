"""Splits: hand-worked cases, then the laws every way to split obeys."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.data.interactions import Interactions
from taurec.data.split import HOWS, Split, split, split_given
from taurec.errors import DataError, UsageError


@st.composite
def logs(draw: st.DrawFn) -> Interactions:
    rows = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30), st.integers(0, 9)), min_size=2, max_size=80))
    u, i, t = (np.array([row[k] for row in rows]) for k in range(3))
    return Interactions.from_pairs(u, i, time=t, weight=t + 1.0)


def pairs(log: Interactions) -> dict[tuple[int, int], tuple[float, float]]:
    assert log.time is not None
    assert log.weight is not None
    keys = zip(log.user_of.tolist(), log.indices.tolist(), strict=True)
    return dict(zip(keys, zip(log.time.tolist(), log.weight.tolist(), strict=True), strict=True))


def parts(s: Split) -> tuple[Interactions, ...]:
    return tuple(s.logs().values())


@pytest.mark.parametrize("how", ["ratio", "leave-last-one", "time", "users", "none"])
@given(log=logs(), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_parts_are_disjoint_and_together_the_log(how: str, log: Interactions, seed: int) -> None:
    try:
        found = parts(split(log, how, seed=seed))
    except DataError:
        assert how in ("time", "users")
        return
    dicts = [pairs(part) for part in found]
    assert sum(map(len, dicts)) == len(log)
    assert {k: v for d in dicts for k, v in d.items()} == pairs(log)
    assert all(part.users is log.users and part.items is log.items for part in found)
    again = [pairs(part) for part in parts(split(log, how, seed=seed))]
    assert again == dicts


@pytest.mark.parametrize("how", ["ratio", "leave-last-one"])
@given(log=logs())
@settings(deadline=None, max_examples=60)
def test_each_user_keeps_a_training_item(how: str, log: Interactions) -> None:
    train = split(log, how, valid=0.4, test=0.5).train
    assert ((train.user_counts > 0) == (log.user_counts > 0)).all()


@pytest.mark.parametrize(
    ("n", "valid", "test", "sizes"),
    [
        (1, 0.1, 0.1, (1, 0, 0)),
        (4, 0.1, 0.1, (4, 0, 0)),
        (5, 0.1, 0.1, (3, 1, 1)),
        (10, 0.1, 0.1, (8, 1, 1)),
        (14, 0.1, 0.1, (12, 1, 1)),
        (15, 0.1, 0.1, (11, 2, 2)),
        (2, 0.4, 0.5, (1, 0, 1)),
        (10, 0.0, 0.2, (8, 0, 2)),
        (10, 0.2, 0.0, (8, 2, 0)),
    ],
)
def test_ratio_rounds_half_up_per_user(n: int, valid: float, test: float, sizes: tuple[int, int, int]) -> None:
    log = Interactions.from_pairs([0] * n, range(n))
    assert tuple(map(len, parts(split(log, valid=valid, test=test)))) == sizes


def test_ratio_is_random_and_seeded() -> None:
    log = Interactions.from_pairs(np.repeat(np.arange(50), 20), np.tile(np.arange(20), 50))
    first, second = split(log, seed=1).test, split(log, seed=2).test
    assert not np.array_equal(first.indices, second.indices)
    # 100 test pairs over 20 items: each item about 5 times; the chance of any above 16 is below 1e-3.
    assert first.item_counts.max() <= 16


def test_leave_last_one_by_time() -> None:
    log = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 0], time=[9.0, 3.0, 5.0, 2.0, 1.0, 7.0])
    s = split(log, "leave-last-one")
    assert sorted(pairs_of(s.test)) == [(0, 0), (1, 0)]
    assert sorted(pairs_of(s.valid)) == [(0, 2)]
    assert sorted(pairs_of(s.train)) == [(0, 1), (1, 1), (2, 0)]
    assert len(split(log, "leave-last-one", valid=0.0).valid) == 0


def pairs_of(log: Interactions) -> list[tuple[int, int]]:
    return list(zip(log.user_of.tolist(), log.indices.tolist(), strict=True))


def test_leave_last_one_needs_times_or_leave_to_draw() -> None:
    log = Interactions.from_pairs([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    with pytest.raises(DataError, match="has none; name the time column"):
        split(log, "leave-last-one")
    s = split(log, "leave-last-one", random=True)
    assert [part.user_counts.tolist() for part in parts(s)] == [[1, 1], [1, 1], [1, 1]]
    drawn = {tuple(split(log, "leave-last-one", random=True, seed=n).test.indices) for n in range(20)}
    assert len(drawn) > 4


def test_time_cuts_globally_and_never_within_an_instant() -> None:
    log = Interactions.from_pairs([0] * 10, range(10), time=[1, 2, 3, 4, 5, 6, 7, 8, 8, 8])
    s = split(log, "time", valid=0.2, test=0.2)
    # Two of ten belong to the test, but 8 is one instant and goes to the older part.
    assert [part.indices.tolist() for part in parts(s)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9], []]
    s = split(log, "time", valid=0.2, test=0.3)
    assert [part.indices.tolist() for part in parts(s)] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]


@given(log=logs())
@settings(deadline=None, max_examples=60)
def test_time_parts_follow_each_other(log: Interactions) -> None:
    try:
        s = split(log, "time", valid=0.2, test=0.2)
    except DataError:
        return
    times = [part.time for part in parts(s) if len(part)]
    for older, newer in pairwise(times):
        assert older is not None
        assert newer is not None
        assert older.max() < newer.min()


def test_time_names_users_that_were_never_trained_on() -> None:
    log = Interactions.from_pairs([0] * 8 + [1, 1], [*range(8), 0, 9], time=range(10))
    s = split(log, "time", valid=0.0, test=0.2)
    assert s.notes == ("1 user has test rows and no training row", "1 item has test rows and no training row")


def test_time_without_times() -> None:
    with pytest.raises(DataError, match="the log has none"):
        split(Interactions.from_pairs([0, 0], [0, 1]), "time")


def test_files_cut_validation_from_training() -> None:
    log = Interactions.from_pairs(np.repeat(np.arange(4), 11), np.tile(np.arange(11), 4))
    train, test = log.take(log.indices < 10), log.take(log.indices == 10)
    for s in (split_given(train, test, seed=3), split(train, "files", test_log=test, seed=3)):
        assert s.how == "files"
        assert s.test is test
        assert s.valid.user_counts.tolist() == [1, 1, 1, 1]
        assert s.train.union(s.valid).indices.tolist() == train.indices.tolist()
    with pytest.raises(UsageError, match="different vocabularies"):
        split_given(train, Interactions.from_pairs([0], [10]))


def test_adding_a_later_user_does_not_change_the_earlier_ones() -> None:
    one = Interactions.from_pairs([0] * 20, range(20))
    two = Interactions.from_pairs([0] * 20 + [1] * 20, [*range(20)] * 2)
    assert split(one).test.indices.tolist() == split(two).test.items_of(0).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"how": "ration"}, "unknown split 'ration'; did you mean 'ratio'"),
        ({"test": 1.0}, "test must be a share"),
        ({"valid": -0.1}, "valid must be a share"),
        ({"valid": 0.5, "test": 0.5}, "must leave a training part"),
        ({"random": True}, "belongs to leave-last-one"),
        ({"how": "files"}, "belong together"),
    ],
)
def test_requests_that_cannot_be_met(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(Interactions.from_pairs([0, 0], [0, 1]), **arguments)  # type: ignore[arg-type]


def test_none_trains_on_everything() -> None:
    log = Interactions.from_pairs([0, 0], [0, 1])
    assert [len(part) for part in parts(split(log, "none"))] == [2, 0, 0]
    assert set(HOWS) == {"ratio", "leave-last-one", "time", "users", "files", "none"}


def test_a_time_split_whose_newest_instant_is_too_full_says_so():
    log = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1], time=[1, 2, 2, 2])
    parts = split(log, "time", valid=0.25, test=0.25)
    assert not len(parts.test)
    assert any("test part is empty" in note for note in parts.notes)
