"""Injected noise: counts by hand, then what no injection may do, then the distribution."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives, hold_out_false_negatives
from taurec.data.split import split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError


def made(n_users: int = 40, n_items: int = 60, seed: int = 0) -> Interactions:
    dense = np.random.default_rng(seed).random((n_users, n_items)) < 0.2
    user, item = np.nonzero(dense)
    return Interactions.from_pairs(
        user,
        item,
        Vocabulary.numbered(n_users),
        Vocabulary.numbered(n_items),
    )


def pairs(log: Interactions, where: object = slice(None)) -> set[tuple[int, int]]:
    return set(zip(log.user_of[where].tolist(), log.indices[where].tolist(), strict=True))


@pytest.mark.parametrize(
    ("rate", "counts"), [(0.0, [0, 0, 0]), (0.1, [1, 3, 0]), (0.34, [1, 11, 0]), (1.0, [1, 30, 0])]
)
def test_counts_by_hand(rate: float, counts: list[int]) -> None:
    # 1, 30 and 0 pairs
    train = Interactions.from_pairs([0] + [1] * 30, range(31), Vocabulary.numbered(3), Vocabulary.numbered(100))
    noisy = add_false_positives(train, rate)
    assert np.bincount(noisy.log.user_of[noisy.injected], minlength=3).tolist() == counts
    assert noisy.short == 0
    assert noisy.log.users is train.users
    assert noisy.log.items is train.items


def test_a_product_that_rounds_up_means_what_it_says() -> None:
    train = Interactions.from_pairs([0] * 100, range(100), Vocabulary.numbered(1), Vocabulary.numbered(200))
    assert 0.07 * 100 > 7
    assert int(add_false_positives(train, 0.07).injected.sum()) == 7


@pytest.mark.parametrize("rate", [0.1, 0.5, 2.0])
def test_truth_is_kept_and_no_observed_or_forbidden_pair_comes_in(rate: float) -> None:
    parts = split(made(), valid=0.2, test=0.2)
    noisy = add_false_positives(parts.train, rate, seed=3, forbidden=[parts.valid, parts.test])
    injected = pairs(noisy.log, noisy.injected)
    assert pairs(noisy.log, ~noisy.injected) == pairs(parts.train)
    assert not injected & (pairs(parts.train) | pairs(parts.valid) | pairs(parts.test))
    assert len(injected) == int(np.ceil(parts.train.user_counts * rate - 1e-9).sum()) - noisy.short


def test_a_user_who_owns_nearly_all_items_gets_those_left_and_the_rest_is_counted() -> None:
    train = Interactions.from_pairs([0] * 97, range(97), Vocabulary.numbered(1), Vocabulary.numbered(100))
    held = Interactions.from_pairs([0], [98], train.users, train.items)
    noisy = add_false_positives(train, 0.1, forbidden=[held])
    assert pairs(noisy.log, noisy.injected) == {(0, 97), (0, 99)}
    assert noisy.short == 10 - 2


def test_the_seed_decides_and_lower_rates_are_nested_in_higher_ones() -> None:
    train = made()
    by_rate = [add_false_positives(train, rate, seed=1) for rate in (0.1, 0.2, 0.5, 1.5)]
    sets = [pairs(n.log, n.injected) for n in by_rate]
    assert all(a < b for a, b in pairwise(sets))
    again = add_false_positives(train, 0.2, seed=1)
    assert pairs(again.log, again.injected) == sets[1]
    other = add_false_positives(train, 0.2, seed=2)
    assert pairs(other.log, other.injected) != sets[1]


def test_every_set_of_free_items_is_alike() -> None:
    n = 6000  # each user has item 0 and may get 2 of the items 1..4: six sets
    train = Interactions.from_pairs(range(n), [0] * n, Vocabulary.numbered(n), Vocabulary.numbered(5))
    noisy = add_false_positives(train, 2.0, seed=5)
    drawn = noisy.log.indices[noisy.injected].reshape(n, 2)
    counts = [int((drawn == two).all(axis=1).sum()) for two in combinations(range(1, 5), 2)]
    assert sum(counts) == n
    assert chisquare(counts).pvalue > 1e-3


def test_injected_pairs_look_like_their_users_own() -> None:
    train = made()
    train = Interactions.from_pairs(
        train.user_of, train.indices, train.users, train.items, time=train.user_of * 10.0, weight=train.user_of + 1.0
    )
    noisy = add_false_positives(train, 0.3)
    assert noisy.log.time is not None
    assert noisy.log.weight is not None
    assert (noisy.log.time == noisy.log.user_of * 10.0).all()
    assert (noisy.log.weight == noisy.log.user_of + 1.0).all()  # nothing was merged and summed


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_bad_rate_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="rate must be 0 or more"):
        add_false_positives(made(), rate)


def test_parts_of_another_log_are_refused() -> None:
    with pytest.raises(UsageError, match="other vocabularies"):
        add_false_positives(made(), 0.1, forbidden=[made(n_items=59)])


def test_a_log_without_pairs_stays_empty() -> None:
    train = made().take([])
    assert len(add_false_positives(train, 0.5).log) == 0


def test_held_out_positives_leave_the_training_part() -> None:
    # 1, 4, 10 and 30 pairs at a share of 0.1: floor(n / 10 + 1/2) is 0, 0, 1, 3
    user = [0] + [1] * 4 + [2] * 10 + [3] * 30
    train = Interactions.from_pairs(user, range(45), Vocabulary.numbered(4), Vocabulary.numbered(45))
    parts = hold_out_false_negatives(train, 0.1, seed=2)
    assert parts.held.user_counts.tolist() == [0, 0, 1, 3]
    assert not pairs(parts.train) & pairs(parts.held)
    assert pairs(parts.train) | pairs(parts.held) == pairs(train)
    assert pairs(hold_out_false_negatives(train, 0.1, seed=3).held) != pairs(parts.held)
    assert hold_out_false_negatives(train, 0.9).train.user_counts.min() == 1
    with pytest.raises(UsageError, match="share must be"):
        hold_out_false_negatives(train, 1.0)
