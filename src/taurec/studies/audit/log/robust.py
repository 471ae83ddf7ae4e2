"""A rule for outliers that the outliers themselves cannot change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEVIATIONS = 3.5


def upper_limit(x: NDArray[np.float64], deviations: float = DEVIATIONS, least: float = 0.1) -> float:
    """median + deviations * max(1.4826 * median |x - median|, least): beyond it a value is far outside.

    1.4826 times the median absolute deviation is the standard deviation of a normal sample, and half of the
    values would have to change to move it far.

    Args:
        least: the least deviation, for values that are nearly all equal; in units of x.
    Returns: inf without values.
    Source: the modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993), who take
        3.5 too.

    >>> round(upper_limit(np.array([1.0, 2.0, 3.0, 4.0, 100.0])), 2)
    8.19
    """
    if not len(x):
        return float("inf")
    middle = float(np.median(x))
    spread = 1.4826 * float(np.median(np.abs(x - middle)))
    return middle + deviations * max(spread, least)
