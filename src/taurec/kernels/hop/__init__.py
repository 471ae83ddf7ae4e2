"""One hop along the edges of a graph, a sparse matrix in CSR times a dense table; several hops, and their mean.

Kernels: ``torch`` (its sparse product), ``numba`` (float32 on the CPU, int32 indices), ``triton`` (the same on a GPU).
The selection depends on ``(indptr, indices, values, x)``. The lower bound is the time to read one row of the table for
each edge. The compiled product reads the values of the matrix although each value of D^-1/2 A D^-1/2 is the product of
a factor of its row and one of its column: computing them from these factors gave no measurable gain (the values are 4
of the 260 bytes that an edge costs at width 64).
"""

from __future__ import annotations

import torch
from torch import Tensor

from taurec import kernels
from taurec.kernels import Operation, misfit_of
from taurec.kernels.hop.layers import layers_of_hops
from taurec.kernels.hop.matrix import Csr
from taurec.kernels.hop.mean import mean_at_rows, mean_of_hops
from taurec.kernels.hop.once import hop

__all__ = ["OPERATION", "Csr", "hop", "layers_of_hops", "mean_at_rows", "mean_of_hops"]


def _misfit(kernel: str, indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> str:
    if {indptr.dtype, indices.dtype} != {torch.int32}:
        return f"it needs int32 indices, got {indptr.dtype} and {indices.dtype}"
    return misfit_of(kernel, indptr, indices, values, x)


def _small(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> bool:
    return indices.numel() * x.shape[1] < kernels.WORTH


OPERATION = Operation(_misfit, _small)
