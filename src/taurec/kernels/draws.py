"""Uniform item ids from the counter-based generator, compiled: the values of ``taurec.draw.integers``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taurec import draw
from taurec.kernels import pool
from taurec.kernels.compile import kernel


def uniform_ids(stream: int, rows: ArrayLike, n_items: int, n: int, start: int = 0) -> NDArray[np.int64]:
    """``draw.integers(stream, rows, n_items, n, start)``, value for value, on torch's number of threads.

    Args:
        stream: a value of :func:`taurec.draw.key`.
        rows: [B] integers, the identity of each row.
        n_items: ids are in 0..n_items-1.
        n: ids a row.
        start: first column.
    Returns: [B, n] int64.

    >>> bool((uniform_ids(7, [1, 2], 100, 5) == draw.integers(7, [1, 2], 100, 5)).all())
    True
    """
    from taurec.kernels import available

    ids = np.asarray(rows, np.int64)
    if available()["numba"] != "ok" or not 0 < n_items < 1 << 32 or ids.size * n == 0:
        return draw.integers(stream, ids, n_items, n, start)
    ids = np.ascontiguousarray(ids)
    out, loop = np.empty((len(ids), n), np.int64), kernel("uniform")
    size = max(1, (1 << 17) // n)
    words = np.uint64(stream % (1 << 64)), ids, np.uint64(n_items), start
    pool.run(lambda t: loop(*words, t * size, min((t + 1) * size, len(ids)), out), -(-len(ids) // size))
    return out
