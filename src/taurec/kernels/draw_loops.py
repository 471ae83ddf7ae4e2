# mypy: ignore-errors
"""The loops behind draws of negatives: compiled by numba, imported only when one is first used."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from taurec import draw

GOLDEN, MIX_1, MIX_2 = np.uint64(draw.GOLDEN), np.uint64(draw.MIX_1), np.uint64(draw.MIX_2)


@njit
def _mix(x):
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


def uniform(stream, rows, n_items, first, lo, hi, out):
    """Rows lo..hi-1: ``draw.integers(stream, rows, n_items, columns, first)``."""
    for b in range(lo, hi):
        counter = _mix(stream + (np.uint64(rows[b]) + np.uint64(1)) * GOLDEN) + np.uint64(first) * GOLDEN
        for j in range(out.shape[1]):
            word = _mix(counter + np.uint64(j + 1) * GOLDEN)
            out[b, j] = np.int64(((word >> np.uint64(32)) * n_items) >> np.uint64(32))


def uniform_without(stream, rows, n_items, rounds, indptr, indices, user, lo, hi, out):
    """Rows lo..hi-1: column j of :func:`uniform`; while that is an item of the user, column j + k * columns for
    k < ``rounds``; -1 where all of them are."""
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


def member(indptr, indices, n_items, user, ids, lo, hi, out):
    """Rows lo..hi-1: whether ``ids[b, j]`` is one of ``indices[indptr[user[b]] : indptr[user[b] + 1]]``.

    The user's items are marked in a set of one bit an item, which is cleared again by the same walk.
    ``ids`` has one row for each row, or one for all.
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
    member: types.void(_R, _R, _N, _L1, _L2, _N, _N, types.boolean[:, ::1]),
}
