"""Filters of the item graph on a log of five users and four items: golden values and laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from taurec.baselines import BSPM, GFCF, SVDAE, ChebyCF, TurboCF, graph, memory
from taurec.baselines.chebycf import coefficients, plateau
from taurec.data.interactions import Interactions
from taurec.errors import ResourceError, UsageError
from taurec.foldin import ItemWeights
from taurec.testing.baselines import baseline_log

X = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], dtype=float)
LOG = Interactions.from_pairs(*np.nonzero(X))
ITEMS = X.sum(0)
R = X / np.sqrt(X.sum(1))[:, None] / np.sqrt(ITEMS)
S = R.T @ R
FILTERS = [GFCF(k=2), ChebyCF(k=2), BSPM(k=2), SVDAE(k=2), TurboCF(), TurboCF(order=3)]


def first(model) -> np.ndarray:
    """The scores of user 0."""
    return model.fit(LOG).block(np.array([0]))[0]


def low_pass(power: float, k: int = 2) -> np.ndarray:
    """D^-power V V^T D^power of the k leading eigenvectors, from a dense decomposition."""
    v = np.linalg.eigh(S)[1][:, ::-1][:, :k]
    return ITEMS[:, None] ** -power * (v @ v.T) * ITEMS**power


def power_of(matrix: np.ndarray, n: int) -> np.ndarray:
    return np.linalg.matrix_power(matrix, n)


@pytest.mark.parametrize(
    ("model", "scores"),
    [
        (GFCF(k=2), [0.89299421883, 0.995081035774, 0.559660885497, 0.189721338465]),
        (ChebyCF(k=2), [0.865568194604, 0.908946797483, 0.480546374574, 0.161354806609]),
        (BSPM(k=2), [0.501127465038, 0.505400779269, 0.35528341497, 0.23953667012]),
        (SVDAE(k=2), [0.631485318107, 0.971774707922, 0.631485318107, -0.048009355891]),
    ],
    ids=["gf-cf", "chebycf", "bspm", "svd-ae"],
)
def test_golden_scores(model, scores) -> None:
    np.testing.assert_allclose(first(model), scores, rtol=3e-6)


@pytest.mark.parametrize(
    ("a", "s", "order", "row"),
    [
        (0.6, 0.7, 1, [0.591761486479, 0.422297452368, 0.214798004992, 0.338261408985]),
        (0.6, 1.0, 2, [0.579138870033, 0.275420654593, -0.013166863818, 0.194775854732]),
        (0.5, 1.4, 1, [0.321324969244, 0.166408880497, 0.046138182949, 0.108106580582]),
    ],
)
def test_golden_rows_of_turbo_cf(a, s, order, row) -> None:
    """The scores of a history of item 0 alone are the first row of the filter."""
    history = csr_array(np.array([[1.0, 0, 0, 0]]))
    np.testing.assert_allclose(TurboCF(a, s, order).fit(LOG).from_history(history)[0], row, rtol=3e-6)


def test_the_third_order_of_turbo_cf_by_its_formula() -> None:
    p = TurboCF(0.6, 0.8).fit(LOG).weights().toarray().astype(float)
    expected = X @ (p + 0.01 * (-power_of(p, 3) + 10 * p @ p - 29 * p))
    np.testing.assert_allclose(TurboCF(0.6, 0.8, 3).fit(LOG).block(np.arange(5)), expected, rtol=1e-5)


def test_half_and_one_make_turbo_cf_and_gf_cf_the_same_smoothing() -> None:
    np.testing.assert_allclose(TurboCF(0.5, 1.0).fit(LOG).weights().toarray(), S, rtol=1e-6)
    smooth = GFCF(alpha=0.0).fit(LOG)
    np.testing.assert_allclose(smooth.block(np.arange(5)), X @ S, rtol=1e-6)
    np.testing.assert_allclose(BSPM(beta=0.0, time=0.0).fit(LOG).block(np.arange(5)), X @ S, rtol=1e-6)


def test_all_eigenvectors_let_a_history_pass() -> None:
    """S has rank 4, so V V^T is the identity, and k beyond it changes nothing."""
    for k in (4, 256):
        scores = GFCF(k=k, alpha=2.0).fit(LOG).block(np.arange(5))
        np.testing.assert_allclose(scores, X @ S + 2 * X, rtol=1e-5)
    np.testing.assert_allclose(SVDAE(k=4).fit(LOG).block(np.arange(5)), X, atol=1e-6)


def test_coefficients_of_chebyshev() -> None:
    authors = coefficients(8, 1.5, "authors")
    np.testing.assert_allclose(authors[[0, 2, 4, 6, 8]], [0.5, 0, 0, 0, 0], atol=1e-12)
    expected = [-0.492678876853, -0.0323316150746, 0.0211152597317, -0.00110709754421]
    np.testing.assert_allclose(authors[1::2], expected, rtol=1e-9)
    assert coefficients(8, 1.5, "roots")[1] == pytest.approx(-0.457794668389, rel=1e-9)


def test_the_roots_interpolate_the_target() -> None:
    roots = np.cos((np.arange(9) + 0.5) * np.pi / 9)
    polynomial = np.polynomial.chebyshev.chebval(roots, coefficients(8, 1.5, "roots"))
    np.testing.assert_allclose(polynomial, plateau(roots, 1.5), atol=1e-14)
    np.testing.assert_allclose(first(ChebyCF(k=2, nodes="roots"))[:2], [0.871086998935, 0.909204022909], rtol=3e-6)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_recursion_of_chebyshev_is_the_polynomial_of_the_matrix(order) -> None:
    spectrum, v = np.linalg.eigh(np.eye(4) - 2 * S)
    response = np.polynomial.chebyshev.chebval(spectrum, coefficients(order, 3.0, "authors"))
    expected = X @ (ITEMS[:, None] ** -0.3 * ((v * response) @ v.T) * ITEMS**0.3)
    model = ChebyCF(order=order, phi=3.0, alpha=0.0, beta=0.3).fit(LOG)
    np.testing.assert_allclose(model.block(np.arange(5)), expected, rtol=1e-5, atol=1e-6)


def test_phi_of_one_leaves_the_smoothing() -> None:
    """h(x) = (1 - x) / 2 and L = I - 2S, so the filter is S for any order."""
    for order in (1, 4):
        model = ChebyCF(order=order, phi=1.0, alpha=0.0, beta=0.0, nodes="roots").fit(LOG)
        np.testing.assert_allclose(model.block(np.arange(5)), X @ S, rtol=1e-5, atol=1e-6)


def test_variants_of_bspm_by_their_formulas() -> None:
    j, eye = low_pass(0.5), np.eye(4)
    yelp = BSPM(k=2, beta=0.3, solver="euler", time=1.2, mean=True)
    y = (S + 0.3 * j) @ (eye - 1.2 * S)
    np.testing.assert_allclose(first(yelp), (X @ (S + y) / 2)[0], rtol=1e-5)
    step = sum(power_of(-1.1 * S, n) / f for n, f in enumerate((1, 1, 2, 6, 24)))
    book = BSPM(beta=0.0, time=2.2, steps=2, merge="late")
    np.testing.assert_allclose(first(book), (X @ S @ step @ step)[0], rtol=1e-5)
    late = BSPM(k=2, beta=0.4, time=2.2, steps=2, merge="late")
    np.testing.assert_allclose(first(late), (X @ (S @ step @ step + 0.4 * j))[0], rtol=1e-5)


def test_many_steps_of_bspm_reach_the_exponential() -> None:
    spectrum, v = np.linalg.eigh(S)
    expected = X @ S @ ((v * np.exp(-2.0 * spectrum)) @ v.T)
    model = BSPM(beta=0.0, time=2.0, steps=20).fit(LOG)
    np.testing.assert_allclose(model.block(np.arange(5)), expected, atol=1e-6)


@pytest.mark.parametrize("model", FILTERS, ids=["gf-cf", "chebycf", "bspm", "svd-ae", "turbo-cf", "turbo-cf-3"])
def test_scores_do_not_depend_on_who_is_scored_with_whom(model) -> None:
    """70 histories are more than are filtered at a time."""
    log = baseline_log()
    model = model.fit(log)
    users = np.arange(70) % log.n_users
    together = model.block(users)
    np.testing.assert_array_equal(together[:20], together[50:])
    for u in (0, 33, 49):
        np.testing.assert_allclose(model.block(np.array([u]))[0], together[u], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60)])
def test_lanczos_and_lapack_find_the_same_vectors(shape, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    seen = csr_array((rng.random(shape) < 0.2).astype(np.float32))
    exact, values = graph.leading(seen, 7)
    monkeypatch.setattr(graph, "_DENSE", 0)
    found, again = graph.leading(seen, 7)
    np.testing.assert_allclose(again, values, rtol=1e-7)
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=1e-6)
    np.testing.assert_array_equal(found, graph.leading(seen, 7)[0])
    np.testing.assert_allclose(found.T @ found, np.eye(7), atol=1e-6)


def test_the_form_for_pages() -> None:
    assert isinstance(TurboCF().fit(LOG).fold_in(), ItemWeights)
    assert all(model.fit(LOG).fold_in() is None for model in (TurboCF(order=2), GFCF(), ChebyCF(), BSPM(), SVDAE()))


@pytest.mark.parametrize("model", [GFCF(k=2), TurboCF(), SVDAE(k=2)], ids=["filter", "turbo-cf", "svd-ae"])
def test_a_log_too_large_is_refused_with_the_figure(model, monkeypatch) -> None:
    needed = model.fit_cost(LOG).bytes
    monkeypatch.setattr(memory, "available_bytes", lambda: needed - 1)
    with pytest.raises(ResourceError, match=r"needs 0\.0 GB of memory.*keep fewer items"):
        model.fit(LOG)
    monkeypatch.setattr(memory, "available_bytes", lambda: needed)
    assert model.fit(LOG).n_items == 4


def test_a_larger_filter_is_forecast_to_take_longer() -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 3000, 20000), rng.integers(0, 2000, 20000))
    costs = [m.fit_cost(log).seconds for m in (GFCF(alpha=0.0), GFCF(k=100), GFCF(k=256), ChebyCF(k=256))]
    assert costs == sorted(costs)
    assert TurboCF(order=2).fit_cost(log).seconds > TurboCF().fit_cost(log).seconds > 0


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (GFCF, {"k": -1}),
        (GFCF, {"alpha": -0.1}),
        (ChebyCF, {"order": 0}),
        (ChebyCF, {"phi": 0.0}),
        (ChebyCF, {"beta": float("nan")}),
        (ChebyCF, {"nodes": "extrema"}),
        (BSPM, {"time": -1.0}),
        (BSPM, {"steps": 0}),
        (BSPM, {"solver": "rk"}),
        (BSPM, {"merge": "both"}),
        (SVDAE, {"k": 0}),
        (TurboCF, {"a": 1.5}),
        (TurboCF, {"s": 0.0}),
        (TurboCF, {"order": 4}),
    ],
)
def test_wrong_settings_are_refused(cls, wrong) -> None:
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        cls(**wrong)
