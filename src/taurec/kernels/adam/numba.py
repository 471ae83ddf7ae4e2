# mypy: ignore-errors
"""Adam on the CPU by compiled loops: whole tables, rows with pending steps, and tables of unit rows."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from torch import Tensor

from taurec.kernels.adam.reference import Numbers
from taurec.kernels.compile import compiled
from taurec.kernels.pool import by_rows


def step(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, how: Numbers, l2_rows: Tensor | None) -> None:
    """See :func:`taurec.kernels.adam.adam_step`."""
    flat = [t.contiguous().view(-1).numpy() for t in (param, grad, m, v)]
    rows = np.empty(0, np.float32) if l2_rows is None else l2_rows.float().contiguous().numpy()
    loop, dim = compiled("adam", "adam"), param.shape[1]
    numbers = how.step_size, how.beta1, how.beta2, 1 / how.correction, how.eps
    by_rows(param, lambda lo, hi: loop(*flat, dim, how.l2, rows, *numbers, lo, hi))


# A moment as small as this changes no weight (1e-30 over an epsilon of 1e-8) but would decay to a denormal number,
# which makes every later step many times slower; it is set to 0.
TINY_M, TINY_V = np.float32(1e-30), np.float32(1e-36)


TOGETHER = 16
"""Number of rows whose gradient :func:`adam_unit` has in memory at once."""


@njit
def _adam(p, g, m, v, l2, step_size, beta1, beta2, inverse_root, eps):
    one, zero = np.float32(1), np.float32(0)
    for e in range(len(p)):
        gradient = g[e] + l2 * p[e]
        first = m[e] + (one - beta1) * (gradient - m[e])
        second = v[e] * beta2 + (one - beta2) * (gradient * gradient)
        first = zero if abs(first) <= TINY_M else first
        second = zero if second <= TINY_V else second
        m[e], v[e] = first, second
        p[e] = p[e] - step_size * (first / (np.sqrt(second) * inverse_root + eps))


@njit
def _decay(none, m, v, beta1, beta2):
    """Update the moments as :func:`_adam` does for a gradient of 0; ``none`` holds zeros."""
    one, zero = np.float32(1), np.float32(0)
    for e in range(len(m)):
        first = m[e] + (one - beta1) * (none[e] - m[e])
        second = v[e] * beta2 + (one - beta2) * (none[e] * none[e])
        m[e] = zero if abs(first) <= TINY_M else first
        v[e] = zero if second <= TINY_V else second


@njit
def _nothing(x):
    """Whether all entries are 0."""
    s = np.float32(0)
    for e in range(len(x)):
        s = max(s, abs(x[e]))
    return s == 0


@njit
def _unit(p, r, small, unit):
    """Write ``w / |w|`` of row r, or 0 where ``|w| <= small``; returns the squared length of the row."""
    total = np.float32(0)
    for e in range(p.shape[1]):
        total += p[r, e] * p[r, e]
    length = np.sqrt(total)
    inverse = np.float32(1) / length if length > small else np.float32(0)
    for e in range(p.shape[1]):
        unit[r, e] = p[r, e] * inverse
    return total


@njit
def _through(p, d_unit, unit, r, inverse, l2, g, k):
    """Write to row k of g the gradient of row r, from the gradient of its unit row, plus l2 times the row."""
    along = np.float32(0)
    for e in range(p.shape[1]):
        along += unit[r, e] * d_unit[r, e]
    along *= inverse
    for e in range(p.shape[1]):
        g[k, e] = d_unit[r, e] * inverse - along * unit[r, e] + l2 * p[r, e]


@njit
def _finite(x):
    """Whether no entry is infinite or NaN: 0 times such an entry is NaN."""
    s = np.float32(0)
    for e in range(len(x)):
        s += x[e] * np.float32(0)
    return s == 0


def adam(p, g, m, v, dim, l2, l2_rows, step_size, beta1, beta2, inverse_root, eps, lo, hi):
    """One Adam step of rows lo..hi-1 of the flat table p; ``l2_rows`` [R], or empty, scales l2 by row."""
    if len(l2_rows) == 0:
        a, z = lo * dim, hi * dim
        _adam(p[a:z], g[a:z], m[a:z], v[a:z], l2, step_size, beta1, beta2, inverse_root, eps)
        return
    for r in range(lo, hi):
        a, z = r * dim, (r + 1) * dim
        _adam(p[a:z], g[a:z], m[a:z], v[a:z], l2 * l2_rows[r], step_size, beta1, beta2, inverse_root, eps)


def adam_catch_up(p, m, v, dim, last, rows, whole, now, first, l2, sizes, beta1, beta2, roots, eps, lo, hi, out):
    """Take the pending steps of rows, without gradient, from ``last[r]`` to ``now``, one by one as a dense update does.

    When a step leaves a row's weights unchanged, so do all later steps (they shrink by beta1), and only the moments
    change. With weight decay (l2 > 0) every step is taken.

    Args:
        last: [R] int32, the last step that each row has taken; written.
        rows: [n] int64; with ``whole`` it is not read, and all rows are updated.
        sizes, roots: corrected learning rate and inverse root of steps ``first``, ``first + 1``, ...
        lo, hi: the range of positions in ``rows``.
        out: flat [n * dim], receives the weights; or empty.
    """
    none, before = np.zeros(dim, np.float32), np.empty(dim, np.float32)
    for k in range(lo, hi):
        r = k if whole else rows[k]
        a, z = r * dim, (r + 1) * dim
        w, m1, v1 = p[a:z], m[a:z], v[a:z]
        t, moving = np.int64(last[r]) + 1, True
        if l2 == 0 and _nothing(m1):
            moving = False
            if _nothing(v1):
                t = now + 1
        while t <= now and moving:
            check = l2 == 0 and t % 8 == 0
            if check:
                before[:] = w
            _adam(w, none, m1, v1, l2, sizes[t - first], beta1, beta2, roots[t - first], eps)
            t += 1
            if check:
                moving = False
                for e in range(dim):
                    if w[e] != before[e]:
                        moving = True
        while t <= now:
            _decay(none, m1, v1, beta1, beta2)
            t += 1
        last[r] = now
        if len(out) > 0:
            out[k * dim : (k + 1) * dim] = w


def adam_rows(p, g, m, v, dim, last, rows, now, l2, l2_rows, step_size, beta1, beta2, inverse_root, eps, lo, hi):
    """One Adam step of the distinct rows ``rows[lo:hi]``; row k of the flat g belongs to ``rows[k]``.

    ``l2_rows`` [len(rows)], or empty, scales l2.
    """
    for k in range(lo, hi):
        r = rows[k]
        a, z, b = r * dim, (r + 1) * dim, k * dim
        scale = l2 if len(l2_rows) == 0 else l2 * l2_rows[k]
        _adam(p[a:z], g[b : b + dim], m[a:z], v[a:z], scale, step_size, beta1, beta2, inverse_root, eps)
        last[r] = now


def adam_unit(
    p, d_unit, m, v, unit, square, dim, l2, l2_rows, step_size, beta1, beta2, inverse_root, eps, small, lo, hi
):
    """One Adam step of rows lo..hi-1 from the gradient of their unit rows, with l2; also updates the unit rows.

    Args:
        unit: flat [R * dim], the rows of ``p`` scaled to length 1 (0 where the length is at most ``small``); read and
            written.
        square: [R] squared lengths of the rows of ``p``; read and written.
        l2_rows: [R] factor of l2 for each row; or empty.
    Returns: False if a gradient is not finite; the rows of its block are unchanged.
    """
    g, one, fine = np.empty(TOGETHER * dim, np.float32), np.float32(1), True
    rows, d_rows, units = p.reshape(-1, dim), d_unit.reshape(-1, dim), unit.reshape(-1, dim)
    g_rows = g.reshape(-1, dim)
    for start in range(lo, hi, TOGETHER):
        end = min(start + TOGETHER, hi)
        a, z = start * dim, end * dim
        for r in range(start, end):
            length = np.sqrt(square[r])
            inverse = one / length if length > small else np.float32(0)
            scale = l2 if len(l2_rows) == 0 else l2 * l2_rows[r]
            _through(rows, d_rows, units, r, inverse, scale, g_rows, r - start)
        if not _finite(g[: z - a]):
            fine = False
            continue
        _adam(p[a:z], g[: z - a], m[a:z], v[a:z], np.float32(0), step_size, beta1, beta2, inverse_root, eps)
        for r in range(start, end):
            square[r] = _unit(rows, r, small, units)
    return fine


def unit_square(p, dim, small, lo, hi, unit, square):
    """Write ``unit`` and ``square`` of rows lo..hi-1 of p, as :func:`adam_unit` does."""
    rows, units = p.reshape(-1, dim), unit.reshape(-1, dim)
    for r in range(lo, hi):
        square[r] = _unit(rows, r, small, units)


def unit_norm(d_unit, unit, square, dim, small, lo, hi):
    """The squared length of the gradient of rows lo..hi-1 of w, given the gradient g of u = w / |w|.

    It is the sum over rows of (|g|^2 - <u, g>^2) / |w|^2, where a row with |w| <= small counts 0. It is not finite if
    a gradient is not finite.
    """
    rows, units, total = d_unit.reshape(-1, dim), unit.reshape(-1, dim), 0.0
    for r in range(lo, hi):
        length, along = np.float32(0), np.float32(0)
        for e in range(dim):
            length += rows[r, e] * rows[r, e]
            along += rows[r, e] * units[r, e]
        if not np.isfinite(length):
            return np.float64(length)
        if np.sqrt(square[r]) > small:
            total += max(np.float64(length) - np.float64(along) * np.float64(along), 0.0) / square[r]
    return total


def compact(ids, mark, stamp, rows, position):
    """The distinct ids in the order of first occurrence, and the position of each id among them.

    Args:
        ids: [n] in 0..R-1.
        mark: [2, R] int32 scratch memory, which keeps its contents between calls.
        stamp: a number that no earlier call with this ``mark`` has used.
        rows: [n] receives the distinct ids.
        position: [n] receives the positions: ``rows[position[j]] == ids[j]``.
    Returns: the number of distinct ids.
    """
    n = 0
    for j in range(len(ids)):
        i = ids[j]
        if mark[0, i] != stamp:
            mark[0, i] = stamp
            mark[1, i] = n
            rows[n] = i
            n += 1
        position[j] = mark[1, i]
    return n


_F, _F1, _N = types.float32, types.float32[::1], types.int64
_I1, _I2, _L1, _B = types.int32[::1], types.int32[:, ::1], types.int64[::1], types.boolean

SIGNATURES = {
    adam: types.void(_F1, _F1, _F1, _F1, _N, _F, _F1, _F, _F, _F, _F, _F, _N, _N),
    adam_catch_up: types.void(_F1, _F1, _F1, _N, _I1, _L1, _B, _N, _N, _F, _F1, _F, _F, _F1, _F, _N, _N, _F1),
    adam_rows: types.void(_F1, _F1, _F1, _F1, _N, _I1, _L1, _N, _F, _F1, _F, _F, _F, _F, _F, _N, _N),
    adam_unit: types.boolean(_F1, _F1, _F1, _F1, _F1, _F1, _N, _F, _F1, _F, _F, _F, _F, _F, _F, _N, _N),
    unit_norm: types.float64(_F1, _F1, _F1, _N, _F, _N, _N),
    unit_square: types.void(_F1, _N, _F, _N, _N, _F1, _F1),
    compact: types.int64(_L1, _I2, types.int32, _L1, _L1),
}
