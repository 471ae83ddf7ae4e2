"""Proposals: the alias table is exact, weights follow popularity, the rest of a user is drawn exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling.known import Known
from taurec.sampling.proposal import Even, Weighted, alias_table, by_popularity


def distribution(table) -> np.ndarray:
    """What an alias table draws, read off its entries."""
    keep = (table >> np.uint64(32)).astype(np.float64) / 2.0**32
    alias = (table & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return (keep + np.bincount(alias, 1 - keep, minlength=len(table))) / len(table)


def fits(counts, weights) -> bool:
    """Chi-square on fixed draws: a right sampler passes for 999 of 1,000 keys."""
    return len(counts) == 1 or stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-3


def test_alias_table_by_hand():
    """q = 1/2, 3/8, 1/8, 0 in quarters: buckets hold 2, 1.5, .5, 0; the third takes .5 from the first,
    the fourth needs 1 and gets it from the first too, which keeps .5 and takes .5 from the second."""
    table = alias_table(np.array([4, 3, 1, 0]) / 8)
    quarter = (table >> np.uint64(32)).astype(np.float64) / 2**32
    assert quarter == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=2**-31)
    assert (table & np.uint64(0xFFFFFFFF)).tolist() == [1, 1, 0, 0]


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=60))
@example([1.0, 2.0, 3.0, 4.0, 0.0])  # the first giver has nothing over
@example([1.0] * 7)
@example([1e9] + [1.0] * 50)
@example([3.0, 3.0, 1e-12, 0.0, 0.0, 5.0])
def test_alias_table_gives_back_the_distribution(weights):
    if sum(weights) == 0:
        weights = [1.0, *weights]
    q = np.array(weights) / np.sum(weights)
    assert distribution(alias_table(q)) == pytest.approx(q, abs=1e-9)  # rounding: 2**-32 an entry, sums of 60


def test_alias_table_of_a_long_skewed_tail():
    q = 1 / np.arange(1, 200_001) ** 1.2
    q = np.random.default_rng(0).permutation(q / q.sum())
    assert np.abs(distribution(alias_table(q)) - q).max() < 1e-12


def popular() -> Interactions:
    """Item counts 1, 2, 3, 4, 0 over four users."""
    pairs = [(u, j) for j, count in enumerate([1, 2, 3, 4]) for u in range(count)]
    train = Interactions.from_pairs([u for u, _ in pairs] + [4], [j for _, j in pairs] + [4])
    return train.take(train.indices < 4)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0, 2.0])
def test_probabilities_by_hand(alpha):
    q = by_popularity(Known(popular()), alpha).log_q(np.arange(5))
    weight = [c**alpha for c in (1, 2, 3, 4)] + [1.0 if alpha == 0 else 0.0]
    for j in range(5):
        expected = math.log(weight[j] / sum(weight)) if weight[j] else -math.inf
        assert float(q[j]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_pick_follows_the_probabilities(alpha):
    """50,000 words: more than one tile."""
    proposal = by_popularity(Known(popular()), alpha)
    words = draw.bits(draw.key(1, "test"), np.arange(50), 1000)
    counts = np.bincount(proposal.pick(words).ravel(), minlength=5)
    q = np.exp(proposal.log_q(np.arange(5)).astype(np.float64))
    seen = q > 0
    assert counts[~seen].sum() == 0
    assert fits(counts[seen], q[seen])


@pytest.mark.parametrize("make", [Even, lambda known: Weighted(known, 0.75)])
def test_pick_free_follows_the_rest(make):
    """User 1 has items 1, 2, 3 (counts 2, 3, 4): items 0 and 4 are left, of which 4 has no pairs."""
    train = popular()
    proposal = make(Known(train))
    for u in range(5):
        rest = np.setdiff1d(np.arange(5), train.items_of(u))
        q = np.exp(proposal.log_q(rest).astype(np.float64))
        assert proposal.left(np.array([u]))[0] == pytest.approx(q.sum(), rel=1e-6)
        if q.sum() == 0:
            continue
        ids = proposal.pick_free(np.full(20_000, u), draw.bits(draw.key(u, "test"), np.arange(20_000)))
        assert np.isin(ids, rest[q > 0]).all()
        counts = np.bincount(ids, minlength=5)[rest][q > 0]
        assert fits(counts, q[q > 0])


def test_the_smallest_word_does_not_pick_an_item_the_user_has():
    words = np.zeros(3, dtype=np.uint64)
    top = np.full(3, (1 << 64) - 1, dtype=np.uint64)
    proposal = Weighted(Known(log_with_first_items()), 1.0)
    assert proposal.pick_free(np.array([0, 1, 2]), words).tolist() == [1, 2, 0]
    assert proposal.pick_free(np.array([0, 1, 2]), top).tolist() == [2, 2, 1]


def log_with_first_items() -> Interactions:
    """User 0 has item 0; user 1 items 0 and 1; user 2 item 2."""
    return Interactions.from_pairs([0, 1, 1, 2], [0, 0, 1, 2])


def test_what_is_left_is_exactly_nothing_or_exactly_something():
    """User 0 has every item that occurs. In the second log a user lacks only an item of weight 1e-14."""
    train = popular()
    assert Weighted(Known(train), 0.75).left(np.array([0]))[0] == 0.0
    assert Even(Known(train)).left(np.array([0]))[0] == pytest.approx(0.2)
    users = np.concatenate([np.arange(100), np.arange(99)])
    skewed = Interactions.from_pairs([*users, 99], [0] * 100 + [1] * 99 + [2])
    left = Weighted(Known(skewed), 7.0).left(np.array([0]))[0]
    assert left == pytest.approx(1 / (100.0**7 + 99.0**7 + 1), rel=1e-9, abs=0)


@pytest.mark.parametrize("n_items", range(3, 23))
def test_a_user_with_every_item_has_exactly_nothing_left(n_items):
    """Sums of such weights miss 1 by rounding in many of these cases."""
    pairs = [(u, j) for j in range(n_items) for u in range(j + 1)]
    train = Interactions.from_pairs(*zip(*pairs, strict=True))
    left = Weighted(Known(train), 0.75).left(np.arange(n_items))
    assert left[0] == 0.0
    assert (left[1:] > 0).all()


def test_refuses_a_log_with_nothing_to_count():
    empty = popular().take(np.array([], dtype=np.int64))
    assert by_popularity(Known(empty), 0.0).log_q(np.array([0]))[0] == pytest.approx(-math.log(5))
    with pytest.raises(UsageError, match="no"):
        by_popularity(Known(empty), 0.75)
    with pytest.raises(UsageError, match="no items"):
        by_popularity(Known(Interactions.from_pairs([], [])), 0.0)
