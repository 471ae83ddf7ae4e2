"""Named initialisations, equal on every machine and for any number of threads."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from taurec import draw
from taurec.errors import UsageError, did_you_mean

_BLOCK = 1 << 15
_NAMES = ("xavier_uniform", "xavier_normal", "normal:STD")


def init_table(init: str, seed: int, name: str, rows: int, columns: int) -> Tensor:
    """A [rows, columns] float32 table whose draws depend on (seed, name, row, column) alone.

        xavier_uniform   U(-a, a),  a = sqrt(6 / (rows + columns))      (Glorot and Bengio 2010, eq. 16)
        xavier_normal    N(0, s^2), s = sqrt(2 / (rows + columns))
        normal:STD       N(0, STD^2)

    ``rows + columns`` is fan_in + fan_out as torch and TensorFlow count it for a table. Adding rows
    leaves the draws of the others as they were (their xavier scale changes with the shape).

    Args:
        init: one of the names above.
        seed: of the run.
        name: of the table; tables with different names are independent.
    Raises: UsageError for an unknown name or a STD that is not a positive number.

    >>> init_table("normal:0.1", 0, "user", 3, 2).shape
    torch.Size([3, 2])
    """
    kind, scale = _parse(init, rows, columns)
    stream = draw.key(seed, f"init:{name}")
    table = np.empty((rows, columns), dtype=np.float32)
    for start in range(0, rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, rows))
        if kind == "uniform":
            table[block] = (2.0 * draw.uniform(stream, block, columns) - 1.0) * scale
        else:
            table[block] = draw.normal(stream, block, columns) * scale
    return torch.from_numpy(table)


def _parse(init: str, rows: int, columns: int) -> tuple[str, float]:
    name, _, value = init.partition(":")
    fans = max(rows + columns, 1)
    if init == "xavier_uniform":
        return "uniform", math.sqrt(6.0 / fans)
    if init == "xavier_normal":
        return "normal", math.sqrt(2.0 / fans)
    if name != "normal":
        raise UsageError(f"unknown init {init!r}{did_you_mean(init, _NAMES)}")
    try:
        std = float(value)
    except ValueError:
        std = math.nan
    if not 0.0 < std < math.inf:
        raise UsageError(f"init 'normal' takes a positive standard deviation, as in normal:0.1; got {init!r}")
    return "normal", std
