# mypy: ignore-errors
"""Unit rows on the CPU by compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import types
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.kernels.compile import compiled
from taurec.kernels.pool import by_rows


def unit_rows(w: Tensor, eps: float) -> Tensor:
    """See :func:`taurec.kernels.unit_rows.unit_rows`."""
    unit: Tensor = UnitRows.apply(w.contiguous(), eps)
    return unit


class UnitRows(torch.autograd.Function):
    """``w / |w|`` by row, by compiled loops; see :func:`taurec.kernels.unit_rows.unit_rows`."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, eps: float) -> Tensor:
        unit, inverse = torch.empty_like(w), torch.empty(len(w))
        loop, arrays = compiled("unit_rows", "unit_forward"), (unit.numpy(), inverse.numpy())
        given = w.detach().numpy()
        by_rows(w, lambda lo, hi: loop(given, eps, lo, hi, *arrays))
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_unit: Tensor) -> tuple[Tensor, None]:
        unit, inverse = ctx.saved_tensors
        d_w = torch.empty_like(unit)
        loop, out = compiled("unit_rows", "unit_backward"), d_w.numpy()
        given = unit.detach().numpy(), inverse.numpy(), d_unit.contiguous().numpy()
        by_rows(unit, lambda lo, hi: loop(*given, lo, hi, out))
        return d_w, None


def unit_forward(w, eps, lo, hi, unit, inverse):
    """Write ``unit = w / |w|`` and ``inverse = 1 / |w|`` of rows lo..hi-1; both are 0 where ``|w| <= eps``."""
    for r in range(lo, hi):
        square = np.float32(0)
        for d in range(w.shape[1]):
            square += w[r, d] * w[r, d]
        length = np.sqrt(square)
        scale = np.float32(0) if length <= eps else np.float32(1) / length
        inverse[r] = scale
        for d in range(w.shape[1]):
            unit[r, d] = w[r, d] * scale


def unit_backward(unit, inverse, d_unit, lo, hi, d_w):
    """Write ``d_w = (d_unit - <unit, d_unit> unit) / |w|`` of rows lo..hi-1."""
    for r in range(lo, hi):
        along = np.float32(0)
        for d in range(unit.shape[1]):
            along += unit[r, d] * d_unit[r, d]
        for d in range(unit.shape[1]):
            d_w[r, d] = (d_unit[r, d] - along * unit[r, d]) * inverse[r]


_F, _F1, _F2, _N = types.float32, types.float32[::1], types.float32[:, ::1], types.int64

SIGNATURES = {
    unit_forward: types.void(_F2, _F, _N, _N, _F2, _F1),
    unit_backward: types.void(_F2, _F1, _F2, _N, _N, _F2),
}
