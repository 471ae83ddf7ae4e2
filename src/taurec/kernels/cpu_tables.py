# mypy: ignore-errors
"""The loops over whole tables: compiled by numba, imported only when one is first used."""

from __future__ import annotations

import numpy as np
from numba import njit, types


def unit_forward(w, eps, lo, hi, unit, inverse):
    """Rows lo..hi-1: ``unit = w / |w|`` and ``inverse = 1 / |w|``; both 0 where ``|w| <= eps``."""
    for r in range(lo, hi):
        square = np.float32(0)
        for d in range(w.shape[1]):
            square += w[r, d] * w[r, d]
        length = np.sqrt(square)
        scale = np.float32(1) / length if length > eps else np.float32(0)
        inverse[r] = scale
        for d in range(w.shape[1]):
            unit[r, d] = w[r, d] * scale


def unit_backward(unit, inverse, d_unit, lo, hi, d_w):
    """Rows lo..hi-1: ``d_w = (d_unit - <unit, d_unit> unit) / |w|``."""
    for r in range(lo, hi):
        along = np.float32(0)
        for d in range(unit.shape[1]):
            along += unit[r, d] * d_unit[r, d]
        for d in range(unit.shape[1]):
            d_w[r, d] = (d_unit[r, d] - along * unit[r, d]) * inverse[r]


@njit
def _adam(p, g, m, v, l2, step_size, beta1, beta2, inverse_root, eps):
    one = np.float32(1)
    for e in range(len(p)):
        gradient = g[e] + l2 * p[e]
        m[e] = m[e] + (one - beta1) * (gradient - m[e])
        v[e] = v[e] * beta2 + (one - beta2) * (gradient * gradient)
        p[e] = p[e] - step_size * (m[e] / (np.sqrt(v[e]) * inverse_root + eps))


def adam(p, g, m, v, dim, l2, l2_rows, step_size, beta1, beta2, inverse_root, eps, lo, hi):
    """Rows lo..hi-1 of the flat table p: one Adam step; ``l2_rows`` [R], or empty, scales l2 by row."""
    if len(l2_rows) == 0:
        a, z = lo * dim, hi * dim
        _adam(p[a:z], g[a:z], m[a:z], v[a:z], l2, step_size, beta1, beta2, inverse_root, eps)
        return
    for r in range(lo, hi):
        a, z = r * dim, (r + 1) * dim
        _adam(p[a:z], g[a:z], m[a:z], v[a:z], l2 * l2_rows[r], step_size, beta1, beta2, inverse_root, eps)


_F, _F1, _F2, _N = types.float32, types.float32[::1], types.float32[:, ::1], types.int64

SIGNATURES = {
    unit_forward: types.void(_F2, _F, _N, _N, _F2, _F1),
    unit_backward: types.void(_F2, _F1, _F2, _N, _N, _F2),
    adam: types.void(_F1, _F1, _F1, _F1, _N, _F, _F1, _F, _F, _F, _F, _F, _N, _N),
}
