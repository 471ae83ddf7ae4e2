"""Cleaning: it wins where there is something to win, says clean where there is not, and never asks the test part."""

from __future__ import annotations

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import Split, split_given
from taurec.errors import UsageError
from taurec.studies.audit.fix import Fix, _first_rows, fix

FIELDS = {"epochs": 25, "threads": 1, "settings": {"backbone": {"dim": 16}}}


def parts_of(noise: float) -> tuple[Split, np.ndarray]:
    world = planted(n_users=200, n_items=100, n_groups=4, per_user=10, noise=noise, withheld=4, seed=2)
    parts = split_given(world.log, world.withheld, valid=0.2)
    return parts, world.user_group[parts.train.user_of] != world.item_group[parts.train.indices]


@pytest.fixture(scope="module")
def noisy() -> tuple[Fix, np.ndarray]:
    parts, false = parts_of(0.25)
    return fix(parts, ("mf:sl",), seeds=1, judge="itemknn", metrics=("recall@20",), fields=FIELDS), false


def test_a_noisy_world_gains_and_random_removal_does_not(noisy: tuple[Fix, np.ndarray]) -> None:
    found, false = noisy
    assert not found.clean
    (gain,) = found.gains
    for paired in (gain.valid, gain.gain["ndcg@20"], gain.over_control["ndcg@20"]):
        assert paired.difference.low is not None
        assert paired.difference.low > 0
    assert gain.control["ndcg@20"].difference.mean < gain.gain["ndcg@20"].difference.mean
    assert false[found.removed].mean() > 0.7
    assert found.removed.sum() in [rows for rows, _ in found.tried]
    assert 0.2 * false.sum() < found.removed.sum() < 1.25 * false.sum()
    assert found.verdict()[0].startswith(f"{found.removed.sum():,} rows (")
    values = gain.test
    assert gain.gain["ndcg@20"].difference.mean == pytest.approx(
        values["cleaned"]["ndcg@20"] - values["all rows"]["ndcg@20"]
    )
    assert set(found.document()["models"][0]["gain"]) == {"ndcg@20", "recall@20"}


def test_the_cleaned_log_keeps_what_was_not_judged(noisy: tuple[Fix, np.ndarray]) -> None:
    found, _ = noisy
    train, valid = found.split.train, found.split.valid
    log = train.union(valid)
    timed = Interactions.from_pairs(log.user_of, log.indices, log.users, log.items, np.arange(len(log)) * 1.0)
    cleaned = found.cleaned(timed)
    assert len(cleaned) == len(log) - found.removed.sum()
    assert cleaned.contains(valid.user_of, valid.indices).all()
    out = train.take(found.removed)
    assert not cleaned.contains(out.user_of, out.indices).any()
    assert cleaned.time is not None
    assert (found.split.train.take(~found.removed).user_counts[train.user_counts > 0] > 0).all()


def test_a_clean_world_is_clean_and_nothing_is_trained() -> None:
    parts, _ = parts_of(0.0)
    said: list[str] = []
    found = fix(parts, ("mf:sl",), judge="itemknn", on_progress=said.append)
    assert found.clean
    assert found.gains == ()
    assert not found.removed.any()
    assert found.verdict()[0].startswith("Clean enough: about 0.0% look like chance")
    assert not [line for line in said if line.startswith("mf")]


def test_a_model_that_gains_nothing_on_validation_leaves_the_log_alone() -> None:
    parts, _ = parts_of(0.1)
    found = fix(parts, ("popularity",), judge="itemknn", fields={"threads": 1})
    assert found.clean
    assert found.verdict()[0].startswith("Clean enough for popularity: training without the")
    assert found.gains[0].test == {}
    whole = round(found.audit.shares.false_positives.mean * len(parts.train))
    assert [rows for rows, _ in found.tried] == [round(whole / 4), round(whole / 2), whole]
    assert found.gains[0].valid is max((gain for _, gain in found.tried), key=lambda gain: gain.difference.mean)


def test_a_share_that_was_asked_for_is_removed() -> None:
    parts, _ = parts_of(0.0)
    found = fix(parts, ("ease",), share=0.1, seeds=2, judge="itemknn", fields={"threads": 1})
    assert found.removed.sum() == round(0.1 * len(parts.train))
    assert not found.clean
    assert list(found.gains[0].test) == ["all rows", "cleaned", "random rows removed"]


def test_the_test_part_chooses_nothing() -> None:
    parts, _ = parts_of(0.25)
    other = Split(parts.train, parts.valid, parts.test.take(np.arange(len(parts.test)) % 2 == 0), parts.how)
    ask = {"judge": "itemknn", "fields": {"threads": 1}, "share": None}
    one, two = (fix(p, ("itemknn",), **ask) for p in (parts, other))  # type: ignore[arg-type]
    assert one.clean == two.clean
    np.testing.assert_array_equal(one.removed, two.removed)


def test_each_user_keeps_a_row() -> None:
    log = Interactions.from_pairs([0, 0, 0, 1, 2, 2], [0, 1, 2, 0, 0, 1])
    chosen = _first_rows(log, np.array([3, 0, 1, 2, 4, 5]), 3)
    assert chosen.nonzero()[0].tolist() == [0, 1, 4]
    assert _first_rows(log, np.arange(6), 99).sum() == 3


def test_wrong_requests() -> None:
    parts, _ = parts_of(0.0)
    with pytest.raises(UsageError, match="share must lie between 0 and 1"):
        fix(parts, share=1.0)
    with pytest.raises(UsageError, match="at least one model"):
        fix(parts, ())
    with pytest.raises(UsageError, match="has none"):
        fix(Split(parts.train, parts.train.take([]), parts.test, "none"), ("ease",))
