"""The mean of hops at given rows, with intermediate layers stored in half precision (float16) and float32 sums.

The time of a hop is the time to read memory, and a float16 is half as long as a float32. Each stored number has a
relative error of at most 2^-11; over all layers this is about 5e-4 of a row's length, where float32 has 1e-7. Tables
are scaled by a power of two, so that the smallest gradients do not vanish and the largest do not overflow: the largest
entry that the hops could produce is below 2^15, and entries down to 2^-29 of that keep all their bits.

Kernels: ``torch`` (any device), ``numba`` (float32 tables on the CPU, int32 indices); no ``triton``. The selection
depends on ``(indptr, indices, values, user)``. The lower bound is the time to read one row of float16 for each edge:
half of what :mod:`taurec.kernels.hop` reads. docs/performance.md has the gain per epoch.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec import kernels
from taurec.kernels import Operation, misfit_of, select
from taurec.kernels.hop.matrix import Csr, check_rows, check_shapes

__all__ = ["OPERATION", "Workspace", "growth_of", "mean_at_rows_half"]

_LARGEST = 2.0**15


class Workspace:
    """Scratch tables that successive calls reuse, with the factor by which a hop can enlarge the entries of a table.

    The system hands out new memory page by page, which takes as long as a hop for tables of a graph's size. One model
    has one workspace; calls that use it must not overlap.

    Args:
        growth: at least :func:`growth_of` of every matrix that it is used with.
    """

    def __init__(self, growth: float):
        self.growth = growth
        self._tables: dict[str, Tensor] = {}

    def table(self, name: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """The scratch table with that name; its contents are undefined."""
        held = self._tables.get(name)
        if held is None or held.shape != shape or held.dtype != dtype or held.device != device:
            held = self._tables[name] = torch.empty(shape, dtype=dtype, device=device)
        return held

    def unit(self, largest: float, layers: int) -> float:
        """The scale at which no entry of ``x + A x + ... + A^layers x`` overflows if ``|x| <= largest``."""
        return scale_for(largest * sum(self.growth**k for k in range(layers + 1)))


def growth_of(matrix: Csr) -> float:
    """The largest row sum of absolute values: the factor by which one hop can enlarge the largest entry of a table.

    >>> growth_of(Csr(torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 2]), torch.tensor([0.5, -0.25, 0.5])))
    0.75
    """
    total = np.concatenate([[0.0], np.cumsum(matrix.values.abs().double().cpu().numpy())])
    indptr = matrix.indptr.cpu().numpy()
    return float((total[indptr[1:]] - total[indptr[:-1]]).max(initial=0.0))


def mean_at_rows_half(
    matrix: Csr, user: Tensor, item: Tensor, layers: int, rows: Tensor, room: Workspace, *, kernel: str = "auto"
) -> Tensor:
    """The given rows of ``(x + A x + ... + A^L x) / (L + 1)`` with x = [user; item] and layers stored as float16.

    Args:
        matrix: a symmetric A [U + I, U + I].
        user, item: [U, D] and [I, D] float32.
        layers: number of hops L, 1 or more.
        rows: [K] int64, distinct and ascending.
        room: the scratch tables.
        kernel: ``auto``, ``numba`` or ``torch``, which also serves a GPU.
    Returns: [K, D] float32; the gradient flows into both tables, and its hops store layers as float16 too.

    >>> swap = Csr(torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([1.0, 1.0]))
    >>> mean_at_rows_half(swap, torch.tensor([[1.0]]), torch.tensor([[4.0]]), 2, torch.tensor([1]), Workspace(1.0))
    tensor([[3.]])
    """
    check_rows(rows, len(user) + len(item))
    check_shapes(matrix, user)
    by = select("hop_half", *matrix, user, kernel=kernel).kernel
    mean: Tensor = _MeanAtRows.apply(user, item, matrix, layers, rows, room, by)  # type: ignore[no-untyped-call]
    return mean


class _MeanAtRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, user: Tensor, item: Tensor, matrix: Csr, layers: int, rows: Tensor, room: Workspace, by: ModuleType
    ) -> Tensor:
        ctx.plan, ctx.sizes = (matrix, layers, rows, room, by), (len(user), len(item))
        unit = room.unit(max(_largest(user), _largest(item)), layers)
        h, x, spare = (_halves(room, name, sum(ctx.sizes), user) for name in ("x", "x", "y"))
        by.narrow(user, unit, x[: len(user)])
        by.narrow(item, unit, x[len(user) :])
        for k in range(1, layers):
            h = by.product(matrix, h, None, x, 1.0, spare if k % 2 else _halves(room, "z", len(x), x))
        mean: Tensor = by.product(matrix, h, rows, None, 1 / unit, None)
        users = int(torch.searchsorted(rows, len(user)))
        mean[:users] += user.index_select(0, rows[:users])
        mean[users:] += item.index_select(0, rows[users:] - len(user))
        return mean.div_(layers + 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_mean: Tensor) -> tuple[Tensor | None, ...]:
        matrix, layers, rows, room, by = ctx.plan
        n, own = sum(ctx.sizes), d_mean / (layers + 1)
        into = room.table("g", (n, own.shape[1]), own.dtype, own.device) if layers > 1 else None
        g = by.spread(matrix, matrix, own, rows, n, into)
        g.index_add_(0, rows, own)
        if layers > 1:
            unit = room.unit(_largest(own), layers)
            h = _halves(room, "x", n, own)
            by.narrow(g, unit, h)
            for k in range(2, layers):
                h = by.product(matrix, h, None, None, 1.0, _halves(room, "y" if k % 2 else "z", n, own))
                h.index_copy_(0, rows, (h.index_select(0, rows).float() + own * unit).half())
            g = by.product(matrix, h, None, None, 1 / unit, None).index_add_(0, rows, own)
        d_user, d_item = torch.split_with_sizes(g, list(ctx.sizes))
        return d_user, d_item, None, None, None, None, None


def _largest(x: Tensor) -> float:
    if not x.numel():
        return 0.0
    low, high = torch.aminmax(x)
    return max(-float(low), float(high))


def _halves(room: Workspace, name: str, n: int, like: Tensor) -> Tensor:
    return room.table(name, (n, like.shape[1]), torch.float16, like.device)


def scale_for(largest: float) -> float:
    """The power of two that scales ``largest`` to just below 2^15; 1 if ``largest`` is 0 or not finite.

    >>> scale_for(3.0), scale_for(0.0)
    (8192.0, 1.0)
    """
    if not (0 < largest < math.inf):
        return 1.0
    return 2.0 ** max(-126, min(126, math.floor(math.log2(_LARGEST / largest))))


def _misfit(kernel: str, indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> str:
    if kernel == "triton":
        return "layers stored as float16 have no Triton kernel, those stored as float32 have"
    if {indptr.dtype, indices.dtype} != {torch.int32}:
        return f"it needs int32 indices, got {indptr.dtype} and {indices.dtype}"
    return misfit_of(kernel, indptr, indices, values, x)


def _small(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> bool:
    return indices.numel() * x.shape[1] < kernels.WORTH


OPERATION = Operation(_misfit, _small)
