"""A sparse matrix in CSR, and checks of its shapes and of a list of its rows."""

from __future__ import annotations

import functools
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from taurec.errors import UsageError


class Csr(NamedTuple):
    """A sparse matrix: row r has ``values[p]`` at column ``indices[p]`` for p in indptr[r]..indptr[r + 1] - 1.

    Attributes:
        indptr: [R + 1]; indices: [nnz], ascending in each row; values: [nnz].
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor

    def torch(self, columns: int) -> Tensor:
        """The matrix as a torch sparse CSR tensor that shares the arrays."""
        _silence_beta()
        return torch.sparse_csr_tensor(*self, (len(self.indptr) - 1, columns), check_invariants=False)


@functools.cache
def _silence_beta() -> None:
    """Trigger and suppress torch's warning, once per process, that sparse CSR is in beta."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        torch.sparse_csr_tensor(torch.tensor([0]), torch.tensor([]), torch.tensor([]), (0, 0), check_invariants=False)


def check_rows(rows: Tensor, n: int) -> None:
    """Refuse rows that are not int64, distinct, ascending and in 0..n-1."""
    if rows.dtype != torch.int64 or rows.ndim != 1:
        raise UsageError(f"rows must be [K] int64, got {list(rows.shape)} {rows.dtype}")
    if len(rows) and (int(rows[0]) < 0 or int(rows[-1]) >= n or not bool((rows[1:] > rows[:-1]).all())):
        raise IndexError(f"rows must be distinct, ascending and in 0..{n - 1}")


def check_shapes(matrix: Csr, x: Tensor) -> None:
    """Refuse arrays whose shapes are not those of a CSR matrix and a table [C, D]."""
    indptr, indices, values = matrix
    if x.ndim != 2 or indptr.ndim != 1 or len(indptr) < 1 or indices.ndim != 1 or indices.shape != values.shape:
        shapes = f"{tuple(indptr.shape)}, {tuple(indices.shape)}, {tuple(values.shape)}, {tuple(x.shape)}"
        raise UsageError(f"hop takes indptr [R + 1], indices [nnz], values [nnz], x [C, D]; got {shapes}")
