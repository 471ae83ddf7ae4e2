"""Orders of rows: each pair once, blocks whole, the same for the same seed; group sizes by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.sampling.batches import GroupSize, Shuffled, UserBlocks, group_size, mean_group_size


def log(counts: list[int]) -> Interactions:
    """User u has the items 0..counts[u] - 1."""
    user = np.repeat(np.arange(len(counts)), counts)
    item = np.concatenate([np.arange(c) for c in counts]) if counts else []
    names = [Vocabulary([str(k) for k in range(n)]) for n in (len(counts), max(counts, default=0))]
    return Interactions.from_pairs(user, item, *names)


def lists(bound, epoch=0) -> list[list[int]]:
    return [rows.tolist() for rows in bound.batches(epoch)]


CASES = [Shuffled(), UserBlocks(1), UserBlocks(3)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(3, 12), st.integers(0, 5), st.sampled_from(CASES))
def test_each_pair_once_in_batches_that_fit(counts, batch_size, epoch, order):
    bound = order.bind(log(counts), batch_size, seed=1)
    batches = lists(bound, epoch)
    assert sorted(row for rows in batches for row in rows) == list(range(sum(counts)))
    assert all(0 < len(rows) <= batch_size for rows in batches)
    assert bound.steps(epoch) == len(batches)
    assert lists(bound, epoch) == batches == lists(order.bind(log(counts), batch_size, seed=1), epoch)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 5), st.integers(0, 4), st.integers(0, 5))
def test_blocks_are_whole_and_batches_are_filled(counts, per_user, spare, epoch):
    """A batch is a run of blocks: a user's rows in it number whole blocks, and no block would still fit."""
    batch_size = per_user + spare
    batches = lists(UserBlocks(per_user).bind(log(counts), batch_size, seed=2), epoch)
    user_of = np.repeat(np.arange(len(counts)), counts)
    blocks = [np.split(user_of[rows], np.flatnonzero(np.diff(user_of[rows])) + 1) for rows in batches]
    for u, count in enumerate(counts):
        runs = [len(run) for batch in blocks for run in batch if run[0] == u]
        remainders = [run % per_user for run in runs if run % per_user]
        assert sum(runs) == count
        assert remainders == ([count % per_user] if count % per_user else [])
    assert all(len(rows) > batch_size - per_user for rows in batches[:-1])


@pytest.mark.parametrize("order", CASES, ids=str)
def test_epochs_and_seeds_differ(order):
    train = log([7, 5, 9, 3, 8])
    bound = order.bind(train, 6, seed=0)
    assert lists(bound, 0) != lists(bound, 1)
    assert lists(bound, 0) != lists(order.bind(train, 6, seed=1), 0)


def test_a_users_pairs_meet_others_each_epoch():
    """Four pairs of one user in blocks of two: each of the three ways to pair them comes equally often."""
    bound = UserBlocks(2).bind(log([4]), 2, seed=0)
    partners = [next(set(b) - {0} for b in lists(bound, epoch) if 0 in b).pop() for epoch in range(600)]
    assert stats.chisquare(np.bincount(partners, minlength=4)[1:]).pvalue > 1e-3


def test_blocks_come_in_any_order():
    """Three users with one block each: all six orders, equally often."""
    bound = UserBlocks(2).bind(log([2, 2, 2]), 2, seed=0)
    orders = [tuple(b[0] // 2 for b in lists(bound, epoch)) for epoch in range(1200)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_steps_do_not_disturb_a_running_epoch():
    bound = UserBlocks(2).bind(log([5, 4, 3]), 4, seed=0)
    whole = lists(bound, 0)
    running = bound.batches(0)
    first = next(running).tolist()
    bound.steps(1)
    assert [first, *(rows.tolist() for rows in running)] == whole


def test_last_partial_batch_is_kept():
    assert [len(b) for b in lists(Shuffled().bind(log([5, 5]), 4, seed=0))] == [4, 4, 2]


def test_group_size_by_hand():
    """Users of the rows: 0 0 0 1 1 2. First batch 0 0 1 (sizes 2, 1), second 0 1 2: rows with sizes
    2, 2, 1, 1, 1, 1: mean 8/6, two of six with a partner."""
    train = log([3, 2, 1])
    batches = [np.array([0, 1, 3]), np.array([2, 4, 5])]
    assert group_size(train, batches) == GroupSize(8 / 6, 2 / 6)
    assert mean_group_size(train, iter(batches)) == 8 / 6
    assert group_size(train, []) == GroupSize(0.0, 0.0)


def test_blocks_raise_the_group_size():
    """100 users of 8 pairs, batches of 40. Shuffled: 1 + 39 * 7 / 799 = 1.34 in expectation; blocks of 4:
    4 + (the user's other block among 9 of the other 199) * 4 = 4.18. Twenty epochs hold 16,000 rows."""
    train = log([8] * 100)
    for order, expected in ((Shuffled(), 1 + 39 * 7 / 799), (UserBlocks(4), 4 + 4 * 9 / 199)):
        bound = order.bind(train, 40, seed=0)
        got = np.mean([mean_group_size(train, bound.batches(epoch)) for epoch in range(20)])
        assert got == pytest.approx(expected, rel=0.02)


def test_refuses_sizes_that_cannot_be():
    train = log([3])
    with pytest.raises(UsageError, match="per_user must be at least 1"):
        UserBlocks(0)
    with pytest.raises(UsageError, match="per_user=4 rows does not fit a batch of 3"):
        UserBlocks(4).bind(train, 3, seed=0)
    for order in (Shuffled(), UserBlocks(1)):
        with pytest.raises(UsageError, match="batch_size"):
            order.bind(train, 0, seed=0)
