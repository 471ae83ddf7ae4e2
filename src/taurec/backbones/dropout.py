"""Dropout masks as a function of (seed, purpose, epoch, step, row, column)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from taurec import draw
from taurec.errors import UsageError

_BLOCK = 1 << 14


def check_rate(name: str, rate: float) -> None:
    """Refuse a dropout rate outside [0, 1)."""
    if not 0.0 <= rate < 1.0:
        raise UsageError(f"{name} is the share that is dropped, at least 0 and below 1; got {rate}")


def keep_scale(rate: float, stream: int, step: int, rows: int, columns: int = 1) -> Tensor:
    """[rows, columns] float32: 0 with probability ``rate``, else 1 / (1 - rate).

    Row r, column c of step s takes the draw (r, s * columns + c) of the stream, so a mask can be
    reproduced without the masks before it.

    >>> keep_scale(0.5, 7, step=3, rows=2, columns=4).tolist()
    [[0.0, 0.0, 2.0, 2.0], [0.0, 2.0, 0.0, 2.0]]
    """
    threshold = np.uint64(int(rate * 2.0**64))
    mask = np.empty((rows, columns), dtype=np.float32)
    for start in range(0, rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, rows))
        mask[block] = draw.bits(stream, block, columns, step * columns) >= threshold
    return torch.from_numpy(mask).mul_(1.0 / (1.0 - rate))


def keep_scale_wide(rate: float, stream: int, step: int, rows: int, columns: int) -> Tensor:
    """:func:`keep_scale` for wide tables, of :func:`taurec.draw.lanes`; the rate is met to 1 / 2**16.

    >>> keep_scale_wide(0.5, 7, step=3, rows=2, columns=4).tolist()
    [[0.0, 0.0, 0.0, 2.0], [2.0, 0.0, 0.0, 2.0]]
    """
    threshold = np.uint16(min(round(rate * 2**16), 2**16 - 1))
    mask = np.empty((rows, columns), dtype=np.float32)
    for start in range(0, rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, rows))
        mask[block] = draw.lanes(stream, block, columns, step) >= threshold
    return torch.from_numpy(mask).mul_(1.0 / (1.0 - rate))
