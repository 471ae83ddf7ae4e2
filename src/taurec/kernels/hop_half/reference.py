"""Hops of a float16 table in plain torch: products have the dtype of the matrix, stored layers are float16."""

from __future__ import annotations

from torch import Tensor

from taurec.kernels.hop.matrix import Csr
from taurec.kernels.hop.reference import spread

__all__ = ["narrow", "product", "spread"]


def narrow(x: Tensor, scale: float, out: Tensor) -> None:
    """``out = half(scale * x)``, [R, D]."""
    out.copy_(x.detach() * scale)


def product(
    matrix: Csr, x: Tensor, rows: Tensor | None, base: Tensor | None, scale: float, out: Tensor | None
) -> Tensor:
    """``scale (base + A x)`` of halves, all rows or a subset: written to the halves ``out``, or float32 if None."""
    y = matrix.torch(len(x)) @ x.to(matrix.values)
    y = (y if base is None else base.to(y) + y) * scale
    y = y if rows is None else y.index_select(0, rows)
    return y if out is None else out.copy_(y)
