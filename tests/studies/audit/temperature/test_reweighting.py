from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from taurec import draw
from taurec.errors import UsageError
from taurec.losses import BSL, BSLAuthorsSingle
from taurec.studies.audit.temperature.reweighting import (
    radius_of_tau,
    reweighting,
    solve_dual,
    tau_of_radius,
    weights,
    worst_case,
)

ROW = np.array([0.1, -0.3, 0.85])
"""The first row of the fixture that the losses are tested on."""
NORMAL = draw.normal(draw.key(3, "scores"), [0, 1, 2], 12)


def test_three_scores_by_hand() -> None:
    e = [math.exp(x / 0.2) for x in ROW]
    q = [x / sum(e) for x in e]
    found = reweighting(ROW, tau=0.2)
    assert_allclose(weights(ROW, 0.2), q, rtol=1e-13)
    assert_allclose(found.value, 0.2 * math.log(sum(e) / 3), rtol=1e-13)
    assert_allclose(found.value, 0.6355475999, atol=1e-10)
    assert_allclose(found.mean, 0.65 / 3, rtol=1e-13)
    assert_allclose(found.variance, sum((x - 0.65 / 3) ** 2 for x in ROW) / 3, rtol=1e-13)
    assert_allclose(found.shifted, sum(a * x for a, x in zip(q, ROW, strict=True)), rtol=1e-13)
    assert_allclose(found.effective, math.exp(-sum(a * math.log(a) for a in q)), rtol=1e-13)
    assert_allclose(found.participation, 1 / sum(a * a for a in q), rtol=1e-13)
    assert_allclose(found.radius, sum(a * math.log(3 * a) for a in q), rtol=1e-12)


@pytest.mark.parametrize(("tau", "value", "two_terms"), [(1, 0.33305, 0.33028), (5, 0.239617, 0.239389)])
def test_mean_and_variance_by_hand(tau: float, value: float, two_terms: float) -> None:
    found = reweighting(ROW, tau)
    assert_allclose(found.value, value, atol=6e-6)
    assert_allclose(found.mean + found.variance_term, two_terms, atol=6e-6)
    assert_allclose(found.mean + found.variance_term + found.remainder, found.value, rtol=1e-14)


def test_the_remainder_is_of_second_order() -> None:
    near, far = (abs(reweighting(NORMAL, tau).remainder) for tau in (50.0, 500.0))
    assert_allclose(far, near / 100, rtol=0.1)


@pytest.mark.parametrize("tau", [0.03, 0.2, 1.0, 30.0])
def test_no_distribution_does_better_than_the_weights(tau: float) -> None:
    """Identity 1: tau log E exp(f / tau) = max_Q { E_Q f - tau KL(Q || P) }, at Q and below it everywhere else."""
    base = np.arange(1.0, 13.0)
    found = reweighting(NORMAL, tau, base)
    assert_allclose(found.shifted - tau * found.radius, found.value, rtol=1e-12)
    p = base / base.sum()
    for other in draw.uniform(draw.key(1, "other"), range(200), 12):
        q = other / other.sum()
        assert (NORMAL @ q - tau * (q * np.log(q / p)).sum() <= found.value + 1e-12).all()


@pytest.mark.parametrize("eta", [0.01, 0.3, 0.9])
def test_primal_dual_and_closed_form_agree(eta: float) -> None:
    """Identity 1 with a limit instead of a price: three ways to the same number, on three scores of the fixture."""
    n = len(ROW)
    limit = {
        "type": "ineq",
        "fun": lambda q: eta - (q * np.log(n * np.maximum(q, 1e-300))).sum(),
        "jac": lambda q: -np.log(n * np.maximum(q, 1e-300)) - 1,
    }
    total = {"type": "eq", "fun": lambda q: q.sum() - 1, "jac": lambda q: np.ones(n)}
    primal = minimize(
        lambda q: -(q @ ROW),
        np.array([0.33, 0.32, 0.35]),
        jac=lambda q: -ROW,
        bounds=[(1e-12, 1)] * n,
        constraints=[limit, total],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    dual = solve_dual(ROW, eta)
    assert_allclose(-primal.fun, worst_case(ROW, eta), atol=1e-8)
    assert_allclose(dual.value, worst_case(ROW, eta), atol=1e-11)
    assert_allclose(dual.tau, tau_of_radius(ROW, eta), rtol=1e-5)


def test_two_scores_by_scan() -> None:
    """Of two scores a distribution is one number, so that the primal can be read off a fine grid."""
    eta, base = 0.2, np.array([3.0, 1.0])
    q = np.linspace(1e-9, 1 - 1e-9, 2_000_001)
    inside = (1 - q) * np.log((1 - q) / 0.75) + q * np.log(q / 0.25) <= eta
    scanned = (q[inside] * 2.0 - (1 - q[inside])).max()
    assert_allclose(worst_case([-1.0, 2.0], eta, base), scanned, atol=3e-6)
    assert_allclose(solve_dual([-1.0, 2.0], eta, base).value, worst_case([-1.0, 2.0], eta, base), atol=1e-10)


@pytest.mark.parametrize("tau", [1e-3, 0.05, 0.2, 3.0, 1e4])
def test_a_tau_is_found_again_from_its_radius(tau: float) -> None:
    row = NORMAL[1] * (1e-3 if tau == 1e-3 else 1.0)
    assert_allclose(tau_of_radius(row, radius_of_tau(row, tau)), tau, rtol=1e-6)


def test_radius_falls_with_tau_between_its_limits() -> None:
    taus = np.geomspace(1e-3, 1e3, 60)
    radii = np.array([reweighting(NORMAL, tau).radius for tau in taus])
    assert (np.diff(radii, axis=0) <= 0).all()
    assert_allclose(radii[0], math.log(12), rtol=1e-6)
    assert_allclose(radii[-1], NORMAL.var(1) / (2 * taus[-1] ** 2), rtol=1e-2)


def test_limits_of_the_ball() -> None:
    assert tau_of_radius([1.0, 1.0, 0.0], math.log(1.5)) == 0.0  # both best scores together hold 2 of 3
    assert tau_of_radius([1.0, 0.0], 0.0) == math.inf == tau_of_radius([2.0, 2.0], 0.5)
    assert worst_case([1.0, 1.0, 0.0], 9.0) == 1.0
    assert worst_case([2.0, 2.0], 0.5) == 2.0
    assert_allclose(solve_dual([1.0, 0.0], 9.0).value, 1.0, atol=1e-4)


@pytest.mark.parametrize("tau", [0.01, 0.2, 5.0])
def test_weights_are_the_gradient_of_the_losses(tau: float) -> None:
    """Of both sides of BSL, and of SL, times their scale."""
    pos, neg = torch.tensor([0.9, 0.2, -0.1]).double(), torch.from_numpy(NORMAL)
    pos.requires_grad_(), neg.requires_grad_()
    BSL(tau_pos=tau, tau_neg=tau)(pos, neg, group=torch.tensor([7, 7, 7])).mean().backward()
    assert_allclose(-pos.grad.numpy(), weights(pos.detach().numpy(), tau), atol=1e-12)
    assert_allclose(3 * neg.grad.numpy(), weights(NORMAL, tau), atol=1e-12)
    again = torch.from_numpy(NORMAL).requires_grad_()
    BSLAuthorsSingle(tau)(torch.zeros(3).double(), again).sum().backward()
    assert_allclose(tau * again.grad.numpy(), weights(NORMAL, tau), atol=1e-12)


def test_the_positive_side_is_the_best_case() -> None:
    """-tau log E exp(f / tau) = min_Q { -E_Q f + tau KL }: a positive that scores low is weighed down."""
    found = reweighting([0.9, 0.8, -0.5], tau=0.2)
    assert_allclose(-found.shifted + 0.2 * found.radius, -found.value, rtol=1e-13)
    share = weights([0.9, 0.8, -0.5], 0.2)
    assert share[2] < 1e-3
    assert (np.diff(share) < 0).all()


def test_effective_numbers() -> None:
    assert_allclose(reweighting(np.zeros(7), 0.1).effective, 7)
    assert_allclose(reweighting(np.zeros(7), 0.1).participation, 7)
    assert_allclose(reweighting([1.0, 0.0, 0.0], 1e-3).effective, 1)
    one = weights(NORMAL, 0.5)
    found = reweighting(NORMAL, 0.5)
    assert_allclose([np.exp(-(row * np.log(row)).sum()) for row in one], found.effective)
    assert_allclose([1 / (row * row).sum() for row in one], found.participation)
    assert (found.participation <= found.effective).all()


def test_absent_scores_and_a_base_are_inert_or_count() -> None:
    short = reweighting(NORMAL[:, :5], 0.3)
    padded = reweighting(np.hstack([NORMAL[:, :5], np.full((3, 2), -np.inf)]), 0.3)
    for name, value in vars(short).items():
        assert_allclose(getattr(padded, name), value, rtol=1e-13)
    twice = reweighting(np.hstack([NORMAL[:, :5], NORMAL[:, :1]]), 0.3)
    based = reweighting(NORMAL[:, :5], 0.3, base=[2.0, 1, 1, 1, 1])
    for name in ("value", "mean", "variance", "shifted", "radius"):
        assert_allclose(getattr(based, name), getattr(twice, name), rtol=1e-12)


def test_extreme_scores_stay_finite() -> None:
    found = reweighting([1e4, -1e4, 0.0], tau=1e-3)
    assert_allclose(found.value, 1e4, rtol=1e-6)
    assert all(np.isfinite(value).all() for value in vars(found).values())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: weights([0.0], 0.0), "tau must be a finite number above 0, got 0.0"),
        (lambda: weights([], 0.1), "N of at least 1"),
        (lambda: weights([np.nan], 0.1), "got NaN"),
        (lambda: weights([-np.inf], 0.1), "row 0 has no score"),
        (lambda: weights([1.0, 2.0], 0.1, base=[1.0, -1.0]), "not negative"),
        (lambda: tau_of_radius([1.0, 2.0], -1.0), "radius eta must be"),
        (lambda: solve_dual([1.0, 2.0], math.nan), "radius eta must be"),
        (lambda: radius_of_tau([[1.0, 2.0]], 0.1), "one row of scores"),
    ],
)
def test_wrong_requests(call, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()
