"""The lists that a selection returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Index = NDArray[np.int64]
Marks = NDArray[np.bool_]
Ranks = Callable[[], Tensor]
"""[I] int64 on the CPU: the position of each item in the order that breaks ties; called only where a tie matters."""


class Best(NamedTuple):
    """The best items of some rows.

    Attributes:
        items, scores: [b, k] best first; -1 and -inf after the end of a list that is short.
        bad: the first row with a score that is NaN or +inf, the item, and the score; None if there is none.
    """

    items: Index
    scores: NDArray[np.float32]
    bad: tuple[int, int, float] | None
