"""The effect of a temperature: the weights, the effective number and the radius of a log-mean-exp.

With P the distribution that negatives are drawn from (uniform unless said otherwise), the negative side of SL,
SSM and BSL is, up to its scale, a worst case over distributions Q near P:

    tau log E_P exp(f / tau) = max_Q { E_Q f - tau KL(Q || P) },    maximiser Q_j ~ P_j exp(f_j / tau)

and, with a limit on the distance instead of its price,

    sup { E_Q f : KL(Q || P) <= eta } = min_tau { tau log E_P exp(f / tau) + tau eta }

so that a tau corresponds to the radius eta = KL(Q || P) of its maximiser. The positive side of BSL is the same
expression with a minus: min_Q { -E_Q f + tau KL(Q || P) }, which puts weight on the positives that score high.

Source: the identities are standard (Donsker and Varadhan); for the softmax loss Wu et al., arXiv 2201.02327 and
Yang et al., arXiv 2411.00163, lemma A.3. All is computed in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

from taurec.errors import UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reweighting:
    """The weights that the log-mean-exp at one temperature gives to the scores of each row (a user).

    Attributes:
        tau: the temperature, in score units.
        count: [U] number of scores that are present.
        value: [U] tau log E_P exp(f / tau), in score units.
        mean: [U] E_P f, in score units.
        variance: [U] of f under P (population variance), in score units squared.
        shifted: [U] E_Q f, the mean under the weights Q ~ P exp(f / tau), in score units.
        effective: [U] exp of the entropy of Q: the effective number of scores that the gradient is spread over (the
            Hill number of order 1). With P uniform it lies between 1 and ``count``.
        participation: [U] 1 / sum Q^2, the Hill number of order 2; never above ``effective``.
        radius: [U] KL(Q || P), in nats.
    """

    tau: float
    count: NDArray[np.int64]
    value: Array
    mean: Array
    variance: Array
    shifted: Array
    effective: Array
    participation: Array
    radius: Array

    @property
    def variance_term(self) -> Array:
        """[U] Var f / (2 tau): what the log-mean-exp adds to the mean, to first order in 1 / tau."""
        return self.variance / (2 * self.tau)

    @property
    def remainder(self) -> Array:
        """[U] ``value - mean - variance_term``, of order 1 / tau^2."""
        return self.value - self.mean - self.variance_term

    @property
    def share(self) -> Array:
        """[U] ``effective`` divided by ``count``."""
        return self.effective / self.count


def weights(scores: ArrayLike, tau: float, base: ArrayLike | None = None) -> Array:
    """The distribution Q ~ P exp(f / tau): the share of each score in the gradient of tau log E_P exp(f / tau).

    For negatives it is the worst case that SL and BSL train against. For positives, with BSL's ``tau_pos``, it is the
    optimistic case, in which a positive with a low score has a small weight.

    Args:
        scores: [N], or [U, N] with a distribution per row; -inf marks an absent score, whose weight is 0.
        tau: temperature, in score units.
        base: [N] or [U, N] weights of P, not negative; None is uniform over the scores that are there.
    Returns: the shape of ``scores``; rows sum to 1.
    Raises: UsageError if tau is not positive, or for scores or weights that make no distribution.

    >>> weights([0.0, 0.0, -np.inf], tau=0.1).tolist()
    [0.5, 0.5, 0.0]
    """
    f, log_p = _checked(scores, base)
    q: Array = np.exp(_log_weights(f, log_p, tau)[0])
    return q if np.ndim(scores) == 2 else q[0]


def reweighting(scores: ArrayLike, tau: float, base: ArrayLike | None = None) -> Reweighting:
    """All quantities of one temperature on rows of scores; the arguments are those of :func:`weights`.

    A single row ``[N]`` gives arrays of one entry.

    >>> found = reweighting([0.1, -0.3, 0.85], tau=0.2)
    >>> round(float(found.value[0]), 10), round(float(found.effective[0]), 3)
    (0.6355475999, 1.139)
    """
    f, log_p = _checked(scores, base)
    log_q, log_mean = _log_weights(f, log_p, tau)
    p, q = np.exp(log_p), np.exp(log_q)
    there = np.isfinite(log_p)
    f = np.where(there, f, 0.0)
    mean = (p * f).sum(1)
    entropy = -(q * np.where(q > 0, log_q, 0.0)).sum(1)
    ratio = np.where(q > 0, log_q - np.where(there, log_p, 0.0), 0.0)
    return Reweighting(
        float(tau),
        there.sum(1),
        tau * log_mean,
        mean,
        (p * (f - mean[:, None]) ** 2).sum(1),
        (q * f).sum(1),
        np.exp(entropy),
        1.0 / (q * q).sum(1),
        np.maximum((q * ratio).sum(1), 0.0),
    )


def radius_of_tau(scores: ArrayLike, tau: float, base: ArrayLike | None = None) -> float:
    """KL(Q || P), in nats, of the weights that a temperature gives to one row of scores [N].

    Falls from ``-log P(best score)`` at tau -> 0 to 0 at tau -> infinity, where it is Var f / (2 tau^2) to first
    order.

    >>> round(radius_of_tau([0.0, 1.0], tau=1e-3), 6)  # all weight on one of two
    0.693147
    """
    return float(reweighting(_one_row(scores), tau, base).radius[0])


def tau_of_radius(scores: ArrayLike, eta: float, base: ArrayLike | None = None) -> float:
    """The temperature whose weights have the distance KL(Q || P) = eta from P: the inverse of :func:`radius_of_tau`.

    Args:
        scores: [N] one row.
        eta: in nats, not negative.
    Returns: score units; 0 where the ball holds the distribution on the best score alone, infinity for eta = 0
        or for scores that are all equal.

    >>> scores = [0.1, -0.3, 0.85]
    >>> round(tau_of_radius(scores, radius_of_tau(scores, tau=0.2)), 9)
    0.2
    """
    f, log_p, spread = _ball(scores, eta, base)
    if spread == 0 or eta == 0:
        return math.inf
    p = np.exp(log_p[0])
    if eta >= -float(np.log(p[f[0] == f.max()].sum())) * (1 - 1e-12):
        return 0.0

    def missing(log_tau: float) -> float:
        return radius_of_tau(f[0], spread * math.exp(log_tau), p) - eta

    low, high = -1.0, 1.0
    while missing(low) < 0:
        low -= 2.0
    while missing(high) > 0:
        high += 2.0
    return spread * math.exp(float(brentq(missing, low, high, xtol=1e-14, rtol=8.9e-16)))


def worst_case(scores: ArrayLike, eta: float, base: ArrayLike | None = None) -> float:
    """sup { E_Q f : KL(Q || P) <= eta } of one row [N], in score units, from the weights that reach it.

    >>> worst_case([0.0, 1.0], eta=5.0), worst_case([0.0, 1.0], eta=0.0)
    (1.0, 0.5)
    """
    f, log_p, _ = _ball(scores, eta, base)
    p = np.exp(log_p[0])
    tau = tau_of_radius(f[0], eta, p)
    if tau == 0.0:
        return float(f.max())
    if math.isinf(tau):
        return float((p[p > 0] * f[0][p > 0]).sum())
    return float(reweighting(f[0], tau, p).shifted[0])


@dataclass(frozen=True)
class Dual:
    """The minimum of ``tau log E_P exp(f / tau) + tau eta`` over tau, and where it is, both in score units."""

    value: float
    tau: float


def solve_dual(scores: ArrayLike, eta: float, base: ArrayLike | None = None) -> Dual:
    """The dual problem of :func:`worst_case`, minimised numerically over tau, without its closed form.

    The function is convex in tau; it is searched over log tau between 1e-6 and 1e6 times the spread of the scores.

    >>> found = solve_dual([0.1, -0.3, 0.85], eta=0.3)
    >>> round(found.value, 8) == round(worst_case([0.1, -0.3, 0.85], eta=0.3), 8)
    True
    """
    f, log_p, spread = _ball(scores, eta, base)
    spread = spread or 1.0

    def price(log_tau: float) -> float:
        tau = spread * math.exp(log_tau)
        return tau * (float(_log_weights(f, log_p, tau)[1][0]) + eta)

    # Convex in tau, so unimodal in log tau: the best of a coarse grid brackets the minimum.
    grid = np.linspace(math.log(1e-6), math.log(1e6), 113)
    at = int(np.argmin([price(x) for x in grid]))
    bounds = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(price, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    return Dual(float(found.fun), spread * math.exp(float(found.x)))


def _log_weights(f: Array, log_p: Array, tau: float) -> tuple[Array, Array]:
    """log Q [U, N], and log E_P exp(f / tau) [U]."""
    if not (tau > 0 and math.isfinite(tau)):
        raise UsageError(f"tau must be a finite number above 0, got {tau!r}")
    top = f.max(1)
    with np.errstate(invalid="ignore"):
        z = np.where(np.isfinite(log_p), (f - top[:, None]) / tau + log_p, -np.inf)
    peak = z.max(1, keepdims=True)
    total = np.log(np.exp(z - peak).sum(1)) + peak[:, 0]
    return z - total[:, None], total + top / tau


def _checked(scores: ArrayLike, base: ArrayLike | None) -> tuple[Array, Array]:
    """Scores [U, N], absent ones -inf, and log P; where P is 0 a score is absent too."""
    f = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if f.ndim != 2 or not f.size:
        raise UsageError(f"scores must be [N] or [U, N] with N of at least 1, got shape {np.shape(scores)}")
    if np.isnan(f).any() or (f == np.inf).any():
        raise UsageError("scores must be finite numbers, or -inf where one is absent; got NaN or +inf")
    p = np.broadcast_to(np.ones(1) if base is None else np.asarray(base, dtype=np.float64), f.shape)
    if not (np.isfinite(p).all() and (p >= 0).all()):
        raise UsageError("the base weights must be finite and not negative")
    p = np.where(f == -np.inf, 0.0, p)
    total = p.sum(1, keepdims=True)
    if not (total > 0).all():
        raise UsageError(f"row {int(np.flatnonzero(total[:, 0] == 0)[0])} has no score with a base weight above 0")
    log_p = np.log(p / total, where=p > 0, out=np.full(f.shape, -np.inf))
    return np.where(p > 0, f, -np.inf), log_p


def _one_row(scores: ArrayLike) -> Array:
    f = np.asarray(scores, dtype=np.float64)
    if f.ndim != 1:
        raise UsageError(f"one row of scores [N] is needed here, got shape {f.shape}")
    return f


def _ball(scores: ArrayLike, eta: float, base: ArrayLike | None) -> tuple[Array, Array, float]:
    """One row of scores [1, N] and log P, and the range of the scores; the radius of the ball around P is checked."""
    f, log_p = _checked(_one_row(scores), base)
    if not eta >= 0:
        raise UsageError(f"the radius eta must be a number of at least 0, got {eta!r}")
    return f, log_p, float(f.max() - f[np.isfinite(f)].min())
