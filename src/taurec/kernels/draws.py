"""Negatives, compiled: uniform ids from the counter-based generator, and which ids a user is known to like.

Both give the values of their plain form, so which one runs cannot be seen in a result.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from taurec import draw
from taurec.kernels import pool
from taurec.kernels.compile import kernel

#: Ids of a call below which the plain form is taken: less work than starting the compiler is worth.
WORTH = 1 << 14


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
    if ids.size * n < WORTH or not 0 < n_items < 1 << 32 or available()["numba"] != "ok":
        return draw.integers(stream, ids, n_items, n, start)
    ids = np.ascontiguousarray(ids)
    out, loop = np.empty((len(ids), n), np.int64), kernel("uniform")
    size = max(1, (1 << 17) // n)
    words = np.uint64(stream % (1 << 64)), ids, np.uint64(n_items), start
    pool.run(lambda t: loop(*words, t * size, min((t + 1) * size, len(ids)), out), -(-len(ids) // size))
    return out


def member(
    indptr: NDArray[np.int64], indices: NDArray[np.int64], n_items: int, user: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Which ids are among the items of the row's user; None where there is too little to do, or no compiler.

    Each row marks its user's items in a set of one bit an item, looks all its ids up, and clears the marks.

    Args:
        indptr, indices: the items of each user, in compressed rows.
        n_items: ids are in 0..n_items-1.
        user: [B].
        ids: [B, N] for each row its own, or [N] for all rows.
    Returns: [B, N].

    >>> indptr, indices = np.array([0, 2]), np.array([1, 3])
    >>> found = member(indptr, indices, 4, np.zeros(8192, np.int64), np.array([0, 1, 3]))
    >>> None if found is None else found[8191].tolist()
    [False, True, True]
    """
    from taurec.kernels import available

    n = ids.shape[-1]
    if len(user) * n < WORTH or available()["numba"] != "ok":
        return None
    out, loop = np.empty((len(user), n), np.bool_), kernel("member")
    given = indptr, indices, n_items, np.ascontiguousarray(user), np.ascontiguousarray(ids.reshape(-1, n))
    size = max(1, -(-len(user) // (4 * torch.get_num_threads())))
    pool.run(lambda t: loop(*given, t * size, min((t + 1) * size, len(user)), out), -(-len(user) // size))
    return out
