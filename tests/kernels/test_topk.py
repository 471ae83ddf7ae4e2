"""The walk over tiles against a full sort by (score, place)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec.kernels import topk
from taurec.kernels.topk import best_of_tiles

pytestmark = pytest.mark.skipif(not topk.usable(), reason="numba cannot compile here")
INF = np.inf


def cut(scores, width):
    return [(a, torch.tensor(scores[:, a : a + width])) for a in range(0, scores.shape[1], width)]


def slow(row, k, place, gone):
    order = sorted((i for i in range(len(row)) if i not in gone and row[i] > -INF), key=lambda i: (-row[i], place[i]))
    return (order + [-1] * k)[:k]


@pytest.mark.parametrize("n_items", [1, 7, 64, 65, 200, 1000])
@pytest.mark.parametrize("levels", [1, 3, 40, 10**6])
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_a_full_sort_however_the_tiles_are_cut(n_items, levels, threads):
    rng = np.random.default_rng(n_items * 100 + levels)
    torch.set_num_threads(threads)
    for k, width in ((1, 64), (min(5, n_items), 130), (min(20, n_items), n_items)):
        scores = (rng.integers(0, levels, (11, n_items)) - levels // 2).astype(np.float32)
        scores[rng.random(scores.shape) < 0.05] = -INF
        scores[3] = -INF
        users, place = rng.integers(0, 6, 11), rng.permutation(n_items)
        history = [np.flatnonzero(rng.random(n_items) < 0.2) for _ in range(6)]
        seen = np.concatenate([[0], np.cumsum([len(h) for h in history])]), np.concatenate(history)
        banned = rng.random(n_items) < 0.1
        found = best_of_tiles(cut(scores, width), users, k, seen, banned, place)
        assert found.bad is None
        assert not found.tied
        for row in range(11):
            gone = {*history[users[row]].tolist(), *np.flatnonzero(banned).tolist()}
            expected = slow(scores[row], k, place, gone)
            assert found.items[row].tolist() == expected
            assert found.scores[row].tolist() == [scores[row, i] if i >= 0 else -INF for i in expected]


def test_continuous_scores_need_no_places_and_ties_say_so():
    scores = np.random.default_rng(1).permutation(40 * 600).astype(np.float32).reshape(40, 600)
    users = np.arange(40)
    found = best_of_tiles(cut(scores, 128), users, 20)
    assert not found.tied
    assert np.array_equal(found.items, np.argsort(-scores, axis=1)[:, :20])
    for item in (5, 599):  # inside the list, and across its end
        tied = scores.copy()
        tied[30, item] = tied[30, found.items[30, 19 if item == 599 else 3]]
        assert best_of_tiles(cut(tied, 128), users, 20).tied


def test_ties_below_the_list_do_not_matter():
    scores = np.concatenate([np.arange(100, 0, -1), np.zeros(200)]).astype(np.float32)[None]
    assert not best_of_tiles(cut(scores, 64), np.array([0]), 50).tied


@pytest.mark.parametrize("bad", [np.nan, -np.nan, INF])
@pytest.mark.parametrize("column", [0, 63, 64, 130])
def test_a_score_that_is_not_finite_is_found_unless_it_is_left_out(bad, column):
    scores = np.random.default_rng(2).random((3, 140)).astype(np.float32)
    scores[1, column] = bad
    row, item, value = best_of_tiles(cut(scores, 70), np.arange(3), 4).bad
    assert (row, item) == (1, column)
    assert np.isnan(value) == np.isnan(bad)
    banned = np.arange(140) == column
    assert best_of_tiles(cut(scores, 70), np.arange(3), 4, banned=banned).bad is None
    seen = np.array([0, 0, 1, 1]), np.array([column])
    assert best_of_tiles(cut(scores, 70), np.arange(3), 4, seen).bad is None
