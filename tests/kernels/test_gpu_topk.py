"""The K best items by Triton: against a full sort with ties, seen and banned items, compiled for a GPU."""

import numpy as np
import pytest
import torch
from tests.kernels.on_gpu import DEVICE, compiled, compiles, runs, signatures

from taurec.data.interactions import Interactions
from taurec.evaluation.lists import top_k
from taurec.ranker import EmbeddingRanker


def slow(row, k, place, gone):
    order = sorted((i for i in range(len(row)) if i not in gone), key=lambda i: (-row[i], place[i]))
    return (order + [-1] * k)[:k]


@runs
@pytest.mark.parametrize("n_items", [1, 40, 300, 600])
@pytest.mark.parametrize("levels", [2, 1000])
def test_equals_a_full_sort(n_items, levels):
    from taurec.kernels.topk import triton as gpu_topk

    rng = np.random.default_rng(n_items + levels)
    # small whole numbers: every score is exact, whatever the order of its sum
    user, item = (rng.integers(-levels, levels + 1, (n, 5)).astype(np.float32) for n in (18, n_items))
    place, banned = rng.permutation(n_items), rng.random(n_items) < 0.1
    history = [np.flatnonzero(rng.random(n_items) < 0.2) for _ in range(18)]
    seen = np.concatenate([[0], np.cumsum([len(h) for h in history])]), np.concatenate(history)
    users, k = rng.integers(0, 18, 20), min(7, n_items)
    on = [torch.from_numpy(a).to(DEVICE) for a in (user, item)]
    found = gpu_topk.best_of_tables(*on, users, k, lambda: torch.from_numpy(place), seen, banned)
    scores = user @ item.T
    assert found.bad is None
    for row, u in enumerate(users):
        gone = {*history[u].tolist(), *np.flatnonzero(banned).tolist()}
        expected = slow(scores[u], k, place, gone)
        assert found.items[row].tolist() == expected
        assert found.scores[row].tolist() == [scores[u, i] if i >= 0 else -np.inf for i in expected]


@runs
def test_evaluation_takes_it_with_the_same_lists():
    rng = np.random.default_rng(0)
    user, item = (rng.integers(-2, 3, (n, 4)).astype(np.float32) for n in (30, 310))
    log = Interactions.from_pairs(np.repeat(np.arange(30), 11), rng.permutation(330) % 310)
    given = {"seen": log, "without": [4, 9], "k": 6}
    ranker = EmbeddingRanker(user, item)
    here = top_k(ranker, np.arange(30), **given)
    there = top_k(ranker, np.arange(30), **given, device=torch.device(DEVICE), kernel="triton")
    assert np.array_equal(here.items, there.items)
    assert np.array_equal(here.scores, there.scores)


@runs
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy in the interpreter: rows beyond the last are 0 x inf
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_named(bad):
    from taurec.kernels.topk import triton as gpu_topk

    user, item = torch.ones(3, 2, device=DEVICE), torch.ones(300, 2, device=DEVICE)
    item[270, 1] = bad
    given = user, item, np.array([2, 0]), 5, lambda: torch.arange(300)
    row, at, value = gpu_topk.best_of_tables(*given).bad
    assert (row, at) == (0, 270)
    assert np.isnan(value) == np.isnan(bad)
    assert gpu_topk.best_of_tables(*given, banned=np.arange(300) == 270).bad is None


@compiles
def test_compiles_for_a_gpu():
    from taurec.kernels.topk import triton as gpu_topk

    for fixed in ({}, {"K": 1, "D": 16}):
        assert all(compiled(kernel, **given)["cubin"] for kernel, given in signatures(gpu_topk, **fixed))
