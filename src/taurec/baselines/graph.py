"""The graph of items that users share: its normalised matrix and its leading eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, eigsh

from taurec import draw
from taurec.baselines.threads import blas_of_run
from taurec.ranker import Float

_DENSE = 1200
"""Up to this number of users or items all eigenvectors are computed."""
_TOLERANCE = 1e-8
"""Relative error of an eigenvalue at which the iteration ends."""
_RANK = 1e-9
"""Eigenvalues up to this are 0 to rounding; the largest is 1."""


@dataclass(frozen=True, eq=False)
class ItemGraph:
    """Items joined by their users, as a linear map of signals over items.

        R = N^-1/2 X D^-1/2,   S = R^T R

    X is the binary users x items matrix, N and D are the diagonal matrices of the counts of its rows and columns. The
    eigenvalues of S are between 0 and 1. Rows and columns without pairs stay 0.

    Attributes:
        to_users: R [U, I] float32.
        to_items: R^T [I, U] float32.
        counts: [I] users of each item.

    >>> graph = ItemGraph.of(csr_array(np.array([[1.0, 1.0], [0.0, 1.0]])))
    >>> graph.smooth(np.eye(2, dtype="f4")).round(3)
    array([[0.5  , 0.354],
           [0.354, 0.75 ]], dtype=float32)
    """

    to_users: csr_array
    to_items: csr_array
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, seen: csr_array) -> ItemGraph:
        """The graph of a binary matrix X [U, I]."""
        matrix = normalised(seen).astype(np.float32)
        return cls(matrix, csr_array(matrix.T.tocsr()), item_counts(seen))

    def smooth(self, signal: Float) -> Float:
        """S y for signals y [I, b]."""
        smoothed: Float = self.to_items @ (self.to_users @ signal)
        return smoothed

    def degrees(self, power: float) -> Float:
        """[I, 1] the counts to a power; 0 for an item without users."""
        return powers(self.counts, power)[:, None].astype(np.float32)


def powers(counts: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Counts to a power; 0 stays 0."""
    found: NDArray[np.float64] = np.where(counts > 0, np.maximum(counts, 1.0) ** power, 0.0)
    return found


def item_counts(seen: csr_array) -> NDArray[np.float64]:
    """[I] the users of each item."""
    return np.bincount(seen.indices, minlength=seen.shape[1]).astype(np.float64)


def normalised(seen: csr_array, user: float = 0.5, item: float = 0.5) -> csr_array:
    """N^-user X D^-item [U, I] float64 of a binary matrix X."""
    counts = np.diff(seen.indptr)
    data = np.repeat(powers(counts.astype(np.float64), -user), counts) * powers(item_counts(seen), -item)[seen.indices]
    return csr_array((data, seen.indices, seen.indptr), shape=seen.shape)


def leading(seen: csr_array, k: int) -> tuple[Float, NDArray[np.float64]]:
    """The k eigenvectors of S with the largest eigenvalues, in descending order: V [I, k] float32, and the values [k].

    Fewer where S has a lower rank. They come from R^T R or from R R^T, whichever is smaller: by LAPACK for a small
    matrix, else by Lanczos iteration (ARPACK) from a fixed start. Signs have no meaning.
    """
    r = normalised(seen)
    k = min(k, *r.shape)
    if k == 0:
        return np.empty((r.shape[1], 0), dtype=np.float32), np.empty(0)
    turned = csr_array(r.T.tocsr())
    over_users = r.shape[0] < r.shape[1]
    first, second = (turned, r) if over_users else (r, turned)
    with blas_of_run():
        values, vectors = _largest(first, second, k)
        keep = values > _RANK
        values, vectors = values[keep], vectors[:, keep]
        if over_users:
            vectors = (turned @ vectors) / np.sqrt(values)
    return np.ascontiguousarray(vectors, dtype=np.float32), values


def _largest(first: csr_array, second: csr_array, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values [k] and vectors [n, k] of ``second @ first`` [n, n], the largest first."""
    n = first.shape[1]
    if n <= _DENSE or 2 * k >= n:
        values, vectors = np.linalg.eigh((second @ first).toarray())
    else:
        start = draw.normal(draw.key(0, "graph start"), np.arange(n), 1)[:, 0]
        product = LinearOperator((n, n), matvec=lambda x: second @ (first @ x), dtype=np.float64)
        values, vectors = eigsh(product, k, v0=start, tol=_TOLERANCE)
    order = np.argsort(-values, kind="stable")[:k]
    return values[order], vectors[:, order]


def seconds_of_leading(users: int, items: int, pairs: int, k: int) -> float:
    """Forecast of :func:`leading`."""
    n = min(users, items)
    if k == 0:
        return 0.0
    if n <= _DENSE or 2 * k >= n:
        return 2e-9 * n**3
    steps = 5 * k  # of Lanczos; each multiplies by R and R^T and is made orthogonal to 2 k vectors, twice
    return steps * (4e-9 * pairs + 2e-9 * n * 2 * k)


def bytes_of_leading(users: int, items: int, k: int) -> int:
    """Memory of :func:`leading` at its peak."""
    n = min(users, items)
    if k == 0:
        return 0
    return 3 * 8 * n * n if n <= _DENSE or 2 * k >= n else 8 * n * 4 * k + 12 * items * k
