"""One hop, a sparse matrix times a dense table, with derivatives of any order."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.kernels import select
from taurec.kernels.hop.matrix import Csr, check_rows, check_shapes


def hop(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    x: Tensor,
    *,
    transpose: tuple[Tensor, Tensor, Tensor] | None = None,
    rows: Tensor | None = None,
    kernel: str = "auto",
) -> Tensor:
    """``y = A x``, all rows or a subset; differentiable in x, with the gradient ``A^T g``.

    Args:
        indptr, indices, values: A [R, C] in CSR, indices ascending in each row; no gradient flows into values.
        x: [C, D].
        transpose: A^T in CSR; None if A is symmetric.
        rows: [K] int64, distinct and ascending: the rows of y to compute; None for all.
        kernel: ``auto``, ``numba`` (float32 on CPU), ``triton`` (float32 on a GPU) or ``torch``.
    Returns: [R, D], or [K, D] with ``rows``.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call; IndexError for indices
        outside A or x.

    >>> indptr, indices, values = torch.tensor([0, 1, 3]), torch.tensor([1, 0, 1]), torch.tensor([2.0, 2.0, 5.0])
    >>> hop(indptr, indices, values, torch.tensor([[1.0], [10.0]]))
    tensor([[20.],
            [52.]])
    >>> hop(indptr, indices, values, torch.tensor([[1.0], [10.0]]), rows=torch.tensor([1]))
    tensor([[52.]])
    """
    matrix = Csr(indptr, indices, values)
    check_shapes(matrix, x)
    by = select("hop", *matrix, x, kernel=kernel).kernel
    if transpose is None and len(indptr) - 1 != len(x):
        raise UsageError(f"a symmetric matrix is square, got {len(indptr) - 1} rows and x with {len(x)}")
    if rows is not None:
        check_rows(rows, len(indptr) - 1)
    other = matrix if transpose is None else Csr(*transpose)
    y: Tensor = _Hop.apply(x.contiguous(), matrix, other, rows, by)  # type: ignore[no-untyped-call]
    return y


class _Hop(torch.autograd.Function):
    """``A x``, all rows or a subset; ``other`` is A^T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Csr, other: Csr, rows: Tensor | None, by: ModuleType) -> Tensor:
        ctx.plan = matrix, other, rows, by, len(x)
        y: Tensor = by.product(matrix, x, rows)[0]
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        matrix, other, rows, by, _ = ctx.plan
        function, more = (_Hop, (other, matrix, None, by)) if rows is None else (_Back, ctx.plan)
        return function.apply(grads[0].contiguous(), *more), None, None, None, None  # type: ignore[no-untyped-call]


class _Back(torch.autograd.Function):
    """``A[rows]^T g``, the gradient of the rows of a hop."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, matrix: Csr, other: Csr, rows: Tensor, by: ModuleType, columns: int) -> Tensor:
        ctx.plan = matrix, other, rows, by
        y: Tensor = by.spread(matrix, other, g, rows, columns)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        return (_Hop.apply(grads[0].contiguous(), *ctx.plan), *[None] * 5)  # type: ignore[no-untyped-call]
