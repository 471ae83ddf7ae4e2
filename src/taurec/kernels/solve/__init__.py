"""A half-step of alternating least squares: one small system per row, in float64.

Kernels: ``torch`` (here numpy, one LAPACK call per row) and ``numba`` (the default; the number of threads does not
change the bits). The selection depends on ``(factors,)``. The lower bound is the time of the sums of h h^T over the
items of each row: n d^2 / 2 products per row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taurec.kernels import Operation, select

__all__ = ["OPERATION", "solve_rows"]

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


def _misfit(kernel: str, factors: Double) -> str:
    if kernel == "triton":
        return "the systems of alternating least squares have no Triton kernel"
    return "" if factors.dtype == np.float64 else f"it needs float64, got {factors.dtype}"


OPERATION = Operation(_misfit)
