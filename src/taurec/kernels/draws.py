"""Negatives, compiled: uniform ids from the counter-based generator, and which ids a user is known to like.

Both give the values of their plain form, so which one runs cannot be seen in a result.
"""

from __future__ import annotations

from collections.abc import Callable

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
    ids = np.asarray(rows, np.int64)
    if not _worth(ids, n_items, n):
        return draw.integers(stream, ids, n_items, n, start)
    ids = np.ascontiguousarray(ids)
    out, loop = np.empty((len(ids), n), np.int64), kernel("uniform")
    words = np.uint64(stream % (1 << 64)), ids, np.uint64(n_items), start
    _by_rows(len(ids), n, lambda lo, hi: loop(*words, lo, hi, out))
    return out


def uniform_ids_without(
    stream: int,
    rows: NDArray[np.int64],
    n_items: int,
    n: int,
    user: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    rounds: int,
) -> NDArray[np.int64] | None:
    """:func:`uniform_ids` that are no items of the row's user; None where there is too little to do, or no compiler.

    Slot c is column c of the row; while that is an item of the user, column c + k * n, with k < ``rounds``.

    Args:
        stream, rows, n_items, n: as there.
        user: [B] the user of each row.
        indptr, indices: the items of each user, in compressed rows.
        rounds: columns tried for a slot.
    Returns: [B, n] ids, -1 where all rounds drew an item of the user.

    >>> rows, user, indptr, indices = np.arange(8192), np.zeros(8192, np.int64), np.array([0, 2]), np.array([1, 3])
    >>> ids = uniform_ids_without(7, rows, 4, 2, user, indptr, indices, 30)
    >>> None if ids is None else np.unique(ids).tolist()
    [0, 2]
    """
    if not _worth(rows, n_items, n):
        return None
    out, loop = np.empty((len(rows), n), np.int64), kernel("uniform_without")
    words = np.uint64(stream % (1 << 64)), np.ascontiguousarray(rows), np.uint64(n_items), rounds
    given = indptr, indices, np.ascontiguousarray(user)
    _by_rows(len(rows), n, lambda lo, hi: loop(*words, *given, lo, hi, out))
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


def _worth(rows: NDArray[np.int64], n_items: int, n: int) -> bool:
    """Whether ids of a catalogue of this size are drawn by the loops."""
    from taurec.kernels import available

    return rows.size * n >= WORTH and 0 < n_items < 1 << 32 and available()["numba"] == "ok"


def _by_rows(rows: int, n: int, work: Callable[[int, int], object]) -> None:
    size = max(1, (1 << 17) // n)
    pool.run(lambda t: work(t * size, min((t + 1) * size, rows)), -(-rows // size))
