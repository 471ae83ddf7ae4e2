"""RG2: worked values, the normal equations, the objective, and systems with few and many items per row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from taurec.baselines import RG2
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.kernels.solve import solve_rows

X = csr_array(np.array([[1.0, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]]))
Q = np.array([[0.7, 0.1], [0.2, -0.5], [-0.4, 0.6], [0.3, 0.3]])
W = np.array([[0.5, 0.2], [-0.3, 0.8], [0.6, -0.4]])


def objective(x: np.ndarray, w: np.ndarray, h: np.ndarray, alpha: float, l2: float) -> float:
    """The sum over users of L_u, with the ridge of the items as in their step."""
    (users, items), f, own = x.shape, w @ h.T, x.sum(1)
    ridge_w = (own / 2 + alpha * items + 1) * (w**2).sum(1)
    ridge_h = ((own / (2 * items)).sum() + alpha * users) * (h**2).sum(1)
    bound = (own / (2 * items) * ((f + 1) ** 2).sum(1)).sum()
    return float(-(x * f).sum() + bound + alpha * (x * (f - 1) ** 2).sum() + l2 * (ridge_w.sum() + ridge_h.sum()))


def test_the_steps_of_a_worked_example() -> None:
    model = RG2(dim=2, alpha=0.1, l2=0.1)
    expected = [[0.622396368459, -0.755636920663], [-0.388476093971, 0.026452632827], [0.830496888048, 0.325343648546]]
    np.testing.assert_allclose(model.user_step(X, Q), expected, atol=1e-12)
    expected = [[1.18037985976, -0.481701051445], [0.201312472738, 0.794915738613]]
    expected += [[-1.01563240643, 0.166852113344], [0.048550316634, -0.003283682507]]
    np.testing.assert_allclose(model.item_step(csr_array(X.T.tocsr()), W, np.array([2, 3, 2])), expected, atol=1e-11)


@pytest.mark.parametrize(
    ("own", "alpha", "value"), [([0], 0.0, 0.1915625), ([0], 0.1, 0.1925625), ([0, 3], 0.1, 0.436375)]
)
def test_the_loss_of_a_worked_row(own: list[int], alpha: float, value: float) -> None:
    """Scores .9, .1, -.3, .85 of a catalogue of four; the ridge is left out."""
    x = np.zeros((1, 4))
    x[0, own] = 1
    scores = np.array([[0.9, 0.1, -0.3, 0.85]])
    assert objective(x, np.ones((1, 1)), scores.T, alpha, 0.0) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("dim", [1, 6, 19])
def test_each_half_step_is_where_the_gradient_of_the_objective_vanishes(dim: int) -> None:
    """Users have 0 to 23 items: more than dim, as many, and fewer, where a smaller system is solved."""
    rng = np.random.default_rng(0)
    x = np.arange(23) < np.arange(26)[:, None]
    x, h = x.astype(float), rng.standard_normal((23, dim))
    model = RG2(dim=dim, alpha=0.2, l2=0.05)
    w = model.user_step(csr_array(x), h)
    own = x.sum(1)
    new = model.item_step(csr_array(csr_array(x).T.tocsr()), w, own.astype(np.int64))
    step = 1e-6
    for table, at in ((w, h), (new, w)):
        for _ in range(8):
            direction = rng.standard_normal(table.shape)
            ends = [table + sign * step * direction for sign in (1, -1)]
            sides = [(e, at) if table is w else (at, e) for e in ends]
            slope = (objective(x, *sides[0], 0.2, 0.05) - objective(x, *sides[1], 0.2, 0.05)) / (2 * step)
            assert slope == pytest.approx(0, abs=1e-6)


def test_the_objective_falls_with_iterations_and_not_with_the_released_sign() -> None:
    log = planted(n_users=60, n_items=40, seed=1).log
    x = log.csr().toarray()

    def value(iterations: int, released: bool = False) -> float:
        state = RG2(dim=4, alpha=0.1, l2=0.02, iterations=iterations, released=released).fit(log).state()
        return objective(x, state["user"], state["item"], 0.1, 0.02)

    values = [value(n) for n in (1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)
    assert value(16, released=True) > values[-1] + 1


def test_it_ranks_the_planted_world() -> None:
    world = planted(n_users=80, n_items=60, seed=2)
    model = RG2(dim=8).fit(world.log)
    assert evaluate_ranker(model, world.withheld, world.log, ["recall@5"]).means()["recall@5"] > 0.9
    other = RG2.from_state(model.state())
    np.testing.assert_array_equal(other.block(np.arange(80)), model.block(np.arange(80)))


@pytest.mark.parametrize("n_items", [0, 2, 9])
def test_systems_with_a_shift_agree_in_both_kernels(n_items: int) -> None:
    rng = np.random.default_rng(n_items)
    factors, shift, spread = rng.standard_normal((12, 5)), rng.standard_normal(5), rng.random(5)
    axes = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((5, 5)))[0])
    indptr, indices = np.array([0, n_items]), rng.permutation(12)[:n_items]
    given = indptr, indices, factors, spread, axes, np.array([0.3]), np.array([0.7]), shift
    plain, compiled = (solve_rows(*given, kernel=kernel) for kernel in ("torch", "numba"))
    np.testing.assert_allclose(compiled, plain, rtol=1e-10, atol=1e-12)
    assert np.abs(plain).sum() > 0


def test_an_item_without_users_and_a_user_without_items() -> None:
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 1], *(Interactions.from_pairs([2], [2]).users,) * 2)
    state = RG2(dim=2).fit(log).state()
    assert not state["user"][2].any()
    assert np.isfinite(state["item"][2]).all()


@pytest.mark.parametrize("given", [{"dim": 0}, {"alpha": 0.0}, {"l2": 0.0}, {"l2": float("nan")}, {"iterations": 0}])
def test_settings_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="RG2 needs"):
        RG2(**given)
