"""The mean over layers of a linear propagation, ``(x + A x + ... + A^L x) / (L + 1)``, for a symmetric A.

The map is a polynomial in a symmetric matrix, so it is its own transpose, and the gradient with respect to x is the
same map of the gradient of the mean. Compiled, each direction is L hops by Horner's rule (``h <- x + A h``): the
addition is part of the hop, and the last hop includes the division. If only some rows are needed, the last hop forward
and the first hop backward read the edges of those rows only, and the table of all rows is not stored.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.kernels import select
from taurec.kernels.hop.matrix import Csr, check_rows, check_shapes
from taurec.kernels.hop.once import hop


def mean_of_hops(
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, layers: int, *, kernel: str = "auto"
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The mean of ``x, A x, .., A^layers x``, and these layers themselves; differentiable in x.

    Args:
        indptr, indices, values: a symmetric A [n, n] in CSR; see :func:`taurec.kernels.hop.hop`.
        x: [n, D].
        layers: number of hops, 0 or more.
        kernel: ``auto``, ``numba``, ``triton`` or ``torch``.
    Returns: the mean [n, D] and a tuple of ``layers + 1`` tables [n, D], x first.

    >>> swap = torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([1.0, 1.0])
    >>> mean_of_hops(*swap, torch.tensor([[1.0], [4.0]]), layers=2)[0]
    tensor([[2.],
            [3.]])
    """
    matrix = Csr(indptr, indices, values)
    found = _selected(matrix, x, layers, kernel)
    if found is not None:
        mean, *hops = _Mean.apply(x.contiguous(), matrix, layers, found)  # type: ignore[no-untyped-call]
        return mean, (x, *hops)
    hops, total = [x], x
    for _ in range(layers):
        hops.append(hop(*matrix, hops[-1], kernel="torch"))
        total = total + hops[-1]
    return total / (layers + 1), tuple(hops)


def mean_at_rows(
    indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, layers: int, rows: Tensor, *, kernel: str = "auto"
) -> Tensor:
    """The given rows of :func:`mean_of_hops`, with their exact gradient with respect to all of x.

    Args:
        rows: [K] int64, distinct and ascending.
    Returns: [K, D].

    >>> swap = torch.tensor([0, 1, 2]), torch.tensor([1, 0]), torch.tensor([1.0, 1.0])
    >>> mean_at_rows(*swap, torch.tensor([[1.0], [4.0]]), layers=2, rows=torch.tensor([1]))
    tensor([[3.]])
    """
    matrix = Csr(indptr, indices, values)
    check_rows(rows, len(x))
    found = _selected(matrix, x, layers, kernel)
    if found is not None:
        mean: Tensor = _MeanAtRows.apply(x.contiguous(), matrix, layers, rows, found)  # type: ignore[no-untyped-call]
        return mean
    return mean_of_hops(*matrix, x, layers, kernel="torch")[0].index_select(0, rows)


def _selected(matrix: Csr, x: Tensor, layers: int, kernel: str) -> ModuleType | None:
    """The kernel whose hop can add and scale; None if the reference implementation serves the call."""
    check_shapes(matrix, x)
    selected = select("hop", *matrix, x, kernel=kernel)
    return selected.kernel if layers and selected.name != "torch" else None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Csr, layers: int, by: ModuleType) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.like = (matrix, layers, by), (x.shape, x.device)
        hops, total = [x], x
        for k in range(1, layers + 1):
            y, total = by.product(matrix, hops[-1], base=total, scale=_share(k, layers))
            hops.append(y)
        return total, *hops[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_mean: Tensor | None, *d_hops: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        matrix, layers, by = ctx.plan
        if all(d is None for d in d_hops):
            return None if d_mean is None else _horner(matrix, d_mean.contiguous(), layers, by), None, None, None
        shape, device = ctx.like
        own = torch.zeros(shape, device=device) if d_mean is None else d_mean / (layers + 1)
        layer = [own, *(own if d is None else own + d for d in d_hops)]
        h = layer[-1]
        for k in range(layers - 1, -1, -1):
            h = by.product(matrix, h.contiguous(), base=layer[k].contiguous(), keep=False)[1]
        return h, None, None, None


class _MeanAtRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Csr, layers: int, rows: Tensor, by: ModuleType) -> Tensor:
        ctx.plan, ctx.columns = (matrix, layers, rows, by), len(x)
        h = x
        for _ in range(1, layers):
            h = by.product(matrix, h, base=x, keep=False)[1]
        return by.product(matrix, h, rows, base=x, scale=1 / (layers + 1), keep=False)[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_mean: Tensor) -> tuple[Tensor, None, None, None, None]:
        matrix, layers, rows, by = ctx.plan
        own = d_mean / (layers + 1)
        h = by.spread(matrix, matrix, own, rows, ctx.columns).index_add_(0, rows, own)
        for _ in range(1, layers):
            h = by.product(matrix, h)[0].index_add_(0, rows, own)
        return h, None, None, None, None


def _horner(matrix: Csr, x: Tensor, layers: int, by: ModuleType) -> Tensor:
    h = x
    for k in range(1, layers + 1):
        h = by.product(matrix, h, base=x, scale=_share(k, layers), keep=False)[1]
    return h


def _share(k: int, layers: int) -> float:
    return 1 / (layers + 1) if k == layers else 1.0
