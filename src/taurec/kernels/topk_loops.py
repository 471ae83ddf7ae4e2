# mypy: ignore-errors
"""The loops behind the K best columns of tiles of scores: compiled by numba, imported only when one is first used."""

from __future__ import annotations

import numpy as np
from numba import njit, types

CHUNK = 64


@njit
def _reach(row, start, bound):
    """The first chunk from ``start`` on with a score that is not below the bound, NaN included; or the last one."""
    while start + CHUNK <= len(row):
        # unsigned places, a count of 32 bits and 64 columns: with less the loop is not vectorised
        n, at = np.int32(0), np.uint64(start)
        for j in range(CHUNK):
            n += np.int32(not (row[at + np.uint64(j)] < bound))
        if n:
            break
        start += CHUNK
    return start


@njit
def _worse(x, i, y, j, ranks):
    """Whether score x of item i stands after score y of item j; -1 is the place of no item."""
    if x != y or len(ranks) == 0 or i < 0 or j < 0:
        return x < y
    return ranks[i] > ranks[j]


@njit
def _sink(values, items, ranks, place, n):
    """Restore the order of a heap of n with its worst entry on top, when only ``place`` may break it."""
    x, i = values[place], items[place]
    while True:
        child = 2 * place + 1
        if child >= n:
            break
        if child + 1 < n and _worse(values[child + 1], items[child + 1], values[child], items[child], ranks):
            child += 1
        if not _worse(values[child], items[child], x, i, ranks):
            break
        values[place], items[place] = values[child], items[child]
        place = child
    values[place], items[place] = x, i


def scan(tile, first, users, indptr, seen, at, banned, ranks, lo, hi, values, items, ties, bad, bad_score):
    """Rows lo..hi-1 of a tile whose columns are the items from ``first`` on: keep each row's best in its heap.

    Seen items become -inf in the tile. ``at`` is where each row stands in ``seen``; ``ties`` is set where the
    order of equal scores matters and ``ranks`` is empty; ``bad`` and ``bad_score`` are the first NaN or +inf.
    """
    width, k = tile.shape[1], values.shape[1]
    for r in range(lo, hi):
        row, best, best_items = tile[r], values[r], items[r]
        if len(seen):
            p, end = at[r], indptr[users[r] + 1]
            while p < end and seen[p] < first + width:
                row[seen[p] - first] = -np.inf
                p += 1
            at[r] = p
        stop = 0
        while stop < width:
            start = _reach(row, stop, best[0])
            stop = min(start + CHUNK, width)
            for c in range(start, stop):
                x, i = row[c], np.int64(first + c)
                if x < best[0] or x == -np.inf or (len(banned) and banned[i]):
                    continue
                if not x < np.inf:
                    if bad[r] < 0:
                        bad[r], bad_score[r] = i, x
                    continue
                if x == best[0]:
                    if len(ranks) == 0:
                        ties[r] = True
                        continue
                    if ranks[i] > ranks[best_items[0]]:
                        continue
                best[0], best_items[0] = x, i
                _sink(best, best_items, ranks, 0, k)


def arrange(ranks, lo, hi, values, items, ties):
    """Rows lo..hi-1: the heap becomes a list, best first."""
    for r in range(lo, hi):
        best, best_items = values[r], items[r]
        for n in range(values.shape[1] - 1, 0, -1):
            best[0], best[n] = best[n], best[0]
            best_items[0], best_items[n] = best_items[n], best_items[0]
            _sink(best, best_items, ranks, 0, n)
        if len(ranks) == 0:
            for n in range(1, values.shape[1]):
                ties[r] |= best[n] == best[n - 1] and best[n] > -np.inf


_N, _L1, _B1 = types.int64, types.int64[::1], types.boolean[::1]
_R = types.Array(types.int64, 1, "C", readonly=True)
_F2, _L2 = types.float32[:, ::1], types.int64[:, ::1]

SIGNATURES = {
    scan: types.void(_F2, _N, _L1, _R, _R, _L1, _B1, _R, _N, _N, _F2, _L2, _B1, _L1, types.float32[::1]),
    arrange: types.void(_R, _N, _N, _F2, _L2, _B1),
}
