"""What a log is like: its size, how full it is, how its activity and popularity are spread."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taurec.data.interactions import Interactions

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Statistics:
    """The figures of a log.

    Attributes:
        users, items, pairs: sizes; users and items without a pair are counted in the first two.
        density: ``pairs / (users * items)``.
        per_user, per_item: quantile -> number of pairs, for 0, .25, .5, .75, .9, .99, 1.
        gini: inequality of item popularity, 0 all equal, towards 1 all on one item.
        top_1_percent, top_10_percent: share of the pairs that fall on the most popular items, at least one.
        first, last: span of the times in seconds since 1970, None without times.
    """

    users: int
    items: int
    pairs: int
    density: float
    per_user: dict[float, float]
    per_item: dict[float, float]
    gini: float
    top_1_percent: float
    top_10_percent: float
    first: float | None
    last: float | None

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return asdict(self)


def statistics(log: Interactions) -> Statistics:
    """The statistics of a log.

    >>> s = statistics(Interactions.from_pairs([0, 0, 1], [0, 1, 0]))
    >>> s.users, s.items, s.pairs, s.density, s.per_item[1.0]
    (2, 2, 3, 0.75, 2.0)
    """
    cells = log.n_users * log.n_items
    timed = log.time is not None and len(log) > 0
    return Statistics(
        users=log.n_users,
        items=log.n_items,
        pairs=len(log),
        density=len(log) / cells if cells else 0.0,
        per_user=_quantiles(log.user_counts),
        per_item=_quantiles(log.item_counts),
        gini=gini(log.item_counts),
        top_1_percent=top_share(log.item_counts, 0.01),
        top_10_percent=top_share(log.item_counts, 0.1),
        first=float(log.time.min()) if timed and log.time is not None else None,
        last=float(log.time.max()) if timed and log.time is not None else None,
    )


def gini(counts: ArrayLike) -> float:
    """The Gini coefficient of non-negative counts x_1 <= ... <= x_n.

        G = sum_k (2k - n - 1) x_k / (n sum_k x_k)

    0 for equal counts or none at all; ``1 - 1/n`` when one holds everything.

    >>> gini([5, 5]), gini([0, 0, 0, 7])
    (0.0, 0.75)
    """
    x = np.sort(np.asarray(counts, dtype=np.float64))
    n, total = len(x), float(x.sum())
    if not total:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * total))


def top_share(counts: ArrayLike, share: float) -> float:
    """The part of the total that falls on the largest ``ceil(share * n)`` counts.

    >>> top_share([6, 2, 1, 1], 0.25)
    0.6
    """
    x = np.sort(np.asarray(counts, dtype=np.float64))[::-1]
    total = float(x.sum())
    if not total:
        return 0.0
    return float(x[: int(np.ceil(share * len(x) - 1e-9))].sum() / total)


def _quantiles(counts: NDArray[np.int64]) -> dict[float, float]:
    """Quantiles that are counts found in the log (the lower of two neighbours)."""
    if not len(counts):
        return {}
    found = np.quantile(counts, QUANTILES, method="lower")
    return {q: float(v) for q, v in zip(QUANTILES, found, strict=True)}
