"""The bipartite graph of a log as one normalised sparse matrix, and one step along its edges."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import block_array, csr_array, diags_array, eye_array
from torch import Tensor, nn

from taurec.backbones.cost import StepSize
from taurec.data.interactions import Interactions
from taurec.errors import UsageError, did_you_mean
from taurec.kernels import select
from taurec.kernels.hop import Csr
from taurec.kernels.hop import hop as csr_hop

Kind = Literal["symmetric", "row_self", "row"]


def normalised(train: Interactions, kind: Kind) -> csr_array:
    """The normalised adjacency of users and items, [U + I, U + I] float64; users come first.

    With R the binary users x items matrix, A = [[0, R], [R^T, 0]] and D its diagonal of degrees:

        symmetric   D^-1/2 A D^-1/2        LightGCN
        row_self    (D + I)^-1 (A + I)     NGCF, ``adj_type norm``
        row         D^-1 A                 NGCF, ``adj_type mean``

    The inverse of a zero degree is taken as 0. Weights of the log are not used.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"unknown adjacency {kind!r}{did_you_mean(kind, get_args(Kind))}")
    r = train.csr().astype(np.float64)
    n = train.n_users + train.n_items
    a = csr_array(block_array([[None, r], [r.T, None]], format="csr")) if len(train) else csr_array((n, n))
    if kind == "row_self":
        a = csr_array(a + eye_array(n, format="csr"))
    degree: NDArray[np.float64] = np.asarray(a.sum(axis=1)).ravel()
    power = -0.5 if kind == "symmetric" else -1.0
    scale = np.zeros(n)
    scale[degree > 0] = degree[degree > 0] ** power
    a = diags_array(scale, format="csr") @ a
    if kind == "symmetric":
        a = a @ diags_array(scale, format="csr")
    a = csr_array(a)
    a.sort_indices()
    return a


CACHE = 1 << 24
"""Bytes of a last-level cache, beyond which a row that is read at random costs more."""


def edge_work(size: StepSize) -> float:
    """Work of the hops of a step, for :meth:`taurec.backbones.Backbone.step_cost`.

    It goes with the pairs; a pair costs a quarter more for every doubling of the tables beyond :data:`CACHE`, and at
    most twice as much, which is where every row comes from memory.
    """
    doublings = math.log2(max(size.tables / CACHE, 1.0))
    return size.log.pairs * (1 + 0.25 * min(doublings, 4.0))


class Adjacency(nn.Module):
    """A normalised adjacency and its transpose as CSR arrays that move with the module they belong to.

    The arrays are buffers outside the ``state_dict``: they are made from the log, never saved.

    Attributes:
        n: U + I.
        crow, col, value: the matrix in CSR, values float32, indices int32 where they fit.

    >>> a = Adjacency(Interactions.from_pairs([0, 1], [0, 0]), "row")
    >>> hop(a, torch.tensor([[1.0], [2.0], [5.0]])).tolist()
    [[5.0], [5.0], [1.5]]
    """

    crow: Tensor
    col: Tensor
    value: Tensor
    crow_t: Tensor
    col_t: Tensor
    value_t: Tensor

    def __init__(self, train: Interactions, kind: Kind):
        super().__init__()
        matrix = normalised(train, kind)
        self.n = int(matrix.shape[0])
        self.symmetric = kind == "symmetric"
        self._store("", matrix)
        if not self.symmetric:
            transposed = csr_array(matrix.T.tocsr())
            transposed.sort_indices()
            self._store("_t", transposed)

    def _store(self, suffix: str, m: csr_array) -> None:
        index = np.int32 if m.nnz < np.iinfo(np.int32).max else np.int64
        self.register_buffer("crow" + suffix, torch.from_numpy(m.indptr.astype(index)), persistent=False)
        self.register_buffer("col" + suffix, torch.from_numpy(m.indices.astype(index)), persistent=False)
        self.register_buffer("value" + suffix, torch.from_numpy(m.data.astype(np.float32)), persistent=False)

    def matrix(self, transposed: bool = False, edge_weight: Tensor | None = None) -> Csr:
        """The matrix (or its transpose) in CSR, sharing the arrays.

        ``edge_weight`` [nnz] multiplies the values of a symmetric matrix and must itself be symmetric.
        """
        flip = transposed and not self.symmetric
        crow, col, value = (self.crow_t, self.col_t, self.value_t) if flip else (self.crow, self.col, self.value)
        return Csr(crow, col, value if edge_weight is None else value * edge_weight)

    def hop_kernel(self, x: Tensor, kernel: str, operation: str = "hop") -> str:
        """The name of the kernel that a hop of vectors like x [., d] runs."""
        return select(operation, *self.matrix(), x, kernel=kernel).name


def hop(adjacency: Adjacency, x: Tensor, edge_weight: Tensor | None = None, kernel: str = "auto") -> Tensor:
    """One propagation ``A x`` of [U + I, d] vectors; its gradient is ``A^T g``.

    Both products are sparse times dense, row by row, so bits do not depend on the number of threads.
    """
    if edge_weight is not None and not adjacency.symmetric:
        raise ValueError("edge weights need a symmetric adjacency")
    transpose = None if adjacency.symmetric else adjacency.matrix(transposed=True)
    return csr_hop(*adjacency.matrix(edge_weight=edge_weight), x, transpose=transpose, kernel=kernel)
