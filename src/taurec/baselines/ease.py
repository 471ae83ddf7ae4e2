"""EASE: a linear model from items to items, in closed form."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from taurec.baselines.memory import require
from taurec.baselines.protocol import Baseline, FitCost, State, fitted, pack, unpack
from taurec.baselines.threads import blas_of_run
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.foldin import ItemWeights
from taurec.ranker import Float

_BLOCK_ROWS = 512
_BLOCK_COLUMNS = 64
"""Few, so that the allocator gives the same memory to every block."""
_FORECAST_ITEMS = 2000
"""Size of the matrix whose inverse is timed for a forecast."""
_SECONDS_OF_CUBE = 5e-11
"""Of an inverse, for each of its n^3 operations, where the matrix is too small to be worth timing."""
_SECONDS_OF_SUM = 1e-9
"""Of a product of a sparse with a dense matrix, for each number it adds."""


class EASE(Baseline):
    """Ridge regression of each item on all others (embarrassingly shallow auto-encoder).

        P = (X^T X + l2 I)^-1,   B_ij = -P_ij / P_jj,   B_jj = 0,   scores = X B

    X is the binary users x items matrix. With fewer users than items, the same B comes from the smaller matrix of
    users (Woodbury's identity):

        A = X^T (X X^T + l2 I)^-1 X,   B_ij = A_ij / (1 - A_jj),   B_jj = 0

    With n the smaller of U and I it costs n^3 operations and 8 n^2 + 4 I^2 bytes (a float64 inverse made in place, a
    float32 B), on as many threads as torch is set to. Bits may differ in the last place with their number.

    Args:
        l2: weight of the squared entries of B, above 0; the value grows with the number of users.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Steck, WWW 2019, arXiv 1905.03375, eq. 8 and algorithm 1, which inverts the matrix of items.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> EASE(l2=1.0).fit(log).weights()
    array([[0.        , 0.5       ],
           [0.33333334, 0.        ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2} for l2 in (10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
    )

    def __init__(self, l2: float = 500.0):
        if not 0.0 < l2 < np.inf:
            raise UsageError(f"EASE needs l2 above 0, got {l2}")
        self.l2 = l2
        self._seen: csr_array | None = None
        self._weights: Float | None = None

    def fit(self, train: Interactions) -> EASE:
        advice = "use ials or itemknn, or keep fewer items (k-core)"
        require(_bytes(train), f"EASE on {train.n_items:,} items", advice)
        self._seen = train.csr()
        self._weights = _solve(self._seen, self.l2)
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time by the inverse, from one of a small matrix, and by the sums over pairs in weights and in scores."""
        fewer = min(train.n_users, train.n_items)
        if fewer <= _FORECAST_ITEMS:
            return FitCost(_SECONDS_OF_CUBE * fewer**3, _bytes(train))
        inverse = _seconds_of_fit(self.l2, _FORECAST_ITEMS) * (fewer / _FORECAST_ITEMS) ** 3
        return FitCost(inverse + _SECONDS_OF_SUM * len(train) * (train.n_users + train.n_items), _bytes(train))

    def weights(self) -> Float:
        """B [I, I]: column j is the regression of item j."""
        return fitted(self._weights, self)

    @property
    def n_users(self) -> int:
        return int(fitted(self._seen, self).shape[0])

    @property
    def n_items(self) -> int:
        return int(fitted(self._seen, self).shape[1])

    def block(self, users: NDArray[np.int64]) -> Float:
        return self.from_history(fitted(self._seen, self)[users])

    def from_history(self, histories: csr_array) -> Float:
        scores: Float = histories.astype(np.float32) @ self.weights()
        return scores

    def item_vectors(self) -> csr_array:
        return csr_array(fitted(self._seen, self).T.tocsr())

    def fold_in(self) -> ItemWeights:
        return ItemWeights(self.weights(), self.n_items)

    def state(self) -> State:
        return {**pack(fitted(self._seen, self), "seen"), "weights": self.weights(), "l2": np.array([self.l2])}

    @classmethod
    def from_state(cls, state: State) -> EASE:
        model = cls(float(state["l2"][0]))
        model._seen, model._weights = unpack(state, "seen"), state["weights"]
        return model


def _bytes(train: Interactions) -> int:
    """Memory of a fit: a float64 inverse on the shorter side and float32 weights of items."""
    return int(8 * min(train.n_users, train.n_items) ** 2 + 4 * train.n_items**2)


def _seconds_of_fit(l2: float, n: int) -> float:
    """Of a fit to n users with one item each, which is nothing but its inverse: the least of three."""
    some = Interactions.from_pairs(np.arange(n), np.arange(n))
    took = float("inf")
    for _ in range(3):  # the forecast grows with the third power, so one delay would count many times over
        started = time.perf_counter()
        EASE(l2).fit(some)
        took = min(took, time.perf_counter() - started)
    return took


def _solve(seen: csr_array, l2: float) -> Float:
    """B [I, I] from X [U, I], by the inverse on its shorter side."""
    by_item = csr_array(seen.T.tocsr())
    users, items = seen.shape
    return _over_users(seen, by_item, l2) if users < items else _over_items(by_item, seen, l2)


def _inverse(rows: csr_array, columns: csr_array, l2: float) -> NDArray[np.float64]:
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
        raise UsageError(f"the Gram matrix of EASE is singular to rounding with l2={l2}; use a larger l2")
    return p


def _over_items(by_item: csr_array, seen: csr_array, l2: float) -> Float:
    """B [I, I] from P [I, I]."""
    p = _inverse(by_item, seen, l2)
    n = len(p)
    scale = 1.0 / np.diagonal(p)
    b = np.empty((n, n), dtype=np.float32)
    for start in range(0, n, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, n)
        b[start:stop, start:] = p[start:stop, start:] * -scale[start:]
        b[stop:, start:stop] = (p[start:stop, stop:] * -scale[start:stop, None]).T
        square = np.triu(p[start:stop, start:stop], 1)
        b[start:stop, start:stop] = (square + square.T) * -scale[start:stop]
    np.fill_diagonal(b, 0.0)
    return b


def _over_users(seen: csr_array, by_item: csr_array, l2: float) -> Float:
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
        a /= 1.0 - np.diagonal(a, -start)
        b[:, start:stop] = a
    np.fill_diagonal(b, 0.0)
    return b
