"""The Pareto front of quality against cost: models that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taurec.studies.compare.results import Row

COSTS = ("seconds", "tune_seconds", "peak_mb")
"""Fields of a row that are costs: seconds of one fit, seconds of choosing its setting, memory."""


def undominated(quality: Sequence[float], *costs: Sequence[float]) -> list[bool]:
    """Which of n points are on the Pareto front: quality is better high, every cost better low.

    A point is off the front if another is at least as good in everything and better in something; of two that are
    equal in everything both are on it.

    >>> undominated([0.5, 0.4, 0.3], [9.0, 1.0, 2.0])
    [True, True, False]
    """
    points = list(zip(quality, *([-c for c in cost] for cost in costs), strict=True))
    return [not any(q != p and all(b >= a for a, b in zip(p, q, strict=True)) for q in points) for p in points]


def on_front(rows: Sequence[Row], metric: str, costs: Sequence[str] = ("seconds",)) -> list[str]:
    """The labels of the rows on the front of a test metric against some of :data:`COSTS`, the cheapest first.

    Memory that could not be read on some row is left out for all. Differences in quality count here whether
    they are significant or not: a front says what was measured.
    """
    read = [cost for cost in costs if all(getattr(row, cost) is not None for row in rows)]
    kept = undominated(
        [row.metrics[metric].mean for row in rows], *([float(getattr(row, cost)) for row in rows] for cost in read)
    )
    found = [row for row, keep in zip(rows, kept, strict=True) if keep]
    return [row.label for row in sorted(found, key=lambda row: getattr(row, costs[0]) or 0.0)]
