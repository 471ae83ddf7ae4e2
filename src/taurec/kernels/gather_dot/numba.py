# mypy: ignore-errors
"""Gather-dot on the CPU by compiled loops: float32, any sizes, the same bits for any number of threads.

The ids of each row are first sorted by block of items. Scores and user gradients are then computed block by block of
the item table, so that a block stays in the second-level cache while many rows use it. One thread sums the item
gradient of a block, without atomics and without a copy of the table for each thread.

If less than half of the scores have a gradient that is not 0, as with the hinges of CCL and MML, the others are left
out of both sums; the bits are the same.

Rows of the tables are processed in tiles of 64 floats, then 16, then 1, so that a tile of the user vector or of its
gradient stays in vector registers for all pairs of a segment (the pairs of one row in one block). The data alone
determine the order of every sum. In flat arrays, entry d of a row is ``table[row * dim + d]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit, types
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.errors import UsageError
from taurec.kernels import pool
from taurec.kernels.compile import compiled
from taurec.kernels.lanes import fma, load, splat, store, total, zeros

#: Size of a block of item vectors: half of a common second-level cache.
BLOCK_BYTES = 1 << 19
#: Average number of pairs of a row in one block below which blocks are made larger.
SEGMENT = 4
#: Columns of ids in one call, and log2 of the items in the largest block: a pair is packed into 32 bits.
COLUMNS, LARGEST = 1 << 16, 16
#: Rows of a task above which each thread gets two tasks; every task reads the whole item table once.
ROWS = 1024
#: Floats in a vector of the loops: rows are padded to a multiple of them, because the rest of a row would be slow.
LANES = 16


class GatherDot(torch.autograd.Function):
    """``neg[b, n] = <user[b], item[ids[b, n]]>``; see :func:`taurec.kernels.gather_dot.gather_dot`."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, ids: Tensor, into: Tensor | None) -> Tensor:
        (n_rows, n), (n_items, dim) = ids.shape, item.shape
        shift = block_shift(n_items, dim, n)
        pairs = np.empty((n_rows, n), np.uint32)
        start = np.empty((((n_items - 1) >> shift) + 2, n_rows), np.int32)
        scratch = np.empty((n_rows, n), np.float32)
        neg = torch.empty((n_rows, n))
        rows, table, columns, out = _flat(user), _flat(item), ids.numpy(), neg.numpy()
        loop, spans = compiled("gather_dot", "forward"), _spans(n_rows)
        valid = [False] * len(spans)

        def task(t: int) -> None:
            lo, hi = spans[t]
            valid[t] = loop(rows, table, dim, n_items, columns, shift, lo, hi, pairs, start, scratch, out)

        pool.run(task, len(spans))
        if not all(valid):
            raise IndexError(f"item ids must be in 0..{n_items - 1}, got {int(ids.min())}..{int(ids.max())}")
        ctx.save_for_backward(user, item)
        ctx.plan = (shift, pairs, start, scratch)
        ctx.into = into
        return neg

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_neg: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        user, item = ctx.saved_tensors
        shift, pairs, start, weight = ctx.plan
        n_items, dim = item.shape
        d_user = torch.empty_like(user) if ctx.needs_input_grad[0] else None
        d_item = torch.empty_like(item) if ctx.needs_input_grad[1] else ctx.into
        rows, table, given = _flat(user), _flat(item), d_neg.contiguous().numpy()
        by_rows, by_items, spans = (
            compiled("gather_dot", "backward_user"),
            compiled("gather_dot", "backward_item"),
            _spans(len(user)),
        )
        few = 2 * int(torch.count_nonzero(d_neg)) < d_neg.numel()
        every, begin = pairs, start
        if few:
            pairs, start = np.empty_like(every), np.empty_like(begin)
        weigh = compiled("gather_dot", "weigh_few" if few else "weigh")

        def task(t: int) -> None:
            if few:
                weigh(every, begin, *spans[t], given, pairs, start, weight)
            else:
                weigh(every, *spans[t], given, weight)
            if d_user is not None:
                by_rows(table, dim, pairs, start, shift, *spans[t], weight, _flat(d_user))

        pool.run(task, len(spans))
        if d_item is not None:
            into = _flat(d_item)
            pool.run(lambda k: by_items(rows, dim, n_items, pairs, start, shift, k, weight, into), len(start) - 1)
        return d_user, d_item if ctx.needs_input_grad[1] else None, None, None


def gather_dot(user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> Tensor:
    """The compiled gather-dot; arguments as :func:`taurec.kernels.gather_dot.gather_dot`, float32 on CPU.

    Raises: IndexError if an id is not in 0..I-1; UsageError for more ids than a call can write to one ``d_item``.
    """
    if d_item is not None and ids.shape[1] > COLUMNS:
        raise UsageError(f"d_item takes the gradient of at most {COLUMNS} columns of ids, got {ids.shape[1]}")
    filling = -item.shape[1] % LANES
    # copying both tables costs less than the slow end of a row in every pair
    if filling and d_item is None and ids.numel() >= len(item):
        user, item = F.pad(user, (0, filling)), F.pad(item, (0, filling))
    user, item = user.contiguous(), item.contiguous()
    parts = [GatherDot.apply(user, item, part.contiguous(), d_item) for part in ids.split(COLUMNS, 1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def block_shift(n_items: int, dim: int, n: int) -> int:
    """Log2 of the items in a block, a function of shapes alone."""
    shift = 4
    while shift < LARGEST and (1 << shift) * dim * 4 < BLOCK_BYTES:
        shift += 1
    while shift < LARGEST and ((n_items - 1) >> shift) + 1 > max(1, n // SEGMENT):
        shift += 1
    return shift


def _spans(n_rows: int) -> list[tuple[int, int]]:
    """The spans of rows of the tasks; they do not change the bits, since a row's sums use its own pairs only."""
    threads = torch.get_num_threads()
    size = -(-n_rows // (threads if threads == 1 or n_rows < ROWS * threads else 2 * threads))
    return [(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]


def _flat(table: Tensor) -> np.ndarray:
    return table.detach().view(-1).numpy()


HALF, COLUMN = np.uint32(16), np.uint32(0xFFFF)

# --- tiles: one segment of pairs, some columns of the tables --------------------------------------
# Pairs lo..hi-1 of row b lie in the block of items that begins at ``base``; the upper half of a pair is its item's
# position in the block, the lower half its column. ``first`` means that the tile starts the sum. Positions are
# unsigned: for a signed index numba checks whether it counts from the end, which costs a tenth of the time.


@njit
def _dots(like, user, table, b, dim, d, base, pair, lo, hi, first, out):
    vector = load(like, user, b * dim + d)
    r = np.uint64(b)
    for s in range(lo, hi):
        x = total(fma(vector, load(like, table, (base + np.int64(pair[r, s] >> HALF)) * dim + d), like))
        out[r, s] = x if first else out[r, s] + x


@njit
def _pull(like, table, b, dim, d, base, pair, lo, hi, weight, d_user):
    vector = load(like, d_user, b * dim + d)
    r = np.uint64(b)
    for s in range(lo, hi):
        vector = fma(
            splat(like, weight[r, s]), load(like, table, (base + np.int64(pair[r, s] >> HALF)) * dim + d), vector
        )
    store(vector, d_user, b * dim + d)


@njit
def _push(like, user, b, dim, d, base, pair, lo, hi, weight, d_item):
    vector = load(like, user, b * dim + d)
    r = np.uint64(b)
    for s in range(lo, hi):
        at = (base + np.int64(pair[r, s] >> HALF)) * dim + d
        store(fma(splat(like, weight[r, s]), vector, load(like, d_item, at)), d_item, at)


# --- kernels ---------------------------------------------------------------------------------------


def forward(user, table, dim, n_items, ids, shift, lo, hi, pair, start, ordered, neg):
    """Score rows lo..hi-1: sort each row's ids by block of ``1 << shift`` items, score block by block, undo the sort.

    Args:
        user, table: flat [B * dim], [I * dim].
        ids: [B, N].
        pair: [B, N] uint32, receives the sorted ids, each as position in the block << 16 | column in ``ids``.
        start: [K + 1, B] int32, receives the position in row b where block k begins.
        ordered: [B, N] scratch memory.
        neg: [B, N] receives the scores.
    Returns: False if an id is not in 0..n_items-1; nothing is scored then.
    """
    n, blocks = ids.shape[1], start.shape[0] - 1
    count, cursor, flat = np.empty(blocks + 1, np.int32), np.empty(blocks, np.int64), pair.reshape(-1)
    inside = (1 << shift) - 1
    for b in range(lo, hi):
        top = np.uint64(0)
        for j in range(n):
            top = max(top, np.uint64(ids[b, j]))
        if top >= np.uint64(n_items):
            return False
        count[:] = 0
        for j in range(n):
            count[np.uint64(ids[b, j] >> shift) + np.uint64(1)] += 1
        start[0, b] = 0
        for k in range(blocks):
            count[k + 1] += count[k]
            start[k + 1, b] = count[k + 1]
            cursor[k] = count[k] + b * n
        for j in range(n):
            k = np.uint64(ids[b, j] >> shift)
            at = np.uint64(cursor[k])
            cursor[k] = at + np.uint64(1)
            flat[at] = np.uint32(((ids[b, j] & inside) << 16) | j)
    wide, narrow = zeros(64), zeros(16)
    for k in range(blocks):
        for b in range(lo, hi):
            first, last, u = np.uint64(start[k, b]), np.uint64(start[k + 1, b]), b * dim
            if first == last:
                continue
            d = 0
            while d + 64 <= dim:
                _dots(wide, user, table, b, dim, d, k << shift, pair, first, last, d == 0, ordered)
                d += 64
            while d + 16 <= dim:
                _dots(narrow, user, table, b, dim, d, k << shift, pair, first, last, d == 0, ordered)
                d += 16
            if d < dim:
                for s in range(first, last):
                    x = np.float32(0) if d == 0 else ordered[b, s]
                    at = ((k << shift) + np.int64(pair[b, s] >> HALF)) * dim
                    for e in range(d, dim):
                        x += user[u + e] * table[at + e]
                    ordered[b, s] = x
    for b in range(lo, hi):
        for s in range(n):
            neg[b, pair[b, s] & COLUMN] = ordered[b, s]
    return True


def weigh(pair, lo, hi, d_neg, weight):
    """Write d_neg of rows lo..hi-1, in the order of ``pair``, to ``weight`` [B, N]."""
    for b in range(lo, hi):
        for s in range(pair.shape[1]):
            weight[b, s] = d_neg[b, pair[b, s] & COLUMN]


def weigh_few(pair, start, lo, hi, d_neg, kept, begin, weight):
    """As :func:`weigh`, only for pairs whose d_neg is not 0; ``kept`` and ``begin`` receive their pair and start."""
    for b in range(lo, hi):
        at = np.uint64(0)
        for k in range(start.shape[0] - 1):
            begin[k, b] = at
            for s in range(np.uint64(start[k, b]), np.uint64(start[k + 1, b])):
                x = d_neg[b, pair[b, s] & COLUMN]
                kept[b, at], weight[b, at] = pair[b, s], x
                if x != 0:
                    at += np.uint64(1)
        begin[start.shape[0] - 1, b] = at


def backward_user(table, dim, pair, start, shift, lo, hi, weight, d_user):
    """Write ``d_user[b] = sum of weight * item`` over the pairs of each of rows lo..hi-1."""
    d_user[lo * dim : hi * dim] = 0
    wide, narrow = zeros(64), zeros(16)
    for k in range(start.shape[0] - 1):
        for b in range(lo, hi):
            first, last, u = np.uint64(start[k, b]), np.uint64(start[k + 1, b]), b * dim
            if first == last:
                continue
            d = 0
            while d + 64 <= dim:
                _pull(wide, table, b, dim, d, k << shift, pair, first, last, weight, d_user)
                d += 64
            while d + 16 <= dim:
                _pull(narrow, table, b, dim, d, k << shift, pair, first, last, weight, d_user)
                d += 16
            if d < dim:
                for s in range(first, last):
                    at = ((k << shift) + np.int64(pair[b, s] >> HALF)) * dim
                    for e in range(d, dim):
                        d_user[u + e] += weight[b, s] * table[at + e]


def backward_item(user, dim, n_items, pair, start, shift, k, weight, d_item):
    """Write ``d_item[i] = sum of weight * user[b]`` over the pairs of the items in block k, by row, then by column."""
    d_item[(k << shift) * dim : min((k + 1) << shift, n_items) * dim] = 0
    wide, narrow = zeros(64), zeros(16)
    for b in range(pair.shape[0]):
        first, last, u = np.uint64(start[k, b]), np.uint64(start[k + 1, b]), b * dim
        if first == last:
            continue
        d = 0
        while d + 64 <= dim:
            _push(wide, user, b, dim, d, k << shift, pair, first, last, weight, d_item)
            d += 64
        while d + 16 <= dim:
            _push(narrow, user, b, dim, d, k << shift, pair, first, last, weight, d_item)
            d += 16
        if d < dim:
            for s in range(first, last):
                at = ((k << shift) + np.int64(pair[b, s] >> HALF)) * dim
                for e in range(d, dim):
                    d_item[at + e] += weight[b, s] * user[u + e]


_F1, _F2, _I2, _L2 = types.float32[::1], types.float32[:, ::1], types.int32[:, ::1], types.int64[:, ::1]
_N, _P2 = types.int64, types.uint32[:, ::1]

#: The types of the arguments of each loop.
SIGNATURES = {
    forward: types.boolean(_F1, _F1, _N, _N, _L2, _N, _N, _N, _P2, _I2, _F2, _F2),
    weigh: types.void(_P2, _N, _N, _F2, _F2),
    weigh_few: types.void(_P2, _I2, _N, _N, _F2, _P2, _I2, _F2),
    backward_user: types.void(_F1, _N, _P2, _I2, _N, _N, _N, _F2, _F1),
    backward_item: types.void(_F1, _N, _N, _P2, _I2, _N, _N, _F2, _F1),
}
