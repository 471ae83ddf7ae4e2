"""The result of a top-K selection: the lists of items with their scores."""

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
    """The best items of b rows.

    Attributes:
        items, scores: [b, k] best first; a list of fewer than k items is padded with -1 and -inf.
        bad: (row, item, score) of the first score that is NaN or +inf; None if there is none.
    """

    items: Index
    scores: NDArray[np.float32]
    bad: tuple[int, int, float] | None
