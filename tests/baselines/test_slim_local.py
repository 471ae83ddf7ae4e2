"""Ridge regression on a neighbourhood: golden values, its limit EASE, the kernel against the reference, and bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from taurec.baselines import EASE, LocalSLIM, memory, slim_local
from taurec.data.interactions import Interactions
from taurec.errors import ResourceError, UsageError
from taurec.kernels.solve import solve_neighbours

T5 = Interactions.from_pairs([0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4], [0, 1, 0, 1, 2, 1, 2, 2, 3, 0, 3])


def random_log(users: int = 300, items: int = 70, pairs: int = 2500, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    return Interactions.from_pairs(rng.integers(0, users, pairs), (items * rng.random(pairs) ** 1.7).astype(int))


def test_golden_values() -> None:
    """Of two neighbours at the same cosine, k=1 keeps the one with the lower number; items 0 and 2 never meet."""
    two = LocalSLIM(k=2, l2=2, rows=0).fit(T5).weights().toarray()
    np.testing.assert_allclose(
        two, [[0, 1 / 3, 0, 1 / 6], [0.4, 0, 0.4, 0], [0, 1 / 3, 0, 1 / 6], [0.25, 0, 0.25, 0]], atol=1e-7
    )
    one = LocalSLIM(k=1, l2=2, rows=0).fit(T5).weights().toarray()
    np.testing.assert_allclose(one, [[0, 0.4, 0, 0.4 * 0.5], [0.4, 0, 0.4, 0], [0, 0, 0, 0], [0, 0, 0, 0]], atol=1e-7)


@pytest.mark.parametrize("log", [T5, random_log()], ids=["T5", "random"])
def test_all_items_as_neighbours_are_ease(log) -> None:
    for k in (log.n_items - 1, 10**6):
        w = LocalSLIM(k=k, l2=2.0, rows=0.0, fill=True).fit(log).weights().toarray()
        np.testing.assert_allclose(w, EASE(2.0).fit(log).weights(), rtol=2e-5, atol=1e-7)


def test_each_column_is_a_ridge_regression_on_its_nearest_items() -> None:
    """The definition with numpy, for a weighted Gram matrix without equal cosines at the k-th place."""
    log, k = random_log(), 9
    x = log.csr().toarray().astype(float)
    gram = x.T @ (x * log.user_counts[:, None] ** -0.7)
    cosine = gram / np.sqrt(np.outer(np.diagonal(gram), np.diagonal(gram)))
    np.fill_diagonal(cosine, -1)
    w = LocalSLIM(k=k, l2=1.5, rows=0.7).fit(log).weights().toarray()
    for j in range(log.n_items):
        order = np.argsort(-cosine[j])
        assert cosine[j, order[k - 1]] > cosine[j, order[k]]
        near = order[:k]
        expected = np.zeros(log.n_items)
        expected[near] = np.linalg.solve(gram[np.ix_(near, near)] + 1.5 * np.eye(k), gram[near, j])
        np.testing.assert_allclose(w[:, j], expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("k", [1, 6, 40])
def test_the_compiled_loop_is_held_to_the_reference(k, fill) -> None:
    """Also for items without users, with fewer than k neighbours, and with many equal cosines."""
    rng = np.random.default_rng(1)
    x = rng.random((60, 41)) < np.linspace(0.0, 0.3, 41)
    seen = csr_array(x.astype(float))
    turned = csr_array(seen.T.tocsr())
    rows, columns = ((m.indptr.astype(np.int64), m.indices.astype(np.int64)) for m in (seen, turned))
    for weight in (np.ones(60), rng.random(60) + 0.1):
        given = (np.arange(41), rows, columns, weight, weight @ x, k, 0.8, fill)
        near, found = solve_neighbours(*given, kernel="numba")
        expected_near, expected = solve_neighbours(*given, kernel="torch")
        np.testing.assert_array_equal(near, expected_near)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_equal_neighbours_at_the_last_place_are_those_with_the_lower_number() -> None:
    log = Interactions.from_pairs(np.zeros(30, dtype=int), np.arange(30))
    w = LocalSLIM(k=5).fit(log).weights().toarray()
    for j in range(30):
        assert np.flatnonzero(w[:, j]).tolist() == [i for i in range(7) if i != j][:5]


def test_same_bits_for_any_number_of_threads() -> None:
    log = random_log(users=500, items=400, pairs=6000)
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            seen.append(LocalSLIM(k=20, l2=3.0, rows=0.5).fit(log).weights())
    finally:
        torch.set_num_threads(before)
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(*(getattr(w, part) for w in seen))


def test_memory_grows_with_the_items_alone() -> None:
    small, large = (Interactions.from_pairs([0, n - 1], [0, n - 1]) for n in (1000, 100_000))
    model = LocalSLIM(k=50)
    assert model.fit_cost(large).bytes / model.fit_cost(small).bytes == pytest.approx(100, rel=0.01)
    assert model.fit_cost(large).bytes >= 24 * 100_000 * 50


def test_time_is_that_of_some_regressions_for_all_items_and_of_the_scores(monkeypatch) -> None:
    log = random_log(items=500)
    solved: list[int] = []

    def solver(self, train):
        return lambda items: solved.append(len(items))

    monkeypatch.setattr(LocalSLIM, "_solver", solver)
    monkeypatch.setattr(slim_local, "_FORECAST_ITEMS", 50)
    monkeypatch.setattr(slim_local.time, "perf_counter", itertools.count(step=2).__next__)
    scores = slim_local._SECONDS_OF_SUM * (len(log) * 20 + log.n_users * log.n_items)
    assert LocalSLIM(k=20).fit_cost(log).seconds == pytest.approx(2 * log.n_items / 50 + scores)
    assert set(solved) == {50}


def test_what_does_not_fit_is_refused_with_the_figure(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(ResourceError, match=r"LocalSLIM on 4 items with k=100 needs .* use a smaller k"):
        LocalSLIM().fit(T5)
    with pytest.raises(ResourceError, match="use slim-local"):
        EASE().fit(T5)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"k": 0}, {"l2": 0.0}, {"rows": float("nan")}):
        with pytest.raises(UsageError, match="LocalSLIM"):
            LocalSLIM(**wrong)
