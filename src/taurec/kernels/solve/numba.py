# mypy: ignore-errors
"""The least-squares systems of alternating least squares by a compiled loop over rows."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from taurec.kernels import pool
from taurec.kernels.compile import compiled

Index, Double = NDArray[np.int64], NDArray[np.float64]
#: Rows of one task.
CHUNK = 512


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
    out = np.empty((len(indptr) - 1, factors.shape[1]))
    loop, given = compiled("solve", "solve_rows"), (indptr, indices, factors, spread, axes, ridge, times, shift, out)
    chunks = [np.arange(a, min(a + CHUNK, len(out))) for a in range(0, len(out), CHUNK)]
    pool.run(lambda c: loop(chunks[c], *given), len(chunks))
    return out


def solve_rows(rows, indptr, indices, factors, spread, axes, ridge, times, shift, out):
    """Solve the systems of ``rows``: out[r] = (sum h h^T + times[r] base + ridge[r] I)^-1 (sum h + t), t below.

    The sums are over the n items h of r, and t = times[r] shift. The computation uses the eigenvectors of base as axes,
    in which ``times[r] base + ridge[r] I`` is a diagonal matrix D. With n >= d items the [d, d] system is solved
    directly. With fewer items an [n, n] system gives the same result, since with the items as rows of H

        (D + H^T H)^-1 (H^T 1 + t) = D^-1 (H^T (1 + H D^-1 H^T)^-1 (1 - H D^-1 t) + t)

    A row without items gets D^-1 t, and zeros where D is 0.

    Args:
        rows: the rows to solve, in any order.
        indptr, indices: items of each row, CSR.
        factors: [n, d] contiguous, along ``axes``; ``spread`` [d] and ``axes`` [d, d]: the eigenvalues of base
            and its eigenvectors, as rows; ridge, times: [rows]; shift: [d], along ``axes``; out: [rows, d], written.
    """
    d = factors.shape[1]
    a, scaled = np.empty((d, d)), np.empty((d, d))
    x, diagonal, weight, t = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    for r in rows:
        items = indices[indptr[r] : indptr[r + 1]]
        y = out[r]
        y[:] = 0.0
        for p in range(d):
            diagonal[p] = times[r] * spread[p] + ridge[r]
            t[p] = times[r] * shift[p]
        if len(items) >= d:
            _by_columns(a, x, factors, items, diagonal, t)
        elif len(items) > 0:
            _by_items(a, x, factors, items, diagonal, t, scaled, weight)
        else:
            for p in range(d):
                x[p] = t[p] / diagonal[p] if diagonal[p] > 0.0 else 0.0
        for p in range(d):
            along, axis = x[p], axes[p]
            for q in range(d):
                y[q] += along * axis[q]


@njit(inline="always")
def _by_columns(a, x, factors, items, diagonal, t):
    """Write ``x = (D + H^T H)^-1 (H^T 1 + t)`` by the [d, d] system; ``diagonal`` is the diagonal of D."""
    n, d = len(items), len(diagonal)
    a[:] = 0.0
    x[:] = 0.0
    for p in range(d):
        a[p, p] = diagonal[p]
    for at in range(0, n // 8 * 8, 8):
        h = items[at : at + 8]
        _add_eight(a, factors, h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], d)
    for at in range(n // 8 * 8, n):
        _add_one(a, factors[items[at]], d)
    for item in items:
        h = factors[item]
        for p in range(d):
            x[p] += h[p]
    for p in range(d):
        x[p] += t[p]
    _solve(a, x, d)


@njit(inline="always")
def _by_items(a, x, factors, items, diagonal, t, scaled, weight):
    """Write the same x as :func:`_by_columns` by the [n, n] system; ``scaled`` receives ``(H D^-1/2)^T``."""
    n, d = len(items), len(diagonal)
    a[:n, :n] = 0.0
    for p in range(d):
        x[p] = 1.0 / np.sqrt(diagonal[p])
        for j in range(n):
            scaled[p, j] = factors[items[j], p] * x[p]
    for j in range(n):
        a[j, j] = weight[j] = 1.0
        for p in range(d):
            weight[j] -= scaled[p, j] * x[p] * t[p]
    for p in range(0, d // 8 * 8, 8):
        _add_eight(a, scaled, p, p + 1, p + 2, p + 3, p + 4, p + 5, p + 6, p + 7, n)
    for p in range(d // 8 * 8, d):
        _add_one(a, scaled[p], n)
    _solve(a, weight, n)
    for p in range(d):
        total = 0.0
        for j in range(n):
            total += scaled[p, j] * weight[j]
        x[p] *= total + x[p] * t[p]


@njit(inline="always")
def _add_eight(a, table, i0, i1, i2, i3, i4, i5, i6, i7, size):
    """Add ``sum h h^T`` to the upper triangle of a, with h over eight rows of the table."""
    h0, h1, h2, h3 = table[i0], table[i1], table[i2], table[i3]
    h4, h5, h6, h7 = table[i4], table[i5], table[i6], table[i7]
    for p in range(size):
        c0, c1, c2, c3 = h0[p], h1[p], h2[p], h3[p]
        c4, c5, c6, c7 = h4[p], h5[p], h6[p], h7[p]
        row = a[p]
        for q in range(p, size):
            first = c0 * h0[q] + c1 * h1[q] + c2 * h2[q] + c3 * h3[q]
            row[q] += first + c4 * h4[q] + c5 * h5[q] + c6 * h6[q] + c7 * h7[q]


@njit(inline="always")
def _add_one(a, h, size):
    for p in range(size):
        c, row = h[p], a[p]
        for q in range(p, size):
            row[q] += c * h[q]


@njit(inline="always")
def _solve(a, x, size):
    """Write ``x = a^-1 x``; R with ``a = R^T R`` overwrites the upper triangle of a. Inner loops run along rows."""
    for p in range(0, size - 1, 2):
        row, under = a[p], a[p + 1]
        _divide(row, x, p, size)
        c = row[p + 1]
        for q in range(p + 1, size):
            under[q] -= c * row[q]
        x[p + 1] -= c * x[p]
        _divide(under, x, p + 1, size)
        for s in range(p + 2, size):
            c0, c1, below = row[s], under[s], a[s]
            for q in range(s, size):
                below[q] -= c0 * row[q] + c1 * under[q]
            x[s] -= c0 * x[p] + c1 * x[p + 1]
    if size % 2:
        _divide(a[size - 1], x, size - 1, size)
    for p in range(size - 1, -1, -1):
        row, rest = a[p], x[p]
        for q in range(p + 1, size):
            rest -= row[q] * x[q]
        x[p] = rest / row[p]


@njit(inline="always")
def _divide(row, x, p, size):
    """Divide row p of R, and entry p of x, by the square root of the pivot."""
    scale = 1.0 / np.sqrt(row[p])
    for q in range(p, size):
        row[q] *= scale
    x[p] *= scale


_F2, _F1, _I1 = types.float64[:, ::1], types.float64[::1], types.int64[::1]
SIGNATURES = {solve_rows: types.void(_I1, _I1, _I1, _F2, _F1, _F2, _F1, _F1, _F1, _F2)}
