"""The compiled draws are the plain draws."""

import numpy as np
import pytest

from taurec import draw, kernels
from taurec.kernels import draws


@pytest.mark.parametrize("n_items", [1, 2, 38048, 2**31 + 11, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 7])
def test_values_are_those_of_draw(n_items, start, monkeypatch):
    rows = np.array([0, 1, 5, 5, 10**12, 2**62])
    stream = draw.key(3, "negatives", 2)
    expected = draw.integers(stream, rows, n_items, 33, start)
    monkeypatch.setattr(draws, "WORTH", 0)
    assert np.array_equal(draws.uniform_ids(stream, rows, n_items, 33, start), expected)


def test_many_rows_and_none():
    rows = np.arange(5000)[::-1]
    assert np.array_equal(draws.uniform_ids(9, rows, 1000, 70), draw.integers(9, rows, 1000, 70))
    assert draws.uniform_ids(9, rows[:0], 10, 4).shape == (0, 4)
    assert draws.uniform_ids(9, rows[:3], 10, 0).shape == (3, 0)


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(draws, "WORTH", 0)
    monkeypatch.setattr(kernels, "available", lambda: {"numba": "no"})
    assert np.array_equal(draws.uniform_ids(9, [4], 10, 6), draw.integers(9, [4], 10, 6))


@pytest.mark.parametrize(("n_users", "n_items", "rows", "n"), [(7, 64, 300, 90), (3, 1, 5000, 4), (40, 1000, 64, 256)])
def test_membership_is_that_of_sets(n_users, n_items, rows, n):
    rng = np.random.default_rng(n)
    have = [np.unique(rng.integers(0, n_items, rng.integers(0, 2 * n_items))) for _ in range(n_users - 1)] + [[]]
    indptr, indices = np.cumsum([0, *map(len, have)]), np.concatenate(have).astype(np.int64)
    indices.setflags(write=False)  # as those of a log
    sets, user = [set(items) for items in map(list, have)], rng.integers(0, n_users, rows)
    own, common = rng.integers(0, n_items, (rows, n)), rng.integers(0, n_items, n)
    for ids, row in ((own, list), (common, lambda _: common.tolist())):
        found = draws.member(indptr, indices, n_items, user, ids)
        assert found.tolist() == [[i in sets[u] for i in row(mine)] for u, mine in zip(user, own.tolist(), strict=True)]


def test_membership_of_few_ids():
    assert draws.member(np.array([0, 1]), np.array([0]), 2, np.array([0]), np.array([[0, 1]])).tolist() == [
        [True, False]
    ]


@pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")
def test_ids_without_known_items_are_the_same_in_any_kernel():
    """Users with no item, one, most (all rounds draw one of them) and all."""
    indptr, indices = np.array([0, 0, 1, 10, 20]), np.concatenate([[4], np.delete(np.arange(10), 7), np.arange(10)])
    rows, user = np.arange(400) * 7, np.arange(400) % 4
    given = 11, rows, 10, 6, user, indptr, indices, 3
    plain, fast = (draws.uniform_ids_without(*given, kernel=k) for k in ("torch", "numba"))
    assert np.array_equal(plain, fast)
    assert (plain[3::4] == -1).all()
    assert set(plain[2::4].ravel()) == {-1, 7}
