# mypy: ignore-errors
"""The systems of alternating least squares and of slim-local by compiled loops over rows."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from taurec.kernels import pool
from taurec.kernels.compile import compiled

Index, Double = NDArray[np.int64], NDArray[np.float64]
#: Rows of one task.
CHUNK = 512
#: Items of one task of :func:`solve_near`, whose systems are larger.
ITEMS = 64


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


def solve_near(items, by_user, by_item, weight, diagonal, l2, fill, near, out):
    """See :func:`taurec.kernels.solve.solve_neighbours`; ``diagonal`` is of G, ``near`` and ``out`` are written."""
    loop, given = compiled("solve", "solve_items"), (*by_user, *by_item, weight, diagonal, l2, fill)
    spans = [slice(a, a + ITEMS) for a in range(0, len(items), ITEMS)]
    pool.run(lambda s: loop(items[spans[s]], *given, near[spans[s]], out[spans[s]]), len(spans))


def solve_items(items, indptr, indices, users_of, of, weight, diagonal, l2, fill, near, out):
    """Solve the regressions of ``items`` on their nearest ones, one after another.

    Args:
        items: [n]; indptr, indices: items of each user; users_of, of: users of each item, both CSR.
        weight: [U]; diagonal: [I] of G; near, out: [n, k], written; ``near`` is -1 before.
    """
    k = near.shape[1]
    common, met = np.zeros(len(diagonal)), np.empty(len(diagonal), np.int64)
    place, seen = np.zeros(len(weight), np.int64), np.empty(len(weight), np.int64)
    a, x, held = np.empty((k + 1, k + 1)), np.empty(k + 1), np.empty(1 << 10, np.int64)
    chosen = np.empty(k + 1, np.int64)
    for row in range(len(items)):
        j = items[row]
        n_met = 0
        for u in of[users_of[j] : users_of[j + 1]]:
            w = weight[u]
            for i in indices[indptr[u] : indptr[u + 1]]:
                if common[i] == 0.0:
                    met[n_met] = i
                    n_met += 1
                common[i] += w
        n = _nearest(met[:n_met], common, diagonal, j, k, chosen)
        if fill:
            for i in range(len(diagonal)):
                if n == k:
                    break
                if i != j and common[i] == 0.0:
                    chosen[n] = i
                    n += 1
        for i in met[:n_met]:
            common[i] = 0.0
        chosen[:n].sort()
        chosen[n] = j
        total = 0
        for p in range(n + 1):
            total += users_of[chosen[p] + 1] - users_of[chosen[p]]
        if total > len(held):
            held = np.empty(2 * total, np.int64)
        _gram(a, chosen[: n + 1], users_of, of, weight, place, seen, held)
        for p in range(n):
            a[p, p] = diagonal[chosen[p]] + l2
            x[p] = a[p, n]
        _solve(a, x, n)
        for p in range(n):
            near[row, p] = chosen[p]
            out[row, p] = x[p]


@njit(inline="always")
def _nearest(met, common, diagonal, j, k, chosen):
    """Write the at most k items of ``met`` nearest to j to ``chosen``, in any order; returns their number."""
    close, n = np.empty(len(met)), 0
    for at in range(len(met)):
        i = met[at]
        close[at] = -1.0 if i == j else common[i] * common[i] / diagonal[i]
    edge = -0.5  # below every other item, above j
    if len(met) - 1 > k:
        edge = np.partition(close, len(met) - k)[len(met) - k]
    for at in range(len(met)):
        if close[at] > edge:
            chosen[n] = met[at]
            n += 1
    level = met[close == edge]
    level.sort()
    for i in level[: k - n]:
        chosen[n] = i
        n += 1
    return n


@njit(inline="always")
def _gram(a, chosen, users_of, of, weight, place, seen, held):
    """Write G over ``chosen`` to the upper triangle of a, without its diagonal.

    ``held`` receives the positions in ``chosen`` of each user's items, one user after another; ``place`` [U] is 0
    before and after.
    """
    n, n_seen = len(chosen), 0
    a[:n, :n] = 0.0
    for p in range(n):
        for u in of[users_of[chosen[p]] : users_of[chosen[p] + 1]]:
            if place[u] == 0:
                seen[n_seen] = u
                n_seen += 1
            place[u] += 1
    start = 0
    for u in seen[:n_seen]:
        start, place[u] = start + place[u], start
    for p in range(n):
        for u in of[users_of[chosen[p]] : users_of[chosen[p] + 1]]:
            held[place[u]] = p
            place[u] += 1
    start = 0
    for u in seen[:n_seen]:
        w, end = weight[u], place[u]
        for at in range(start, end):
            line = a[held[at]]
            for q in held[at + 1 : end]:
                line[q] += w
        start, place[u] = end, 0


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
_NEAR, _OUT = types.int32[:, ::1], types.float32[:, ::1]
SIGNATURES = {
    solve_rows: types.void(_I1, _I1, _I1, _F2, _F1, _F2, _F1, _F1, _F1, _F2),
    solve_items: types.void(_I1, _I1, _I1, _I1, _I1, _F1, _F1, types.float64, types.boolean, _NEAR, _OUT),
}
