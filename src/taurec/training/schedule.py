"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable

from taurec.run import LrSchedule


def share(schedule: LrSchedule, done: float, waits: int = 0) -> float:
    """The factor of the learning rate after a share ``done`` of all steps of a run, from 0 (before the first) on.

        constant   1
        linear     1 - done
        cosine     (1 + cos(pi done)) / 2
        plateau    10^-waits, at least 1/100; ``waits`` counts the validations without improvement

    All steps are those of ``epochs`` epochs, also if the run stops earlier.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983, eq. 5 (cosine, one cycle); the training code of
    SimpleX (plateau, whose floor is a rate of 1e-6: the same for its rate of 1e-4). Differs from that code in: the
    weights stay as they are when the learning rate falls, where theirs return to the best so far.

    >>> [share("linear", 0.25), round(share("cosine", 0.5), 3), share("constant", 0.9), share("plateau", 0.5, waits=1)]
    [0.75, 0.5, 1.0, 0.1]
    """
    if schedule == "linear":
        return 1.0 - done
    if schedule == "cosine":
        return (1.0 + math.cos(math.pi * done)) / 2
    if schedule == "plateau":
        return max(0.1**waits, 0.01)
    return 1.0


def waits(values: Iterable[float]) -> int:
    """The number of validations, in their order, that did not improve on those before.

    >>> waits([0.1, 0.2, 0.2, 0.15, 0.3])
    2
    """
    best, count = -math.inf, 0
    for value in values:
        count += value <= best
        best = max(best, value)
    return count
