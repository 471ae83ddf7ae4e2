"""Measures of the exposure of items in recommendations: pure functions of counts, each with its definition."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.topk import tie_ranks


def coverage(exposure: ArrayLike) -> float:
    """Catalogue coverage: the share of items that are in at least one list; 0 to 1, higher is wider.

    >>> coverage([3, 0, 1, 0])
    0.5
    """
    x = np.asarray(exposure)
    return float((x > 0).mean()) if x.size else 0.0


def entropy(exposure: ArrayLike) -> float:
    """Shannon entropy of the exposure shares p_i, in bits.

        H = - sum_i p_i log2 p_i

    0 if one item has all positions, log2(I) if all items have equally many; ``2**H`` is the effective number of items.

    >>> entropy([1, 1, 2]), entropy([5, 0])
    (1.5, 0.0)
    """
    x = np.asarray(exposure, dtype=np.float64)
    p = x[x > 0] / max(float(x.sum()), 1e-300)
    return float(-(p * np.log2(p)).sum()) + 0.0


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's, of the ranks; equal values have the mean of their ranks.

    -1 to 1; NaN where one side is constant or there are fewer than two values, because it is not defined then.

    >>> spearman([1, 2, 3, 4], [10, 20, 30, 25]), spearman([1, 1], [1, 2])
    (0.8, nan)
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise UsageError(f"a correlation needs pairs of values, got {x.size} and {y.size}")
    known = np.isfinite(x) & np.isfinite(y)
    p, q = (r - r.mean() if r.size else r for r in (rankdata(v[known]) for v in (x, y)))
    below = float(np.sqrt((p @ p) * (q @ q)))
    return float(p @ q) / below if below > 0 else float("nan")


def tail_items(train: Interactions, head: float = 0.8) -> NDArray[np.bool_]:
    """[I] whether an item is in the long tail: outside the short head.

    The short head is the smallest set of most popular items that together hold at least ``head`` of the training
    interactions; equally popular ones in the order of a hash of their id.

    Args:
        train: what popularity is counted in.
        head: share of interactions, between 0 and 1.
    Raises: UsageError for another share, or a log without interactions.
    Source: the short head of Abdollahpouri et al., RecSys 2017, with 80 % as is usual; definitions of the tail
        differ (some take the least popular 80 % of the items), and so do the figures.

    >>> tail_items(Interactions.from_pairs([0, 1, 2, 3, 0], [0, 0, 0, 0, 1])).tolist()
    [False, True]
    """
    if not 0 < head < 1:
        raise UsageError(f"the share of the short head must lie between 0 and 1, got {head}; 0.8 is usual")
    counts = train.item_counts
    if not len(train):
        raise UsageError("a long tail needs training interactions, and there are none")
    order = np.lexsort((tie_ranks(train.items), -counts))
    before = np.cumsum(counts[order]) - counts[order]
    tail = np.empty(len(order), dtype=bool)
    tail[order] = before >= head * len(train) - 1e-9 * len(train)
    return tail


def relative_spread(rates: ArrayLike) -> float:
    """Population standard deviation over mean of the groups' rates; NaN without any, or if all are 0.

    The last step of REO and RSP; 0 when every group has the same rate, at most sqrt(G - 1).

    >>> relative_spread([1, 3]), relative_spread([0.2, float("nan"), 0.2])
    (0.5, 0.0)
    """
    x = np.asarray(rates, dtype=np.float64)
    x = x[np.isfinite(x)]
    return float(x.std() / x.mean()) if x.size and x.mean() > 0 else float("nan")


def known_mean(values: NDArray[np.float64]) -> float:
    """Mean of the values that are finite; NaN without any."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
