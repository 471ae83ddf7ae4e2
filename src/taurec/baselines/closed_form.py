"""The closed form of linear models from items to items: one inverse, on the shorter side of the log.

    G_b = X^T N^-b X,   P = (G_b + Lam)^-1,   B_ij = -P_ij s_j,   s_j = max(Lam_j, (1 - xi) / P_jj),   B_jj = 0

X is the binary users x items matrix, N the diagonal of the users' counts and Lam a diagonal ridge. With xi = 0 each
column is the ridge regression of an item on all others; xi bounds the diagonal of I - P diag(s) from above, and xi = 1
is plain ridge regression. Any ridge above 0 is one number l2 on a scaled matrix Y = N^(-b/2) X M^(-1/2), Lam = l2 M:

    B = M^(-1/2) B_Y M^(1/2),   A = Y^T (Y Y^T + l2 I)^-1 Y,   B_Y,ij = A_ij / min(1, (1 - A_jj) / (1 - xi))

so that with fewer users than items the inverse is one of users (Woodbury's identity), whatever the weights.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array, diags_array

from taurec.baselines.protocol import FitCost
from taurec.baselines.threads import blas_of_run
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float

Double = NDArray[np.float64]

_BLOCK_ROWS = 512
_BLOCK_COLUMNS = 64
"""Few, so that the allocator gives the same memory to every block."""
_FORECAST_ITEMS = 2000
"""Size of the matrix whose inverse is timed for a forecast."""
_SECONDS_OF_CUBE = 5e-11
"""Of an inverse, for each of its n^3 operations, where the matrix is too small to be worth timing."""
_SECONDS_OF_SUM = 1e-9
"""Of a product of a sparse with a dense matrix, for each number it adds."""


def item_weights(
    seen: csr_array,
    ridge: float | Double,
    rows: float = 0.0,
    xi: float = 0.0,
    into: Double | None = None,
    out: Double | None = None,
) -> Float:
    """The weights ``diag(into) B diag(out)`` [I, I], float32.

    Args:
        seen: X [U, I].
        ridge: Lam: one number above 0, or [I]; a 0 is accepted for an item without users.
        rows: b, the exponent of the users' counts.
        xi: upper bound of the diagonal, 0 to 1.
        into, out: [I] factors of the rows and of the columns of B; None leaves them.
    Raises: UsageError if the matrix to invert is singular to rounding.

    >>> item_weights(Interactions.from_pairs([0, 0, 1], [0, 1, 1]).csr(), ridge=1.0)
    array([[0.        , 0.5       ],
           [0.33333334, 0.        ]], dtype=float32)
    """
    l2, length = 1.0, None
    if isinstance(ridge, np.ndarray):
        length = np.sqrt(np.where(ridge > 0, ridge, 1.0))
        into, out = (1.0 if into is None else into) / length, (1.0 if out is None else out) * length
    else:
        l2 = ridge
    if length is not None or rows:
        counts = np.maximum(np.diff(seen.indptr), 1.0)
        seen = csr_array(diags_array(counts ** (-rows / 2)) @ seen.astype(np.float64))
        seen = seen if length is None else csr_array(seen @ diags_array(1.0 / length))
    by_item = csr_array(seen.T.tocsr())
    users, items = seen.shape
    b = _over_users(seen, by_item, l2, xi) if users < items else _over_items(by_item, seen, l2, xi)
    for start in range(0, items, _BLOCK_ROWS):
        block = b[start : start + _BLOCK_ROWS]
        if into is not None:
            block *= into[start : start + _BLOCK_ROWS, None]
        if out is not None:
            block *= out
    return b


def fit_bytes(train: Interactions) -> int:
    """Memory of a fit: a float64 inverse on the shorter side and float32 weights of items."""
    return int(8 * min(train.n_users, train.n_items) ** 2 + 4 * train.n_items**2)


def fit_cost(train: Interactions) -> FitCost:
    """Time by the inverse, from one of a small matrix, and by the sums over pairs in weights and in scores."""
    fewer = min(train.n_users, train.n_items)
    if fewer <= _FORECAST_ITEMS:
        return FitCost(_SECONDS_OF_CUBE * fewer**3, fit_bytes(train))
    inverse = _seconds_of_fit(_FORECAST_ITEMS) * (fewer / _FORECAST_ITEMS) ** 3
    return FitCost(inverse + _SECONDS_OF_SUM * len(train) * (train.n_users + train.n_items), fit_bytes(train))


def _seconds_of_fit(n: int) -> float:
    """Of a fit to n users with one item each, which is nothing but its inverse: the least of three."""
    some = Interactions.from_pairs(np.arange(n), np.arange(n)).csr()
    took = float("inf")
    for _ in range(3):  # the forecast grows with the third power, so one delay would count many times over
        started = time.perf_counter()
        item_weights(some, 1.0)
        took = min(took, time.perf_counter() - started)
    return took


def _inverse(rows: csr_array, columns: csr_array, l2: float) -> Double:
    """(R R^T + l2 I)^-1 [n, n] of ``rows`` R [n, m], ``columns`` being R^T; the lower triangle is left undefined.

    By a Cholesky factor and an inverse that overwrite the Gram matrix.
    """
    n = rows.shape[0]
    p = np.empty((n, n))
    for start in range(0, n, _BLOCK_ROWS):
        p[start : start + _BLOCK_ROWS] = (rows[start : start + _BLOCK_ROWS] @ columns).toarray()
    p[np.diag_indices(n)] += l2
    with blas_of_run():
        # The lower triangle of the column-major view p.T is the upper triangle of p.
        _, fault = lapack.dpotrf(p.T, lower=1, overwrite_a=1, clean=0)
        if not fault:
            _, fault = lapack.dpotri(p.T, lower=1, overwrite_c=1)
    if fault:
        raise UsageError("the Gram matrix is singular to rounding with this ridge; use a larger l2")
    return p


def _over_items(by_item: csr_array, seen: csr_array, l2: float, xi: float = 0.0) -> Float:
    """B [I, I] from P [I, I]."""
    p = _inverse(by_item, seen, l2)
    n = len(p)
    scale = (1.0 - xi) / np.diagonal(p)
    if xi:
        scale = np.maximum(scale, l2)
    b = np.empty((n, n), dtype=np.float32)
    for start in range(0, n, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, n)
        b[start:stop, start:] = p[start:stop, start:] * -scale[start:]
        b[stop:, start:stop] = (p[start:stop, stop:] * -scale[start:stop, None]).T
        square = np.triu(p[start:stop, start:stop], 1)
        b[start:stop, start:stop] = (square + square.T) * -scale[start:stop]
    np.fill_diagonal(b, 0.0)
    return b


def _over_users(seen: csr_array, by_item: csr_array, l2: float, xi: float = 0.0) -> Float:
    """B [I, I] from A [I, I], a block of columns at a time."""
    k = _inverse(seen, by_item, l2)
    for start in range(0, len(k), _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, len(k))
        k[stop:, start:stop] = k[start:stop, stop:].T
        upper = np.triu(k[start:stop, start:stop])
        k[start:stop, start:stop] = upper + np.triu(upper, 1).T
    n = seen.shape[1]
    b, exact = np.empty((n, n), dtype=np.float32), by_item.astype(np.float64)
    for start in range(0, n, _BLOCK_COLUMNS):
        stop = min(start + _BLOCK_COLUMNS, n)
        a = exact @ np.ascontiguousarray((exact[start:stop] @ k).T)
        scale = 1.0 - np.diagonal(a, -start)
        if xi:
            scale = np.where(scale > 1.0 - xi, 1.0, scale / max(1.0 - xi, np.finfo(float).tiny))
        a /= scale
        b[:, start:stop] = a
    np.fill_diagonal(b, 0.0)
    return b
