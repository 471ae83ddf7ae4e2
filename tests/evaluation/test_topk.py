"""The selection in a block against a full sort by (score, hash of the id, id)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from taurec.data.vocabulary import Vocabulary
from taurec.evaluation.topk import tie_ranks
from taurec.kernels.topk.reference import block_top_k

INF = float("inf")


def slow_order(ids):
    """Item indices in the order that settles ties, straight from the rule's words."""
    digest = [int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest(), "little") for i in ids]
    return sorted(range(len(ids)), key=lambda i: (digest[i], ids[i]))


def slow_top_k(row, k, place):
    return sorted(range(len(row)), key=lambda i: (-row[i], place[i]))[:k]


def no_ranks():
    raise AssertionError("the tie order was asked for although nothing ties")


def test_tie_ranks_follow_the_hash():
    ids = [f"item {n}" for n in range(300)] + ["ä", ""]
    assert np.argsort(tie_ranks(Vocabulary(ids))).tolist() == slow_order(ids)


def test_tie_order_does_not_depend_on_numbering():
    ids = np.array([str(n) for n in range(500)])
    shuffled = np.random.default_rng(0).permutation(500)
    assert np.array_equal(tie_ranks(Vocabulary(ids))[shuffled], tie_ranks(Vocabulary(ids[shuffled])))


@pytest.mark.parametrize("n_items", [1, 2, 7, 50, 255, 3000, 3009, 5119])
@pytest.mark.parametrize("levels", [1, 2, 5, 40, 10**6])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_equals_full_sort_with_many_ties(n_items, levels, k):
    if k > n_items:
        pytest.skip("the caller never asks for more columns than there are")
    rng = np.random.default_rng(n_items * 1000 + levels + k)
    scores = (rng.integers(0, levels, (9, n_items)) - levels // 2).astype(np.float32) / 8
    scores[rng.random(scores.shape) < 0.1] = -INF
    scores[0] = -INF
    ranks = torch.tensor(tie_ranks(Vocabulary([f"i{n}" for n in range(n_items)])))
    columns, values = block_top_k(torch.tensor(scores), k, lambda: ranks)
    place = ranks.tolist()
    for row in range(9):
        expected = slow_top_k(scores[row].tolist(), k, place)
        assert np.array_equal(values[row].numpy(), scores[row, expected])
        present = values[row].numpy() > -INF
        assert columns[row].numpy()[present].tolist() == np.array(expected)[present].tolist()


def test_equals_full_sort_on_continuous_scores_without_the_tie_order():
    scores = np.random.default_rng(1).permutation(40 * 6000).astype(np.float32).reshape(40, 6000)
    columns, values = block_top_k(torch.tensor(scores), 20, no_ranks)
    expected = np.argsort(-scores, axis=1)[:, :20]
    assert np.array_equal(columns.numpy(), expected)
    assert np.array_equal(values.numpy(), np.take_along_axis(scores, expected, 1))


def test_the_best_may_all_lie_in_one_group_or_in_the_remainder():
    scores = np.random.default_rng(2).permutation(2 * 5001).astype(np.float32).reshape(2, 5001)
    scores[0, 64:96] += 1e6
    scores[1, -9:] += 1e6
    columns, _ = block_top_k(torch.tensor(scores), 9, no_ranks)
    assert np.array_equal(columns.numpy(), np.argsort(-scores, axis=1)[:, :9])


def test_negative_zero_ties_with_zero():
    ranks = torch.tensor([2, 0, 1])
    columns, _ = block_top_k(torch.tensor([[0.0, -0.0, -1.0], [-0.0, 0.0, 0.0]]), 2, lambda: ranks)
    assert columns.tolist() == [[1, 0], [1, 2]]


@pytest.mark.parametrize("bad", [float("nan"), -float("nan"), INF])
@pytest.mark.parametrize("n_items", [30, 3000])
def test_a_score_that_is_not_a_number_comes_first_even_among_ties(bad, n_items):
    scores = torch.zeros(2, n_items)
    scores[1, 17] = torch.tensor(bad).copysign(torch.tensor(bad))
    columns, values = block_top_k(scores, 5, lambda: torch.arange(n_items))
    assert columns[1, 0] == 17
    assert not values[1, 0] < INF
    assert columns[0].tolist() == [0, 1, 2, 3, 4]
