# mypy: ignore-errors
"""Hops of a float16 table on the CPU by compiled loops.

A half (float16, IEEE binary16, passed as uint16) has 11 significant bits; sums are float32. A row of 64 halves takes
128 bytes instead of 256, and reading rows takes most of a hop's time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from taurec.kernels import pool
from taurec.kernels.compile import compiled
from taurec.kernels.hop.matrix import Csr
from taurec.kernels.hop.numba import AHEAD, ONE, outside, spread, tasks
from taurec.kernels.lanes import fma, load, splat, store, zeros

__all__ = ["SIGNATURES", "narrow", "product", "spread"]

_NO_ROWS = np.empty(0, np.int64)


def narrow(x: Tensor, scale: float, out: Tensor) -> None:
    """``out = half(scale * x)``, [R, D]."""
    given, into, loop = x.detach().contiguous().view(-1).numpy(), bits_of(out), compiled("hop_half", "to_half")
    cuts = [len(given) * t // 4 for t in range(5)]
    pool.run(lambda t: loop(given, scale, cuts[t], cuts[t + 1], into), 4)


def product(
    matrix: Csr, x: Tensor, rows: Tensor | None, base: Tensor | None, scale: float, out: Tensor | None
) -> Tensor:
    """``scale (base + A x)`` of halves, all rows or a subset: written to the halves ``out``, or float32 if None."""
    n = len(matrix.indptr) - 1 if rows is None else len(rows)
    halves, loop = out is not None, compiled("hop_half", "hop_half_to_float" if out is None else "hop_half")
    out = torch.empty((n, x.shape[1])) if out is None else out
    into = bits_of(out) if halves else out.view(-1).numpy()
    indptr, indices, values = (t.numpy() for t in matrix)
    at, given = _NO_ROWS if rows is None else rows.numpy(), bits_of(x)
    share, added = (0.0, given) if base is None else (1.0, bits_of(base))
    cuts = tasks(matrix, rows, x.shape[1])
    valid = [True] * (len(cuts) - 1)

    def task(t: int) -> None:
        span = cuts[t], cuts[t + 1]
        valid[t] = loop(indptr, indices, values, given, x.shape[1], at, *span, share, added, scale, into)

    if out.numel():
        pool.run(task, len(valid))
    if not all(valid):
        raise IndexError(f"column indices must be in 0..{len(x) - 1}, got up to {int(indices.max())}")
    return out


def bits_of(x: Tensor) -> Any:
    """The flat halves of a contiguous table as uint16, sharing its memory."""
    return x.view(torch.int16).view(-1).numpy().view(np.uint16)


def _halves(width: int) -> ir.VectorType:
    return ir.VectorType(ir.HalfType(), width)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any, width: int) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.VectorType(ir.IntType(16), width).as_pointer())


@intrinsic
def load_half(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width]`` of a flat table of halves, as float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        raw = builder.load(_pointer(context, builder, array, args[1], args[2], like.width), align=2)
        return builder.fpext(builder.bitcast(raw, _halves(like.width)), ir.VectorType(ir.FloatType(), like.width))

    return like(like, array, types.int64), generate


@intrinsic
def store_half(typing: Any, value: Any, array: Any, at: Any) -> Any:
    """``array[at : at + width] = value``, rounded to the nearest half."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = ir.VectorType(ir.IntType(16), value.width)
        raw = builder.bitcast(builder.fptrunc(args[0], _halves(value.width)), bits)
        builder.store(raw, _pointer(context, builder, array, args[1], args[2], value.width), align=2)
        return context.get_dummy_value()

    return types.void(value, array, types.int64), generate


@intrinsic
def prefetch_half(typing: Any, like: Any, array: Any, at: Any) -> Any:
    """Prefetch the cache lines of ``array[at : at + width]``; no value changes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, flag = context.make_array(array)(context, builder, args[1]).data, ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        for line in range(0, like.width, 32):
            place = builder.gep(data, [builder.add(args[2], ir.Constant(args[2].type, line))])
            builder.call(function, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(like, array, types.int64), generate


def to_half(x, scale, lo, hi, out):
    """Write ``out = half(scale * x)`` for entries lo..hi-1 of flat tables."""
    wide, one, e = zeros(64), zeros(1), lo
    while e + 64 <= hi:
        store_half(fma(splat(wide, scale), load(wide, x, e), wide), out, e)
        e += 64
    while e < hi:
        store_half(fma(splat(one, scale), load(one, x, e), one), out, e)
        e += 1


# Two tile functions that differ only in the type they write: a branch inside one function costs a fifth of the hop's
# time, and a branch for "no base" a third.


@njit
def _to_half(like, indices, values, x, dim, d, first, last, end, s, r, share, base, scale, out):
    vector = fma(splat(like, share), load_half(like, base, r * dim + d), like)
    for p in range(first, last):
        prefetch_half(like, x, np.int64(indices[min(p + AHEAD, end)]) * dim + d)
        vector = fma(splat(like, values[p]), load_half(like, x, np.int64(indices[p]) * dim + d), vector)
    store_half(fma(splat(like, scale), vector, like), out, s * dim + d)


@njit
def _to_float(like, indices, values, x, dim, d, first, last, end, s, r, share, base, scale, out):
    vector = fma(splat(like, share), load_half(like, base, r * dim + d), like)
    for p in range(first, last):
        prefetch_half(like, x, np.int64(indices[min(p + AHEAD, end)]) * dim + d)
        vector = fma(splat(like, values[p]), load_half(like, x, np.int64(indices[p]) * dim + d), vector)
    store(fma(splat(like, scale), vector, like), out, s * dim + d)


def hop_half(indptr, indices, values, x, dim, rows, lo, hi, share, base, scale, half):
    """``scale (share base[r] + sum_p values[p] x[indices[p]])`` over row r = rows[s] for s in lo..hi-1.

    Args:
        x, base: flat halves, [columns * dim] and [rows of the matrix * dim].
        rows: r for each s; if empty, r = s.
        half: flat halves; row s is written.
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
            _to_half(zeros(64), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, half)
            d += 64
        while d + 16 <= dim:
            _to_half(zeros(16), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, half)
            d += 16
        while d < dim:
            _to_half(zeros(1), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, half)
            d += 1
    return True


def hop_half_to_float(indptr, indices, values, x, dim, rows, lo, hi, share, base, scale, out):
    """As :func:`hop_half`, with the result in float32."""
    everywhere = len(rows) == 0
    if outside(indptr, indices, rows, lo, hi, dim, len(x)):
        return False
    end = np.uint64(indptr[hi]) - ONE
    for s in range(lo, hi):
        r = s if everywhere else rows[s]
        first, last, d = np.uint64(indptr[r]), np.uint64(indptr[r + 1]), 0
        ahead = end if everywhere else last - ONE
        while d + 64 <= dim:
            _to_float(zeros(64), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, out)
            d += 64
        while d + 16 <= dim:
            _to_float(zeros(16), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, out)
            d += 16
        while d < dim:
            _to_float(zeros(1), indices, values, x, dim, d, first, last, ahead, s, r, share, base, scale, out)
            d += 1
    return True


_F, _F1, _H1 = types.float32, types.float32[::1], types.uint16[::1]
_I1, _L1, _N = types.int32[::1], types.int64[::1], types.int64

SIGNATURES = {
    to_half: types.void(_F1, _F, _N, _N, _H1),
    hop_half: types.boolean(_I1, _I1, _F1, _H1, _N, _L1, _N, _N, _F, _H1, _F, _H1),
    hop_half_to_float: types.boolean(_I1, _I1, _F1, _H1, _N, _L1, _N, _N, _F, _H1, _F, _F1),
}
