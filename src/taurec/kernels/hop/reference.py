"""The hop by torch's sparse product: the reference implementation, for any float type and device."""

from __future__ import annotations

from torch import Tensor

from taurec.kernels.hop.matrix import Csr


def product(matrix: Csr, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor]:
    """``y = A x`` [R, D], or [K, D] with ``rows``; the other kernels can also return ``scale (base + y)``."""
    y = matrix.torch(len(x)) @ x
    return (y if rows is None else y.index_select(0, rows),)


def spread(matrix: Csr, transpose: Csr, g: Tensor, rows: Tensor, columns: int, out: Tensor | None = None) -> Tensor:
    """``A[rows]^T g`` [columns, D], written into ``out`` if that is given."""
    full = g.new_zeros(len(matrix.indptr) - 1, g.shape[1]).index_copy_(0, rows, g)
    y = transpose.torch(len(full)) @ full
    return y if out is None else out.copy_(y)
