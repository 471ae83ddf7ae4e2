"""How the step size falls over a run."""

from __future__ import annotations

import math

from taurec.run import LrSchedule


def share(schedule: LrSchedule, done: float) -> float:
    """What is left of the step size after a share ``done`` of all steps of a run, from 0 (before the first) on.

        constant   1
        linear     1 - done
        cosine     (1 + cos(pi done)) / 2

    All steps are those of ``epochs`` epochs, also if the run stops earlier.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983, eq. 5 (cosine, one cycle).

    >>> [share("linear", 0.25), round(share("cosine", 0.5), 3), share("constant", 0.9)]
    [0.75, 0.5, 1.0]
    """
    if schedule == "linear":
        return 1.0 - done
    if schedule == "cosine":
        return (1.0 + math.cos(math.pi * done)) / 2
    return 1.0
