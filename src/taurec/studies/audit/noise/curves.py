"""Curves over levels of noise: means and slopes over seeds, each with its t interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from taurec.studies.result import Value


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds with its 95 % t interval; no bounds for a single seed."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def value(self) -> Value:
        """As a cell of a table."""
        return Value(self.mean, self.low, self.high)


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean of independent values and ``mean +- t s / sqrt(n)``, t the quantile of Student's t with n - 1 degrees.

    >>> found = estimate([1.0, 2.0, 3.0])  # s = 1, t = 4.303, and 4.303 / sqrt(3) = 2.484
    >>> found.mean, round(found.low, 3), round(found.high, 3), found.n
    (2.0, -0.484, 4.484, 3)
    """
    x = np.asarray(values, dtype=np.float64)
    mean, n = float(x.mean()), len(x)
    if n < 2:
        return Estimate(mean, None, None, n)
    half = float(student.ppf((1 + level) / 2, n - 1)) * float(x.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def slope(levels: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of values over levels; NaN for a single level.

    >>> slope([0, 1, 2], [6, 5, 1])
    -2.5
    """
    x = np.asarray(levels, dtype=np.float64) - np.mean(levels)
    square = float(x @ x)
    return float(x @ np.asarray(values, dtype=np.float64)) / square if square else math.nan


@dataclass(frozen=True)
class Point:
    """One model at one level.

    Attributes:
        level: of noise.
        values: of each seed; one value where the seed has no effect.
        estimate: their mean and interval.
        pairs: training pairs, mean over seeds; injected: of these, false positives.
        short: pairs fewer than asked were injected.
        epochs: until the best one, mean over seeds; 0 for a baseline.
        seconds: of a fit, mean over seeds.
    """

    level: float
    values: tuple[float, ...]
    estimate: Estimate
    pairs: float
    injected: float
    short: float
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Curve:
    """One model over all levels, on one metric.

    Attributes:
        label: ``mf:sl`` or ``ease``.
        metric: the metric of the curve.
        baseline: whether the model is one.
        constant: whether the noise has no effect on it: a baseline where the noise is in the negatives.
        points: by rising level.
        slope: change of the metric per point of noise (per 0.01 of the level; for ``negatives``, per 1 of the
            weight): the least-squares slope of each seed's values, their mean, and its t interval.
        relative: the same as a share of the seed's value at the lowest level.
        run: the settings, the same at every level.
    """

    label: str
    metric: str
    baseline: bool
    constant: bool
    points: tuple[Point, ...]
    slope: Estimate | None
    relative: Estimate | None
    run: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """Two losses at one level: first minus second over users, each user's values averaged over the seeds.

    ``p_value`` is that of the sign-flip test, corrected by Holm for all pairs of losses and all levels.
    """

    level: float
    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    p_value: float
