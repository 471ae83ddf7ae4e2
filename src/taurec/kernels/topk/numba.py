# mypy: ignore-errors
"""Top-K on the CPU by compiled loops: the K best items of each user.

Each row has a heap of its K best items so far, with the worst at the root. Scores below the root's are skipped.
``scan`` reads scores from memory. ``walk`` computes them from two tables, four rows and a panel of 64 items at a time,
and compares them while they are in registers; they are not stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from taurec.kernels import pool
from taurec.kernels.compile import compiled
from taurec.kernels.lanes import fma, load, splat, store, zeros
from taurec.kernels.topk.best import Best, Index, Marks, Ranks

#: Users of one task: their vectors stay in the second-level cache while the task reads all items.
ROWS = 256
_NONE, _NO_MARKS = np.empty(0, np.int64), np.empty(0, np.bool_)
PANEL, TOGETHER = 64, 4
ZERO, ONE, TWO, THREE = (np.uint64(n) for n in range(4))


def best_of_scores(
    scores: Tensor,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: Marks | None = None,
) -> Best:
    """See :mod:`taurec.kernels.topk`.

    >>> scores = torch.tensor([[3.0, 1.0, 2.0, 3.0]])
    >>> best_of_scores(scores, np.array([0]), 2, lambda: torch.tensor([3, 2, 1, 0])).items.tolist()
    [[3, 0]]
    """
    rows = max(1, min(ROWS, -(-len(users) // (2 * torch.get_num_threads()))))
    return _best(compiled("topk", "scan"), (scores.numpy(),), users, k, ranks, seen, banned, rows)


def best_of_tables(
    user: Tensor,
    item: Tensor,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: Marks | None = None,
) -> Best:
    """See :mod:`taurec.kernels.topk`; each score is summed over the columns in order."""
    tables = user.contiguous().view(-1).numpy(), user.shape[1], packed(item), len(item)
    return _best(compiled("topk", "walk"), tables, users, k, ranks, seen, banned, ROWS)


def packed(item: Tensor) -> NDArray[np.float32]:
    """The item table [I, D] as a flat array of panels of 64 items, each column by column, as ``walk`` reads it."""
    n, dim = item.shape
    panels = item.new_zeros(-(-n // PANEL) * PANEL, dim)
    panels[:n] = item
    flat: NDArray[np.float32] = panels.view(-1, PANEL, dim).transpose(1, 2).contiguous().view(-1).numpy()
    return flat


def _best(
    loop: Callable[..., None],
    source: tuple[Any, ...],
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None,
    banned: Marks | None,
    rows: int,
) -> Best:
    b, arrange = len(users), compiled("topk", "arrange")
    scores, items = np.empty((b, k), np.float32), np.empty((b, k), np.int64)
    ties, bad, bad_score = np.empty(b, np.bool_), np.empty(b, np.int64), np.empty(b, np.float32)
    at = np.empty(b, np.int64)
    indptr, indices = (_NONE, _NONE) if seen is None else seen
    marks = _NO_MARKS if banned is None else banned

    def task(lo: int, order: Index) -> None:
        hi = min(lo + rows, b)
        span = slice(lo, hi)
        scores[span], items[span], ties[span], bad[span] = -np.inf, -1, False, -1
        at[span] = indptr[users[span]] if len(indices) else 0
        given = users, indptr, indices, at, marks, order, lo, hi
        loop(*source, *given, scores, items, ties, bad, bad_score)
        arrange(order, lo, hi, scores, items, ties)

    pool.run(lambda t: task(t * rows, _NONE), -(-b // rows))
    again = np.unique(np.flatnonzero(ties) // rows)
    if len(again):
        order = ranks().numpy()
        pool.run(lambda t: task(int(again[t]) * rows, order), len(again))
    wrong = [(int(r), int(bad[r]), float(bad_score[r])) for r in np.flatnonzero(bad >= 0)[:1]]
    return Best(items, scores, wrong[0] if wrong else None)


@intrinsic
def reach(typing: Any, scores: Any, bound: Any) -> Any:
    """An integer whose bit l is set where lane l is not below the bound; NaN is not below it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, n = args[0].type, args[0].type.count
        empty = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(empty, args[1], ir.Constant(ir.IntType(32), 0))
        wide = builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))
        return builder.bitcast(builder.fcmp_unordered(">=", args[0], wide), ir.IntType(n))

    return types.uint64(scores, types.float32), generate


@intrinsic
def lowest(typing: Any, bits: Any) -> Any:
    """The position of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@njit
def _next(row, start, bound):
    """The start of the first chunk of PANEL scores, from ``start`` on, with one that is not below the bound.

    If no full chunk has one, the start of the incomplete chunk at the end of the row.
    """
    while start + PANEL <= len(row):
        # the loop is vectorised only with unsigned positions, a 32-bit count and 64 columns
        n, at = np.int32(0), np.uint64(start)
        for j in range(PANEL):
            n += np.int32(not (row[at + np.uint64(j)] < bound))
        if n:
            break
        start += PANEL
    return start


@njit(inline="always")
def _worse(x, i, y, j, ranks):
    """Whether item i with score x ranks below item j with score y; an item of -1 is padding and has no rank."""
    return x < y or (x == y and len(ranks) > 0 and i >= 0 and j >= 0 and ranks[i] > ranks[j])


@njit(inline="always")
def _sink(values, items, ranks, r, n, x, i):
    """Replace the root of row r's heap of n entries (the worst is the root) by item i with score x; sift it down."""
    row, place, size = np.uint64(r), ZERO, np.uint64(n)
    while True:
        child = place + place + ONE
        if child >= size:
            break
        y, j = values[row, child], items[row, child]
        if child + ONE < size:
            z, m = values[row, child + ONE], items[row, child + ONE]
            if _worse(z, m, y, j, ranks):
                child, y, j = child + ONE, z, m
        if not _worse(y, j, x, i, ranks):
            break
        values[row, place], items[row, place] = y, j
        place = child
    values[row, place], items[row, place] = x, i


@njit(inline="always")
def _offer(x, i, r, users, indptr, seen, at, banned, ranks, values, items, ties, bad, bad_score):
    """Offer item i with score x to the heap of row r, unless it is banned or seen; items come in ascending order.

    ``at`` holds each row's current position in ``seen``. ``ties`` is set for rows in which the order of equal scores
    matters while ``ranks`` is empty. ``bad`` and ``bad_score`` hold each row's first NaN or +inf.
    """
    worst = values[r, 0]
    if x < worst or x == -np.inf or (len(banned) > 0 and banned[i]):
        return
    if len(seen) > 0:
        p, end = at[r], indptr[users[r] + 1]
        while p < end and seen[p] < i:
            p += 1
        at[r] = p
        if p < end and seen[p] == i:
            return
    if not x < np.inf:
        if bad[r] < 0:
            bad[r], bad_score[r] = i, x
        return
    if x == worst:
        if len(ranks) == 0:
            ties[r] = True
            return
        if ranks[i] > ranks[items[r, 0]]:
            return
    _sink(values, items, ranks, r, values.shape[1], x, i)


def scan(tile, users, indptr, seen, at, banned, ranks, lo, hi, values, items, ties, bad, bad_score):
    """Put the best items of rows lo..hi-1 of scores [R, I] in their heaps."""
    for r in range(lo, hi):
        row, stop = tile[r], 0
        while stop < len(row):
            start = _next(row, stop, values[r, 0])
            stop = min(start + PANEL, len(row))
            for c in range(start, stop):
                if not row[c] < values[r, 0]:
                    _offer(row[c], c, r, users, indptr, seen, at, banned, ranks, values, items, ties, bad, bad_score)


@njit
def _four(user, r, dim, packed, panel):
    """The scores of four rows with the items of a panel, each summed over the columns in order."""
    w = zeros(64)
    a, b, c, d = zeros(64), zeros(64), zeros(64), zeros(64)
    first, at, width = np.uint64(r * dim), panel * dim * PANEL, np.uint64(dim)
    for k in range(dim):
        v, u = load(w, packed, at + k * PANEL), first + np.uint64(k)
        a = fma(splat(w, user[u]), v, a)
        b = fma(splat(w, user[u + width]), v, b)
        c = fma(splat(w, user[u + width + width]), v, c)
        d = fma(splat(w, user[u + width + width + width]), v, d)
    return a, b, c, d


def walk(
    table, dim, packed, n_items, users, indptr, seen, at, banned, ranks, lo, hi, values, items, ties, bad, bad_score
):
    """Score rows lo..hi-1 against all items and keep the best: row r is user ``users[r]`` of the flat ``table``.

    ``packed`` holds panels of 64 items, column by column: column k of item j of a panel is at
    ``packed[(panel * dim + k) * 64 + j]``. The last panel is padded with zeros.
    """
    rows = hi - lo
    groups = -(-rows // TOGETHER)
    user, bound = np.zeros(groups * TOGETHER * dim, np.float32), np.full(groups * TOGETHER, np.inf, np.float32)
    held, bits = np.empty(TOGETHER * PANEL, np.float32), np.empty(TOGETHER, np.uint64)
    for r in range(rows):
        user[r * dim : (r + 1) * dim] = table[users[lo + r] * dim : (users[lo + r] + 1) * dim]
        bound[r] = values[lo + r, 0]
    for panel in range(-(-n_items // PANEL)):
        for r in range(0, rows, TOGETHER):
            a, b, c, d = _four(user, r, dim, packed, panel)
            q = np.uint64(r)
            bits_a, bits_b = reach(a, bound[q]), reach(b, bound[q + ONE])
            bits_c, bits_d = reach(c, bound[q + TWO]), reach(d, bound[q + THREE])
            if (bits_a | bits_b | bits_c | bits_d) == ZERO:
                continue
            # scores are stored only here, where at least one may enter a heap
            store(a, held, 0)
            store(b, held, PANEL)
            store(c, held, 2 * PANEL)
            store(d, held, 3 * PANEL)
            bits[0], bits[1], bits[2], bits[3] = bits_a, bits_b, bits_c, bits_d
            for t in range(min(TOGETHER, rows - r)):
                left, s = bits[t], lo + r + t
                while left != ZERO:
                    j = lowest(left)
                    left &= left - ONE
                    i, x = panel * PANEL + j, held[t * PANEL + j]
                    if i < n_items and not x < values[s, 0]:
                        _offer(x, i, s, users, indptr, seen, at, banned, ranks, values, items, ties, bad, bad_score)
                bound[r + t] = values[s, 0]


def arrange(ranks, lo, hi, values, items, ties):
    """Sort the heaps of rows lo..hi-1 into lists, best first."""
    for r in range(lo, hi):
        for n in range(values.shape[1] - 1, 0, -1):
            x, i = values[r, n], items[r, n]
            values[r, n], items[r, n] = values[r, 0], items[r, 0]
            _sink(values, items, ranks, r, n, x, i)
        if len(ranks) == 0:
            for n in range(1, values.shape[1]):
                ties[r] |= values[r, n] == values[r, n - 1] and values[r, n] > -np.inf


_N, _L1, _B1, _F1 = types.int64, types.int64[::1], types.boolean[::1], types.float32[::1]
_R = types.Array(types.int64, 1, "C", readonly=True)
_F2, _L2 = types.float32[:, ::1], types.int64[:, ::1]
_FIXED, _HEAPS = (_L1, _R, _R, _L1, _B1, _R, _N, _N), (_F2, _L2, _B1, _L1, _F1)

SIGNATURES = {
    scan: types.void(_F2, *_FIXED, *_HEAPS),
    walk: types.void(_F1, _N, _F1, _N, *_FIXED, *_HEAPS),
    arrange: types.void(_R, _N, _N, _F2, _L2, _B1),
}
