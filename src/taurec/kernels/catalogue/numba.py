# mypy: ignore-errors
"""Reductions over the whole catalogue on the CPU: the tiles of ``reference.py`` with compiled exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from torch import Tensor

from taurec.kernels import pool
from taurec.kernels.catalogue.reference import reduce_by
from taurec.kernels.compile import compiled
from taurec.kernels.reductions import Reduction

LOG2_E, LEAST, ZERO = np.float32(1 / math.log(2)), np.float32(-126), np.float32(0)
#: Taylor coefficients of 2^f; for |f| <= 1/2 the remainder is below 6e-9.
C1, C2, C3, C4, C5, C6, C7 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 8))


def reduce(
    user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Reduction, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """See :func:`taurec.kernels.catalogue.catalogue_reduce`; torch computes the products, ``precision`` is not used."""
    return reduce_by(Compiled(), user, item, pos, absent, how)


class Compiled:
    """The exponentials (:class:`taurec.kernels.catalogue.reference.Exponentials`) by compiled loops."""

    def exp_sum(self, y: Tensor, top: Tensor, tau: float) -> Tensor:
        total = torch.empty(len(y))
        loop, arrays = compiled("catalogue", "exp_sum"), (y.numpy(), top.numpy(), 1 / tau)
        out = total.numpy()
        _by_rows(len(y), lambda lo, hi: loop(*arrays, lo, hi, out))
        return total.double()

    def exp_times(self, y: Tensor, top: Tensor, tau: float, factor: Tensor) -> Tensor:
        loop, arrays = compiled("catalogue", "exp_times"), (y.numpy(), top.numpy(), 1 / tau, factor.numpy())
        _by_rows(len(y), lambda lo, hi: loop(*arrays, lo, hi))
        return y


def _by_rows(n: int, work: Callable[[int, int], object]) -> None:
    threads = torch.get_num_threads()
    size = -(-n // threads)
    pool.run(lambda t: work(t * size, min((t + 1) * size, n)), -(-n // size))


@intrinsic
def as_float(typing, bits):
    """The float32 with the same 32 bits."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit
def _exp2(t):
    """2^t for t <= 0, with an error of up to 2e-7 besides the rounding of t; 0 below -126, NaN for NaN.

    The value is 2^f for the fraction f of t, times a float whose exponent is the integer part.
    """
    inside = t if t >= LEAST else LEAST
    whole = np.rint(inside)
    f = inside - whole
    value = np.float32(1) + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * (C5 + f * (C6 + f * C7))))))
    value *= as_float((np.int32(whole) + np.int32(127)) << np.int32(23))
    return value if t >= LEAST else (ZERO if t < LEAST else t)


def exp_sum(y, top, scale, lo, hi, out):
    """Write ``out[r] = sum_c exp((y[r, c] - top[r]) * scale)`` for rows r in lo..hi-1; no y may exceed its top."""
    factor = np.float32(scale * LOG2_E)
    for r in range(lo, hi):
        total, base = ZERO, top[r]
        for c in range(y.shape[1]):
            total += _exp2((y[r, c] - base) * factor)
        out[r] = total


def exp_times(y, top, scale, weight, lo, hi):
    """Replace ``y[r, c]`` by ``weight[r] * exp((y[r, c] - top[r]) * scale)`` for rows r in lo..hi-1."""
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
