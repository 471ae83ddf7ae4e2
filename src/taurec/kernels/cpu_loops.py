# mypy: ignore-errors
"""The loops of the CPU kernels, compiled by numba; imported only when a kernel is first used.

Rows of the tables are walked in tiles of 64 floats, then 16, then 1, so that a tile of the user vector and
of its gradient stays in vector registers while the pairs of a segment pass by. The vectors are wider than
those of any one machine; the compiler splits them, so neither AVX-512 nor any other extension is required.
Every sum has one order, set by the data alone.

The vector type and its few operations stand in this file because the compiled code on disk is dated by the
file of its kernel. Arrays come flat where a row is addressed as ``table[row * dim + d]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

# --- a vector of float32 lanes -------------------------------------------------------------------


class Lanes(types.Type):
    """``width`` float32 values in registers."""

    def __init__(self, width: int):
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes):
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), kind.width))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any, width: int) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.VectorType(ir.FloatType(), width).as_pointer())


def _lanes(builder: Any, vector: Any, chosen: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


@intrinsic(prefer_literal=True)
def zeros(typing: Any, width: Any) -> Any:
    """A vector of ``width`` zeros."""
    kind = Lanes(width.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(kind), None)

    return kind(width), generate


@intrinsic
def load(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width]`` of a flat float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, array, args[1], args[2], like.width), align=4)

    return like(like, array, types.int64), generate


@intrinsic
def store(typing: Any, value: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width] = value``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _pointer(context, builder, array, args[1], args[2], value.width), align=4)
        return context.get_dummy_value()

    return types.void(value, array, types.int64), generate


@intrinsic
def splat(typing: Any, like: Any, x: Any) -> Any:
    """The float ``x`` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(context.get_value_type(like), ir.Undefined)
        first = builder.insert_element(empty, args[1], ir.Constant(ir.IntType(32), 0))
        return _lanes(builder, first, [0] * like.width)

    return like(like, types.float32), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` by lane, rounded once where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0].type
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fmuladd.v{vector.count}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a, b, c), generate


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum of the lanes, by halves."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,) = args
        while (half := vector.type.count // 2) > 0:
            low, high = _lanes(builder, vector, [*range(half)]), _lanes(builder, vector, [*range(half, 2 * half)])
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float32(a), generate


HALF, COLUMN = np.uint32(16), np.uint32(0xFFFF)

# --- tiles: one segment of pairs, some columns of the tables --------------------------------------
# Pairs lo..hi-1 of row b lie in the block of items that begins at ``base``; the upper half of a pair is its
# item's place there, the lower half its column. ``first`` says that the tile starts the sum. Places are unsigned:
# numba asks of a signed one whether it counts from the end, at a tenth of the time.


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
    """Rows lo..hi-1: sort each row's ids by block of ``1 << shift`` items, score block by block, put back.

    Args:
        user, table: flat [B * dim], [I * dim].
        ids: [B, N].
        pair: [B, N] uint32 written: ids by block, as place in the block << 16 | column they came from.
        start: [K + 1, B] int32 written: where block k begins in row b.
        ordered: [B, N] scratch.
        neg: [B, N] written.
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
    """Rows lo..hi-1: ``weight`` [B, N] written, d_neg by block."""
    for b in range(lo, hi):
        for s in range(pair.shape[1]):
            weight[b, s] = d_neg[b, pair[b, s] & COLUMN]


def weigh_few(pair, start, lo, hi, d_neg, kept, begin, weight):
    """As :func:`weigh`, for the pairs alone whose d_neg is not 0: ``kept`` and ``begin`` are their pair and start."""
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
    """Rows lo..hi-1: ``d_user[b] = sum of weight * item`` over the row's pairs."""
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
    """Block k of the items: ``d_item[i] = sum of weight * user[b]`` over its pairs, by row, then by column."""
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

#: kernel -> its one signature
SIGNATURES = {
    forward: types.boolean(_F1, _F1, _N, _N, _L2, _N, _N, _N, _P2, _I2, _F2, _F2),
    weigh: types.void(_P2, _N, _N, _F2, _F2),
    weigh_few: types.void(_P2, _I2, _N, _N, _F2, _P2, _I2, _F2),
    backward_user: types.void(_F1, _N, _P2, _I2, _N, _N, _N, _F2, _F1),
    backward_item: types.void(_F1, _N, _N, _P2, _I2, _N, _N, _F2, _F1),
}
