# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
"""Unit rows on a GPU by Triton kernels: one pass through memory forward, one backward."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Number of floats that a program holds of its rows.
HELD = 2048


@triton.jit
def _unit(w, unit, inverse, n, dim, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """``unit = w / |w|`` and ``inverse = 1 / |w|`` by row; both 0 where ``|w| <= eps``. Grid: blocks of rows."""
    r, d = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside, at = (r < n)[:, None] & (d < dim)[None, :], r[:, None] * dim + d[None, :]
    x = tl.load(w + at, mask=inside, other=0.0)
    length = tl.sqrt_rn(tl.sum(x * x, 1))
    short = length <= eps
    scale = tl.where(short, 0.0, tl.div_rn(1.0, tl.where(short, 1.0, length)))
    tl.store(unit + at, x * scale[:, None], mask=inside)
    tl.store(inverse + r, scale, mask=r < n)


@triton.jit
def _unit_backward(unit, inverse, d_unit, d_w, n, dim, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """``d_w = (d_unit - <unit, d_unit> unit) / |w|`` by row. Grid: blocks of rows."""
    r, d = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside, at = (r < n)[:, None] & (d < dim)[None, :], r[:, None] * dim + d[None, :]
    u, g = tl.load(unit + at, mask=inside, other=0.0), tl.load(d_unit + at, mask=inside, other=0.0)
    scale = tl.load(inverse + r, mask=r < n, other=0.0)
    tl.store(d_w + at, (g - tl.sum(u * g, 1)[:, None] * u) * scale[:, None], mask=inside)


class UnitRows(torch.autograd.Function):
    """``w / |w|`` by row; see :func:`taurec.kernels.unit_rows.unit_rows`."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, eps: float) -> Tensor:
        unit, inverse = torch.empty_like(w), torch.empty_like(w[:, 0])
        grid, tile = _tiles(w)
        with torch.cuda.device_of(w):
            _unit[grid](w, unit, inverse, *w.shape, eps, **tile)
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_unit: Tensor) -> tuple[Tensor, None]:
        unit, inverse = ctx.saved_tensors
        d_w = torch.empty_like(unit)
        grid, tile = _tiles(unit)
        with torch.cuda.device_of(unit):
            _unit_backward[grid](unit, inverse, d_unit.contiguous(), d_w, *unit.shape, **tile)
        return d_w, None


def unit_rows(w: Tensor, eps: float) -> Tensor:
    """See :func:`taurec.kernels.unit_rows.unit_rows`; the table is float32 and not empty."""
    unit: Tensor = UnitRows.apply(w.contiguous(), eps)
    return unit


def _tiles(table: Tensor) -> tuple[tuple[int], dict[str, int]]:
    width = triton.next_power_of_2(table.shape[1])
    rows = max(1, HELD // width)
    return (triton.cdiv(len(table), rows),), {"ROWS": rows, "WIDTH": width}


_T, _I, _F = "*fp32", "i32", "fp32"
#: For each kernel, the types of its arguments and values of its constants, with which it compiles without a GPU.
SIGNATURES = {
    _unit: ((_T, _T, _T, _I, _I, _F), {"ROWS": 32, "WIDTH": 64}),
    _unit_backward: ((_T, _T, _T, _T, _I, _I), {"ROWS": 32, "WIDTH": 64}),
}
