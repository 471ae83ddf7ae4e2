"""The layers of a linear propagation one by one, ``x, A x, .., A^L x``, for a symmetric A, all rows or a subset.

What is kept for the gradient is nothing: with ``g_k`` that of layer k, the gradient of x is ``g_0 + A (g_1 + A (g_2 +
..))``, L hops in which one table is worked on. At some rows the last hop forward and the first backward touch the edges
of those rows alone.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.kernels import select
from taurec.kernels.hop.matrix import Csr, check_rows, check_shapes


def layers_of_hops(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    x: Tensor,
    layers: int,
    rows: Tensor | None = None,
    *,
    kernel: str = "auto",
) -> tuple[Tensor, ...]:
    """Layers ``x, A x, .., A^layers x``, or some rows of each; differentiable in x.

    Args:
        indptr, indices, values: a symmetric A [n, n] in CSR; see :func:`taurec.kernels.hop.hop`.
        x: [n, D].
        layers: number of hops, 0 or more.
        rows: [K] int64, distinct and ascending; None for all.
        kernel: ``auto``, ``numba``, ``triton`` or ``torch``.
    Returns: ``layers + 1`` times [n, D], x first, or [K, D].

    >>> swap = torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([1.0, 1.0])
    >>> layers_of_hops(*swap, torch.tensor([[1.0], [4.0]]), layers=2, rows=torch.tensor([1]))
    (tensor([[4.]]), tensor([[1.]]), tensor([[4.]]))
    """
    matrix = Csr(indptr, indices, values)
    check_shapes(matrix, x)
    by = select("hop", *matrix, x, kernel=kernel).kernel
    if rows is not None:
        check_rows(rows, len(x))
    elif not layers:
        return (x,)
    found: tuple[Tensor, ...] = _Layers.apply(x.contiguous(), matrix, layers, rows, by)  # type: ignore[no-untyped-call]
    return found if rows is not None else (x, *found)


class _Layers(torch.autograd.Function):
    """Layers 1 to L, or some rows of layers 0 to L."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Csr, layers: int, rows: Tensor | None, by: ModuleType
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.columns = (matrix, rows, by), len(x)
        found = [] if rows is None else [x.index_select(0, rows)]
        for k in range(1, layers + 1):
            x = by.product(matrix, x, rows if k == layers else None)[0]
            found.append(x if rows is None or k == layers else x.index_select(0, rows))
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None, None, None]:
        matrix, rows, by = ctx.plan
        parts = grads if rows is not None else (None, *grads)
        h: Tensor | None = None
        for k in range(len(parts) - 1, -1, -1):
            part = parts[k]
            if k and k == len(parts) - 1 and rows is not None:
                h = None if part is None else by.spread(matrix, matrix, part.contiguous(), rows, ctx.columns)
                continue
            if part is not None:
                h = _plus(h, part.contiguous(), rows, ctx.columns)
            if h is not None and k:
                h = by.product(matrix, h)[0]
        return h, None, None, None, None


def _plus(h: Tensor | None, part: Tensor, rows: Tensor | None, columns: int) -> Tensor:
    """h, which may be written to, plus a gradient of all rows or of some."""
    if rows is None:
        return part if h is None else h.add_(part)
    if h is None:
        h = part.new_zeros(columns, part.shape[1])
    return h.index_add_(0, rows, part)
