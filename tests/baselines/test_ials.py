from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from taurec.baselines import IALS
from taurec.data.interactions import Interactions
from taurec.errors import UsageError


def random_x(users: int = 40, items: int = 23) -> np.ndarray:
    x = (np.random.default_rng(0).random((users, items)) < 0.3).astype(float)
    x[5] = 0  # a user without items
    return x


def objective(x: np.ndarray, w: np.ndarray, h: np.ndarray, alpha: float, l2: float, nu: float) -> float:
    s = w @ h.T
    ridge_w = (x.sum(1) + alpha * x.shape[1]) ** nu * (w**2).sum(1)
    ridge_h = (x.sum(0) + alpha * x.shape[0]) ** nu * (h**2).sum(1)
    return float((x * (s - 1) ** 2).sum() + alpha * (s**2).sum() + l2 * (ridge_w.sum() + ridge_h.sum()))


def test_a_half_step_by_hand() -> None:
    """d = 1, items h = (1, 2), alpha = .5, l2 = .1, nu = 1; a user with item 1.

    w = 2 / (4 + .5 * (1 + 4) + .1 * (1 + .5 * 2)) = 2 / 6.7
    """
    model = IALS(dim=1, alpha=0.5, l2=0.1)
    w = model.half_step(csr_array(np.array([[0.0, 1.0], [1.0, 1.0]])), np.array([[1.0], [2.0]]))
    np.testing.assert_allclose(w, [[2 / 6.7], [3 / (5 + 2.5 + 0.1 * 3)]], rtol=1e-15)


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("dim", [1, 6, 8, 19])
def test_a_half_step_solves_the_dense_normal_equations(dim, alpha, nu) -> None:
    """Users have 0 to 23 items: more than dim, as many, and fewer, where a smaller system is solved."""
    x = random_x()
    for n in range(24):
        x[n] = np.arange(23) < n
    h = np.random.default_rng(1).standard_normal((23, dim))
    w = IALS(dim=dim, alpha=alpha, l2=0.05, nu=nu).half_step(csr_array(x), h)
    for u, row in enumerate(x):
        ridge = 0.05 * (row.sum() + alpha * 23) ** nu
        a = h.T @ (h * (row + alpha)[:, None]) + ridge * np.eye(dim)
        expected = np.linalg.solve(a, h.T @ row) if row.any() else np.zeros(dim)
        np.testing.assert_allclose(w[u], expected, rtol=1e-10, atol=1e-12)


def test_the_objective_falls_and_its_gradient_vanishes_for_users() -> None:
    x = random_x()
    log = Interactions.from_pairs(*np.nonzero(x), Interactions.from_pairs([39], [22]).users)
    values = []
    for iterations in (1, 2, 4, 8):
        model = IALS(dim=4, alpha=0.2, l2=0.05, nu=0.5, iterations=iterations).fit(log)
        values.append(objective(x, model._user, model._item, 0.2, 0.05, 0.5))
    assert values == sorted(values, reverse=True)
    rng, step = np.random.default_rng(2), 1e-4
    for _ in range(5):
        move = step * rng.standard_normal(model._user.shape)
        assert objective(x, model._user + move, model._item, 0.2, 0.05, 0.5) > values[-1]


def test_a_known_users_history_gives_the_users_vector() -> None:
    x = random_x()[:5]
    log = Interactions.from_pairs(*np.nonzero(x))
    model = IALS(dim=4, iterations=2).fit(log)
    np.testing.assert_array_equal(model.half_step(log.csr(), model._item), model._user)


def test_a_history_without_items_scores_zero() -> None:
    model = IALS(dim=4, iterations=2).fit(Interactions.from_pairs([0, 1], [0, 1]))
    assert (model.from_history(csr_array((1, 2), dtype=np.float32)) == 0).all()


def test_same_bits_for_one_and_two_threads_and_the_seed_counts() -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 1500, 8000), rng.integers(0, 700, 8000))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen.append(IALS(dim=8, iterations=2).fit(log).block(np.arange(50)))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*seen)
    assert not np.array_equal(seen[0], IALS(dim=8, iterations=2, seed=1).fit(log).block(np.arange(50)))


def test_the_start_has_the_stated_spread(monkeypatch) -> None:
    starts = []
    monkeypatch.setattr(IALS, "half_step", lambda self, rows, other: starts.append(other) or other)
    IALS(dim=16, iterations=1).fit(Interactions.from_pairs(np.arange(900), np.arange(900)))
    assert starts[0].std() == pytest.approx(0.1 / sqrt(16), rel=0.03)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"dim": 0}, {"iterations": 0}, {"alpha": -0.1}, {"l2": 0.0}, {"nu": float("nan")}):
        with pytest.raises(UsageError, match="IALS"):
            IALS(**wrong)
