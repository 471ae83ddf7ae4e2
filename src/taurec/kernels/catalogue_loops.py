# mypy: ignore-errors
"""Exponentials of tiles of scores: compiled by numba, imported only when one is first used."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LOG2_E, LEAST, ZERO = np.float32(1 / math.log(2)), np.float32(-126), np.float32(0)
#: Taylor terms of 2^f, which for |f| <= 1/2 end below 6e-9.
C1, C2, C3, C4, C5, C6, C7 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 8))


@intrinsic
def as_float(typing, bits):
    """The float32 of the same 32 bits."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit
def _exp2(t):
    """2^t for t <= 0, to 2e-7 beyond the rounding of t; 0 below -126, NaN for NaN.

    The value is a product of 2^f and of a float whose exponent is the whole part.
    """
    inside = t if t >= LEAST else LEAST
    whole = np.rint(inside)
    f = inside - whole
    value = np.float32(1) + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * (C5 + f * (C6 + f * C7))))))
    value *= as_float((np.int32(whole) + np.int32(127)) << np.int32(23))
    return value if t >= LEAST else (ZERO if t < LEAST else t)


def exp_sum(y, top, scale, lo, hi, out):
    """Rows lo..hi-1: ``out[r] = sum_c exp((y[r, c] - top[r]) * scale)``, where no y lies above its top."""
    factor = np.float32(scale * LOG2_E)
    for r in range(lo, hi):
        total, base = ZERO, top[r]
        for c in range(y.shape[1]):
            total += _exp2((y[r, c] - base) * factor)
        out[r] = total


def exp_times(y, top, scale, weight, lo, hi):
    """Rows lo..hi-1: ``y[r, c] = weight[r] * exp((y[r, c] - top[r]) * scale)``."""
    factor = np.float32(scale * LOG2_E)
    for r in range(lo, hi):
        base, by = top[r], weight[r]
        for c in range(y.shape[1]):
            y[r, c] = by * _exp2((y[r, c] - base) * factor)


_F, _F1, _F2, _N = types.float64, types.float32[::1], types.float32[:, ::1], types.int64

SIGNATURES = {
    exp_sum: types.void(_F2, _F1, _F, _N, _N, _F1),
    exp_times: types.void(_F2, _F1, _F, _F1, _N, _N),
}
