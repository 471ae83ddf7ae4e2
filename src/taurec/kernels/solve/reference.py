"""The systems of alternating least squares by LAPACK, one row after another: the reference implementation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Double = NDArray[np.float64]


def solve(
    indptr: Index,
    indices: Index,
    factors: Double,
    spread: Double,
    axes: Double,
    ridge: Double,
    times: Double,
    shift: Double,
) -> Double:
    """See :func:`taurec.kernels.solve.solve_rows`."""
    out = np.zeros((len(indptr) - 1, factors.shape[1]))
    for r in range(len(out)):
        h = factors[indices[indptr[r] : indptr[r + 1]]]
        diagonal = times[r] * spread + ridge[r]
        if len(h) or diagonal.all():
            out[r] = np.linalg.solve(h.T @ h + np.diag(diagonal), h.sum(0) + times[r] * shift) @ axes
    return out
