# mypy: ignore-errors
"""The loops of the graph hop, compiled by numba; imported only when a hop is first compiled.

A row of the product is summed in vector registers over its edges in their stored order, in tiles of 64 columns,
then 16, 4 and 1; no bits depend on how rows are dealt to threads. The row of an edge lies anywhere in a table
larger than the second-level cache, so it is asked for some edges ahead: a sixth less time at Yelp2018's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from taurec.kernels.cpu_loops import fma, load, splat, store, zeros

#: Edges between asking for a row and using it. Unsigned, as all places: numba asks of a signed one whether it counts
#: from the end, at a quarter of the hop's time.
AHEAD, ONE = np.uint64(16), np.uint64(1)


@intrinsic
def prefetch(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """Ask for the cache lines of ``array[at : at + width]``; no effect on any value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, flag = context.make_array(array)(context, builder, args[1]).data, ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        for line in range(0, like.width, 16):
            place = builder.gep(data, [builder.add(args[2], ir.Constant(args[2].type, line))])
            builder.call(function, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(like, array, types.int64), generate


@njit
def _sum(like, indices, values, x, dim, d, first, last, end, s, out, r, base, scale, total):
    vector = like
    for p in range(first, last):
        prefetch(like, x, np.int64(indices[min(p + AHEAD, end)]) * dim + d)
        vector = fma(splat(like, values[p]), load(like, x, np.int64(indices[p]) * dim + d), vector)
    if len(out) > 0:
        store(vector, out, s * dim + d)
    if len(total) > 0:
        vector = fma(splat(like, np.float32(1)), load(like, base, r * dim + d), vector)
        store(fma(splat(like, scale), vector, like), total, s * dim + d)


@njit
def outside(indptr, indices, rows, lo, hi, dim, size):
    """Whether an index of the rows lies outside a flat table of ``size`` entries."""
    top = np.uint32(0)
    if len(rows) == 0:
        for p in range(np.uint64(indptr[lo]), np.uint64(indptr[hi])):
            top = max(top, np.uint32(indices[p]))
    else:
        for s in range(lo, hi):
            for p in range(np.uint64(indptr[rows[s]]), np.uint64(indptr[rows[s] + 1])):
                top = max(top, np.uint32(indices[p]))
    return top > 0 and np.int64(top) * dim >= size


def hop_rows(indptr, indices, values, x, dim, rows, lo, hi, out, base, scale, total):
    """For s in lo..hi-1, with r = rows[s] (r = s if ``rows`` is empty): ``y = sum_p values[p] x[indices[p]]``.

    Args:
        x: flat [columns * dim].
        out: flat, row s becomes y; or empty.
        base, total: flat, row s of total becomes ``scale (base[r] + y)``; or total empty. They may be one array.
    Returns: False if an index lies outside x; nothing is written then.
    """
    everywhere = len(rows) == 0
    if outside(indptr, indices, rows, lo, hi, dim, len(x)):
        return False
    end = np.uint64(indptr[hi]) - ONE
    for s in range(lo, hi):
        r = s if everywhere else rows[s]
        first, last, d = np.uint64(indptr[r]), np.uint64(indptr[r + 1]), 0
        ahead = end if everywhere else last - ONE
        while d + 64 <= dim:
            _sum(zeros(64), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 64
        while d + 16 <= dim:
            _sum(zeros(16), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 16
        while d + 4 <= dim:
            _sum(zeros(4), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 4
        while d < dim:
            _sum(zeros(1), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 1
    return True


@njit
def _spread(like, indices, values, g, dim, d, first, last, s, out):
    vector = load(like, g, s * dim + d)
    for p in range(first, last):
        prefetch(like, out, np.int64(indices[min(p + AHEAD, last - 1)]) * dim + d)
        at = np.int64(indices[p]) * dim + d
        store(fma(splat(like, values[p]), vector, load(like, out, at)), out, at)


@njit
def _from(indices, first, last, column):
    """The first place in first..last whose index is at least ``column``."""
    while first < last:
        mid = (first + last) >> 1
        if indices[mid] < column:
            first = mid + 1
        else:
            last = mid
    return first


def hop_back(indptr, indices, values, g, dim, rows, lo, hi, out):
    """Columns lo..hi-1 of the product: ``out[c] = sum over s, p with indices[p] = c of values[p] g[s]``, s ascending.

    Args:
        g: flat [len(rows) * dim]; row s stands at row ``rows[s]`` of the matrix.
        out: flat [columns * dim].
    Returns: False if an index lies outside out or the indices of a row do not ascend.
    """
    out[lo * dim : hi * dim] = 0
    for s in range(len(rows)):
        begin, end = np.int64(indptr[rows[s]]), np.int64(indptr[rows[s] + 1])
        first = _from(indices, begin, end, lo)
        last = _from(indices, first, end, hi)
        for p in range(first, last):
            if indices[p] < lo or indices[p] >= hi:
                return False
        if hi * dim == len(out) and last < end:
            return False
        d = 0
        while d + 64 <= dim:
            _spread(zeros(64), indices, values, g, dim, d, first, last, s, out)
            d += 64
        while d + 16 <= dim:
            _spread(zeros(16), indices, values, g, dim, d, first, last, s, out)
            d += 16
        while d + 4 <= dim:
            _spread(zeros(4), indices, values, g, dim, d, first, last, s, out)
            d += 4
        while d < dim:
            _spread(zeros(1), indices, values, g, dim, d, first, last, s, out)
            d += 1
    return True


_F, _F1, _I1, _L1, _N = types.float32, types.float32[::1], types.int32[::1], types.int64[::1], types.int64

SIGNATURES = {
    hop_rows: types.boolean(_I1, _I1, _F1, _F1, _N, _L1, _N, _N, _F1, _F1, _F, _F1),
    hop_back: types.boolean(_I1, _I1, _F1, _F1, _N, _L1, _N, _N, _F1),
}
