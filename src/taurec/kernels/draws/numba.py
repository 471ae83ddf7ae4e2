# mypy: ignore-errors
"""Draws of negatives and membership by compiled loops, on torch's number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numba import njit, types
from numpy.typing import NDArray

from taurec import draw
from taurec.kernels import pool
from taurec.kernels.compile import compiled

Index = NDArray[np.int64]
GOLDEN, MIX_1, MIX_2 = np.uint64(draw.GOLDEN), np.uint64(draw.MIX_1), np.uint64(draw.MIX_2)


def uniform_ids(stream: int, rows: Index, n_items: int, n: int, start: int) -> Index:
    """See :func:`taurec.kernels.draws.uniform_ids`."""
    rows = np.ascontiguousarray(rows)
    out, loop = np.empty((len(rows), n), np.int64), compiled("draws", "uniform")
    words = np.uint64(stream % (1 << 64)), rows, np.uint64(n_items), start
    _by_rows(len(rows), n, lambda lo, hi: loop(*words, lo, hi, out))
    return out


def uniform_ids_without(
    stream: int, rows: Index, n_items: int, n: int, user: Index, indptr: Index, indices: Index, rounds: int
) -> Index:
    """See :func:`taurec.kernels.draws.uniform_ids_without`."""
    out, loop = np.empty((len(rows), n), np.int64), compiled("draws", "uniform_without")
    words = np.uint64(stream % (1 << 64)), np.ascontiguousarray(rows), np.uint64(n_items), rounds
    given = indptr, indices, np.ascontiguousarray(user)
    _by_rows(len(rows), n, lambda lo, hi: loop(*words, *given, lo, hi, out))
    return out


def member(indptr: Index, indices: Index, n_items: int, user: Index, ids: Index) -> NDArray[np.bool_]:
    """See :func:`taurec.kernels.draws.member`.

    Each row marks its user's items in a bit set over the catalogue, looks up all its ids, and clears the marks.
    """
    n = ids.shape[-1]
    out, loop = np.empty((len(user), n), np.bool_), compiled("draws", "members")
    given = indptr, indices, n_items, np.ascontiguousarray(user), np.ascontiguousarray(ids.reshape(-1, n))
    size = max(1, -(-len(user) // (4 * torch.get_num_threads())))
    pool.run(lambda t: loop(*given, t * size, min((t + 1) * size, len(user)), out), -(-len(user) // size))
    return out


def _by_rows(rows: int, n: int, work: Callable[[int, int], object]) -> None:
    size = max(1, (1 << 17) // max(n, 1))
    pool.run(lambda t: work(t * size, min((t + 1) * size, rows)), -(-rows // size))


@njit
def _mix(x):
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


def uniform(stream, rows, n_items, first, lo, hi, out):
    """Write ``draw.integers(stream, rows, n_items, columns, first)`` for rows lo..hi-1."""
    for b in range(lo, hi):
        counter = _mix(stream + (np.uint64(rows[b]) + np.uint64(1)) * GOLDEN) + np.uint64(first) * GOLDEN
        for j in range(out.shape[1]):
            word = _mix(counter + np.uint64(j + 1) * GOLDEN)
            out[b, j] = np.int64(((word >> np.uint64(32)) * n_items) >> np.uint64(32))


def uniform_without(stream, rows, n_items, rounds, indptr, indices, user, lo, hi, out):
    """Write ids without the items of the row's user for rows lo..hi-1.

    Id j is column j of :func:`uniform`; while that is an item of the user, column j + k * columns for k < ``rounds``;
    -1 where all of them are items of the user.
    """
    n = out.shape[1]
    marks = np.zeros((np.int64(n_items) >> 6) + 1, np.uint64)
    one, inside = np.uint64(1), np.int64(63)
    for b in range(lo, hi):
        first, last = indptr[user[b]], indptr[user[b] + 1]
        for p in range(first, last):
            i = indices[p]
            marks[i >> 6] |= one << np.uint64(i & inside)
        counter = _mix(stream + (np.uint64(rows[b]) + np.uint64(1)) * GOLDEN)
        for j in range(n):
            out[b, j] = -1
            for k in range(rounds):
                word = _mix(counter + np.uint64(j + k * n + 1) * GOLDEN)
                i = np.int64(((word >> np.uint64(32)) * n_items) >> np.uint64(32))
                if not (marks[i >> 6] >> np.uint64(i & inside)) & one:
                    out[b, j] = i
                    break
        for p in range(first, last):
            marks[indices[p] >> 6] = 0


def members(indptr, indices, n_items, user, ids, lo, hi, out):
    """Write whether ``ids[b, j]`` is in ``indices[indptr[user[b]] : indptr[user[b] + 1]]`` for rows b in lo..hi-1.

    The user's items are marked in a bit set over the catalogue, and a second loop over them clears it.
    ``ids`` has one row for each b, or a single row for all.
    """
    marks = np.zeros((n_items >> 6) + 1, np.uint64)
    one, inside = np.uint64(1), np.int64(63)
    for b in range(lo, hi):
        first, last, r = indptr[user[b]], indptr[user[b] + 1], b if ids.shape[0] > 1 else 0
        for p in range(first, last):
            i = indices[p]
            marks[i >> 6] |= one << np.uint64(i & inside)
        for j in range(ids.shape[1]):
            i = ids[r, j]
            out[b, j] = (marks[i >> 6] >> np.uint64(i & inside)) & one
        for p in range(first, last):
            marks[indices[p] >> 6] = 0


_N, _U, _L1, _L2 = types.int64, types.uint64, types.int64[::1], types.int64[:, ::1]
_R = types.Array(types.int64, 1, "C", readonly=True)

SIGNATURES = {
    uniform: types.void(_U, _L1, _U, _N, _N, _N, _L2),
    uniform_without: types.void(_U, _L1, _U, _N, _R, _R, _L1, _N, _N, _L2),
    members: types.void(_R, _R, _N, _L1, _L2, _N, _N, types.boolean[:, ::1]),
}
