"""The walk over tiles against a full sort by (score, place)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec import kernels

numba = pytest.importorskip("taurec.kernels.topk.numba", reason="numba cannot be imported here")
best_of_scores, best_of_tables = numba.best_of_scores, numba.best_of_tables
pytestmark = pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba cannot compile here")
INF = np.inf


def both_ways(scores, users, k, places, seen=None, banned=None):
    """From scores, and from two tables whose products they are: one-hot users pick a column of the items."""
    user, item = torch.eye(len(scores)), torch.tensor(scores.T).contiguous()
    yield best_of_scores(torch.tensor(scores), users, k, places, seen, banned)
    if np.isfinite(scores).all():
        indptr, indices = (None, None) if seen is None else seen
        if seen is not None:  # of the rows of scores, not of the users
            indices = np.concatenate([indices[indptr[u] : indptr[u + 1]] for u in users])
            indptr = np.concatenate([[0], np.cumsum([indptr[u + 1] - indptr[u] for u in users])])
        of = None if seen is None else (indptr, indices)
        rows = np.arange(len(scores))
        yield best_of_tables(user, item, rows, k, places, of, banned)


def no_places():
    raise AssertionError("the tie order was asked for although nothing ties")


def slow(row, k, place, gone):
    order = sorted((i for i in range(len(row)) if i not in gone and row[i] > -INF), key=lambda i: (-row[i], place[i]))
    return (order + [-1] * k)[:k]


@pytest.mark.parametrize("n_items", [1, 7, 64, 65, 200, 1000])
@pytest.mark.parametrize("levels", [1, 3, 40, 10**6])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("missing", [False, True])
def test_equals_a_full_sort(n_items, levels, threads, missing, monkeypatch):
    monkeypatch.setattr(numba, "ROWS", 6)
    rng = np.random.default_rng(n_items * 100 + levels)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for k in {1, min(5, n_items), min(20, n_items)}:
        scores = (rng.integers(0, levels, (11, n_items)) - levels // 2).astype(np.float32)
        if missing:
            scores[rng.random(scores.shape) < 0.05] = -INF
            scores[3] = -INF
        users, place = rng.integers(0, 6, 11), rng.permutation(n_items)
        history = [np.flatnonzero(rng.random(n_items) < 0.2) for _ in range(6)]
        seen = np.concatenate([[0], np.cumsum([len(h) for h in history])]), np.concatenate(history)
        banned = rng.random(n_items) < 0.1
        for found in both_ways(scores, users, k, lambda place=place: torch.tensor(place), seen, banned):
            assert found.bad is None
            for row in range(11):
                gone = {*history[users[row]].tolist(), *np.flatnonzero(banned).tolist()}
                expected = slow(scores[row], k, place, gone)
                assert found.items[row].tolist() == expected
                assert found.scores[row].tolist() == [scores[row, i] if i >= 0 else -INF for i in expected]
    torch.set_num_threads(before)


@pytest.mark.parametrize("dim", [1, 3, 64, 100])
def test_products_are_summed_over_the_columns_in_order(dim):
    g = torch.Generator().manual_seed(dim)
    user, item = torch.randn(9, dim, generator=g), torch.randn(150, dim, generator=g)
    users = np.array([8, 0, 3, 3, 5])
    found = best_of_tables(user, item, users, 150, lambda: torch.arange(150))
    exact = (user.double() @ item.double().T).numpy()[users]
    assert np.array_equal(found.items, np.argsort(-exact, axis=1, kind="stable"))
    allowed = 4 * 2**-23 * np.abs(user.numpy()[users]).astype("f8") @ np.abs(item.numpy()).T.astype("f8")
    listed = np.take_along_axis(exact, found.items, 1)
    assert (np.abs(found.scores - listed) <= np.take_along_axis(allowed, found.items, 1)).all()


def test_continuous_scores_need_no_places_and_ties_ask_for_them():
    scores = np.random.default_rng(1).permutation(40 * 600).astype(np.float32).reshape(40, 600)
    users = np.arange(40)
    for found in both_ways(scores, users, 20, no_places):
        assert np.array_equal(found.items, np.argsort(-scores, axis=1)[:, :20])
    for item in (5, 599):  # inside the list, and across its end
        tied = scores.copy()
        tied[30, item] = tied[30, np.argsort(-scores[30])[19 if item == 599 else 3]]
        asked = []
        for _ in both_ways(tied, users, 20, lambda asked=asked: (asked.append(1), torch.arange(600))[1]):
            assert asked


def test_ties_below_the_list_do_not_matter():
    scores = np.concatenate([np.arange(100, 0, -1), np.zeros(200)]).astype(np.float32)[None]
    assert len(list(both_ways(scores, np.array([0]), 50, no_places))) == 2


@pytest.mark.parametrize("bad", [np.nan, -np.nan, INF])
@pytest.mark.parametrize("column", [0, 63, 64, 130])
def test_a_score_that_is_not_finite_is_found_unless_it_is_left_out(bad, column):
    scores = np.random.default_rng(2).random((3, 140)).astype(np.float32)
    scores[1, column] = bad
    item = torch.tensor(scores[1])[:, None]
    for way in ("scores", "tables"):

        def found(way=way, **left_out):
            if way == "scores":
                return best_of_scores(torch.tensor(scores), np.arange(3), 4, no_places, **left_out).bad
            user = torch.tensor([[1.0], [0.0], [1.0]])[:2]
            return best_of_tables(user, item, np.array([0]), 4, no_places, **left_out).bad

        row, at, value = found()
        assert (row, at) == (1 if way == "scores" else 0, column)
        assert np.isnan(value) == np.isnan(bad)
        assert found(banned=np.arange(140) == column) is None
        seen = (np.array([0, 0, 1, 1]) if way == "scores" else np.array([0, 1, 1])), np.array([column])
        assert found(seen=seen) is None
