"""Uncertainty of metrics: bootstrap intervals, paired tests between two runs, spread over seeds.

Users are the sampling unit and no distribution is assumed. Ratios of sums are handled like means: a
resample sums both terms of the users drawn. Draws depend only on (seed, resample, user position).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taurec import draw
from taurec.errors import UsageError
from taurec.evaluation.metrics import Metric, Values, pooled, ratio

if TYPE_CHECKING:
    from taurec.evaluation.ranking import Evaluation

BLOCK_DRAWS = 1 << 21


@dataclass(frozen=True)
class Interval:
    """A value over users with its percentile bootstrap interval; no bounds where there is a single user."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Paired:
    """Two runs on the same users.

    Attributes:
        difference: first minus second, with its interval.
        p_value: of the sign-flip test that the two are exchangeable, two-sided.
        n_users: how many users they were compared on.
    """

    difference: Interval
    p_value: float
    n_users: int


@dataclass(frozen=True)
class Spread:
    """Results of n seeds: their mean and standard deviation (n - 1 in the divisor; None for one seed)."""

    mean: float
    std: float | None
    n: int


def bootstrap(
    evaluation: Evaluation, metric: str | Metric, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """The interval of one metric: the middle ``level`` of its values on users drawn with replacement.

    >>> import taurec.evaluation.ranking as r, numpy as np
    >>> e = r.Evaluation((Metric("recall", 5),), np.arange(4), np.array([[0.0], [1], [0], [1]]), np.ones((4, 1)), 0, 0)
    >>> bootstrap(e, "recall@5")
    Interval(mean=0.5, low=0.0, high=1.0)
    """
    column = evaluation.column(metric)
    return _intervals(evaluation.numerator[:, [column]], evaluation.denominator[:, [column]], level, resamples, seed)[0]


def bootstrap_all(
    evaluation: Evaluation, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """The intervals of all metrics from one set of resamples, the one that ``bootstrap`` draws."""
    found = _intervals(evaluation.numerator, evaluation.denominator, level, resamples, seed)
    return {str(m): interval for m, interval in zip(evaluation.metrics, found, strict=True)}


def bootstrap_means(terms: Values, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """The intervals of the means of columns [n, M] over n users, from the resamples that ``bootstrap`` draws.

    >>> bootstrap_means(np.array([[0.0, 1.0], [1.0, 1.0]]))
    [Interval(mean=0.5, low=0.0, high=1.0), Interval(mean=1.0, low=1.0, high=1.0)]
    """
    return _intervals(terms, np.ones_like(terms), level, resamples, seed)


def bootstrap_difference(
    first: Evaluation,
    second: Evaluation,
    metric: str | Metric,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The interval of one metric on some users minus the same on others: each side is resampled by itself.

    Where the two were chosen as the extremes of several groups, the difference is too large by that choice, and so is
    its interval. No bounds where a side has a single user.
    """
    sides = []
    for evaluation, purpose in ((first, "bootstrap"), (second, "bootstrap of the other side")):
        column = evaluation.column(metric)
        terms = evaluation.numerator[:, [column]], evaluation.denominator[:, [column]]
        drawn = _bootstrap(*terms, resamples, seed, purpose)[:, 0] if evaluation.n_users > 1 else None
        sides.append((float(pooled(*terms)[0]), drawn))
    (mean, drawn), (other, other_drawn) = sides
    bounds = (None, None) if drawn is None or other_drawn is None else _bounds(drawn - other_drawn, level)
    return Interval(mean - other, *bounds)


def compare_paired(
    first: Evaluation,
    second: Evaluation,
    metric: str | Metric,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Paired:
    """Whether two runs differ on one metric, user by user.

    The interval resamples users, each with both its results. The p-value exchanges the two results of
    each user with probability one half: p = (1 + #{|difference after exchange| >= |difference|}) /
    (1 + resamples), so it is never below 1 / (1 + resamples).

    Raises: UsageError if the two were not evaluated on the same users.
    """
    if not np.array_equal(first.users, second.users):
        raise UsageError(
            f"a paired test needs the same users in both runs, got {first.n_users} and {second.n_users} users "
            "that differ; evaluate both on the same split"
        )
    a, b = first.column(metric), second.column(metric)
    numerator = np.stack([first.numerator[:, a], second.numerator[:, b]], axis=1)
    denominator = np.stack([first.denominator[:, a], second.denominator[:, b]], axis=1)
    n = len(numerator)
    means = pooled(numerator, denominator)
    difference = float(means[0] - means[1])
    low = high = None
    if n > 1:
        resampled = _bootstrap(numerator, denominator, resamples, seed)
        low, high = _bounds(resampled[:, 0] - resampled[:, 1], level)
    flipped = _sign_flip(numerator, denominator, resamples, seed)
    # Exchanges that leave the difference as it is must count as equal whatever the order of the sums.
    extreme = int((np.abs(flipped) >= abs(difference) * (1 - 1e-9) - 1e-15).sum())
    return Paired(Interval(difference, low, high), (1 + extreme) / (1 + resamples), n)


def chance_of_best(
    evaluations: Mapping[str, Evaluation], metric: str | Metric, *, resamples: int = 1000, seed: int = 0
) -> dict[str, float]:
    """How often each of several runs is the best when users are drawn with replacement; equal ones share a draw.

    A share of draws, not a probability that a run is the best: it knows the uncertainty over users only, and where
    the runs were chosen by the same users it favours the one that was chosen.

    Raises: UsageError if the runs were not evaluated on the same users, or there are none.
    """
    names, first = list(evaluations), next(iter(evaluations.values()), None)
    if first is None:
        raise UsageError("no runs to compare; give at least one")
    if not all(np.array_equal(first.users, e.users) for e in evaluations.values()):
        raise UsageError("the runs were evaluated on different users; evaluate all on the same split")
    columns = [e.column(metric) for e in evaluations.values()]
    pairs = list(zip(evaluations.values(), columns, strict=True))
    numerator = np.stack([e.numerator[:, c] for e, c in pairs], axis=1)
    denominator = np.stack([e.denominator[:, c] for e, c in pairs], axis=1)
    drawn = np.nan_to_num(_bootstrap(numerator, denominator, resamples, seed), nan=-np.inf)
    best = (drawn == drawn.max(axis=1)[:, None]).astype(np.float64)
    share = (best / best.sum(axis=1)[:, None]).mean(axis=0)
    return {name: float(x) for name, x in zip(names, share, strict=True)}


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for testing several hypotheses (Holm, 1979), in the order given.

    The j-th smallest of m, j from 0, is multiplied by m - j; a larger p-value never ends below a smaller.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = np.minimum(p[order] * np.arange(len(p), 0, -1), 1.0)
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(scaled)
    return [float(x) for x in corrected]


def over_seeds(values: ArrayLike) -> Spread:
    """Mean and standard deviation of one metric over runs that differ in their seed only.

    >>> over_seeds([0.25, 0.75, 1.25])
    Spread(mean=0.75, std=0.5, n=3)
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    if not len(x):
        raise UsageError("no values to summarise; give the result of at least one seed")
    return Spread(float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else None, len(x))


def _intervals(numerator: Values, denominator: Values, level: float, resamples: int, seed: int) -> list[Interval]:
    means = pooled(numerator, denominator)
    if len(numerator) < 2:
        return [Interval(float(m), None, None) for m in means]
    resampled = _bootstrap(numerator, denominator, resamples, seed)
    return [Interval(float(m), *_bounds(resampled[:, column], level)) for column, m in enumerate(means)]


def _bounds(resampled: Values, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval must lie between 0 and 1, got {level}")
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _bootstrap(numerator: Values, denominator: Values, resamples: int, seed: int, purpose: str = "bootstrap") -> Values:
    """[resamples, M] values on n users drawn with replacement, from terms [n, M]."""
    n = len(numerator)
    stream = draw.key(seed, purpose)
    result = np.empty((resamples, numerator.shape[1]))
    for rows in _blocks(resamples, n):
        chosen = draw.integers(stream, rows, n, columns=n)
        flat = (chosen + (np.arange(len(rows)) * n)[:, None]).ravel()
        times = np.bincount(flat, minlength=len(rows) * n).reshape(len(rows), n).astype(np.float64)
        result[rows] = ratio(times @ numerator, times @ denominator)
    return result


def _sign_flip(numerator: Values, denominator: Values, resamples: int, seed: int) -> Values:
    """[resamples] differences of two runs, terms [n, 2], after exchanging them for a random half of the users."""
    n = len(numerator)
    stream = draw.key(seed, "sign flip")
    terms = np.stack([numerator, denominator])
    total, change = terms.sum(1), terms[:, :, 1] - terms[:, :, 0]
    result = np.empty(resamples)
    for rows in _blocks(resamples, n):
        words = draw.bits(stream, rows, columns=-(-n // 64)).astype("<u8", copy=False)
        exchanged = np.unpackbits(words.view(np.uint8), axis=1, count=n).astype(np.float64)
        moved = exchanged @ change.T
        one = ratio(total[0, 0] + moved[:, 0], total[1, 0] + moved[:, 1])
        other = ratio(total[0, 1] - moved[:, 0], total[1, 1] - moved[:, 1])
        result[rows] = one - other
    return result


def _blocks(resamples: int, n: int) -> Iterator[NDArray[np.int64]]:
    """Resample numbers in blocks of about two million draws."""
    if resamples < 1:
        raise UsageError(f"the number of resamples must be at least 1, got {resamples}")
    step = max(1, BLOCK_DRAWS // n)
    for start in range(0, resamples, step):
        yield np.arange(start, min(start + step, resamples))
