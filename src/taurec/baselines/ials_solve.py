"""The half-step of iALS: one small linear system a row. Written for numba, which compiles it on first use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def solve_rows(
    rows: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    factors: NDArray[np.float64],
    base: NDArray[np.float64],
    ridge: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """For each r of ``rows``: out[r] = (sum h h^T + base + ridge[r] I)^-1 sum h, h over factors[items of r].

    The upper triangle is built four items at a time, factored in place (A = R^T R) and solved; every
    inner loop runs along a row. A row without items gets zeros.

    Args:
        rows: the rows to solve, in any order.
        indptr, indices: items of each row, CSR.
        factors: [n, d] contiguous; base: [d, d]; ridge: [rows]; out: [rows, d], written.
    """
    d = factors.shape[1]
    a = np.empty((d, d))
    for r in rows:
        start, stop = indptr[r], indptr[r + 1]
        x = out[r]
        x[:] = 0.0
        if start == stop:
            continue
        a[:] = base
        for p in range(d):
            a[p, p] += ridge[r]
        whole = start + (stop - start) // 4 * 4
        for at in range(start, whole, 4):
            h0, h1 = factors[indices[at]], factors[indices[at + 1]]
            h2, h3 = factors[indices[at + 2]], factors[indices[at + 3]]
            for p in range(d):
                c0, c1, c2, c3 = h0[p], h1[p], h2[p], h3[p]
                x[p] += c0 + c1 + c2 + c3
                row = a[p]
                for q in range(p, d):
                    row[q] += c0 * h0[q] + c1 * h1[q] + c2 * h2[q] + c3 * h3[q]
        for at in range(whole, stop):
            h0 = factors[indices[at]]
            for p in range(d):
                c0 = h0[p]
                x[p] += c0
                row = a[p]
                for q in range(p, d):
                    row[q] += c0 * h0[q]
        for p in range(d):
            row = a[p]
            scale = 1.0 / np.sqrt(row[p])
            for q in range(p, d):
                row[q] *= scale
            for s in range(p + 1, d):
                c0 = row[s]
                below = a[s]
                for q in range(s, d):
                    below[q] -= c0 * row[q]
            x[p] *= scale
            for q in range(p + 1, d):
                x[q] -= x[p] * row[q]
        for p in range(d - 1, -1, -1):
            row = a[p]
            rest = x[p]
            for q in range(p + 1, d):
                rest -= row[q] * x[q]
            x[p] = rest / row[p]
