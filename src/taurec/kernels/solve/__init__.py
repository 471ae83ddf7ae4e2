"""Small least-squares systems, one per row, in float64: half-steps of alternating least squares, and slim-local.

Kernels: ``torch`` (here numpy, one LAPACK call per row) and ``numba`` (the default; the number of threads does not
change the bits). The selection depends on one float64 array of the call. The lower bound of :func:`solve_rows` is the
time of the sums of h h^T over the items of each row, n d^2 / 2 products per row; that of :func:`solve_neighbours` the
k^3 / 6 products of each Cholesky factor and the co-occurrences of the items with each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taurec.kernels import Operation, select

__all__ = ["OPERATION", "solve_neighbours", "solve_rows"]

Index = NDArray[np.int64]
Double = NDArray[np.float64]


def solve_rows(
    indptr: Index,
    indices: Index,
    factors: Double,
    spread: Double,
    axes: Double,
    ridge: Double,
    times: Double | None = None,
    shift: Double | None = None,
    kernel: str = "auto",
) -> Double:
    """Solve the system of each row r, with h over its n items:

        (sum h h^T + times[r] base + ridge[r] I)^-1 (sum h + times[r] shift)

    The computation uses the eigenvectors of base as axes, in which the matrix beside ``sum h h^T`` is diagonal. A row
    without items gets zeros if there is no shift.

    Args:
        indptr, indices: items of each row, CSR, int64.
        factors: [n, d] contiguous float64, along ``axes``.
        spread: [d] the eigenvalues of base.
        axes: [d, d] contiguous, its eigenvectors, one per row.
        ridge: [rows] regularization of each row.
        times: [rows] factor of base and shift; None for 1.
        shift: [d] along ``axes``; None for 0.
        kernel: ``auto``, ``numba`` or ``torch``.
    Returns: [rows, d] in the original axes.
    Raises: UsageError if the named kernel cannot serve the call.

    >>> one = np.array([[1.0]])
    >>> solve_rows(np.array([0, 1]), np.array([0]), one, np.array([0.5]), one, np.array([0.5])).tolist()
    [[0.5]]
    """
    times = np.ones(len(indptr) - 1) if times is None else times
    shift = np.zeros(factors.shape[1]) if shift is None else shift
    solve = select("solve", factors, kernel=kernel).kernel.solve
    solved: Double = solve(indptr, indices, factors, spread, axes, ridge, times, shift)
    return solved


def solve_neighbours(
    items: Index,
    by_user: tuple[Index, Index],
    by_item: tuple[Index, Index],
    weight: Double,
    diagonal: Double,
    k: int,
    l2: float,
    fill: bool = False,
    kernel: str = "auto",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Solve the ridge regression of each item j on its k nearest items N: ``(G_NN + l2 I)^-1 G_Nj``.

    G = X^T diag(weight) X is never made as a whole. The nearest items have the largest ``G_ij^2 / G_ii``, which is the
    cosine squared but for a factor of j; of equal ones, those with the lower number. Neighbours are items that share a
    user with j.

    Args:
        items: [n] the items to solve.
        by_user: indptr and indices of X [U, I], CSR, int64, sorted.
        by_item: those of its transpose.
        weight: [U] float64, above 0.
        diagonal: [I] of G: the sum of the weights of each item's users.
        k: neighbours of an item, at least 1.
        l2: ridge, above 0.
        fill: fill up to k with items that share no user with j, lowest number first.
        kernel: ``auto``, ``numba`` or ``torch``.
    Returns: the neighbours [n, k] in ascending order, -1 where there are fewer, and their weights [n, k].
    Raises: UsageError if the named kernel cannot serve the call.

    >>> x = np.array([0, 2, 3]), np.array([0, 1, 1])  # users {0, 1} and {1}
    >>> by_item = np.array([0, 1, 3]), np.array([0, 0, 1])
    >>> near, found = solve_neighbours(np.array([1]), x, by_item, np.ones(2), np.array([1.0, 2.0]), k=1, l2=1.0)
    >>> near.tolist(), found.tolist()
    ([[0]], [[0.5]])
    """
    near, solved = np.full((len(items), k), -1, dtype=np.int32), np.zeros((len(items), k), dtype=np.float32)
    chosen = select("solve", weight, kernel=kernel).kernel
    chosen.solve_near(items, by_user, by_item, weight, diagonal, l2, fill, near, solved)
    return near, solved


def _misfit(kernel: str, given: Double) -> str:
    if kernel == "triton":
        return "least-squares systems have no Triton kernel"
    return "" if given.dtype == np.float64 else f"it needs float64, got {given.dtype}"


OPERATION = Operation(_misfit)
