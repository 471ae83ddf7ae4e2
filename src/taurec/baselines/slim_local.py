"""SLIM on a neighbourhood: EASE where the matrix of all items does not fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from taurec.baselines.from_log import SparseWeights
from taurec.baselines.memory import require
from taurec.baselines.protocol import FitCost
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.foldin import ItemWeights
from taurec.kernels.solve import solve_neighbours
from taurec.ranker import Float

Near = NDArray[np.int32]

_FORECAST_ITEMS = 256
"""Regressions that are timed for a forecast."""
_SECONDS_OF_SUM = 4e-9
"""Of the scores, for each number that is added or written."""


class LocalSLIM(SparseWeights):
    """Ridge regression of each item on the k items nearest to it.

        G = X^T N^-rows X,   N_j the k items i with the largest cosine G_ij / sqrt(G_ii G_jj)
        b_j = (G_NN + l2 I)^-1 G_Nj on N_j, 0 elsewhere,   scores = X B

    X is the binary users x items matrix and N the diagonal of the users' counts. Neighbours share a user with j; of
    equal ones, those with the lower number are kept. With k of at least I - 1, ``rows=0`` and ``fill`` it is
    :class:`EASE`. It costs I k^3 / 6 products and the co-occurrences of neighbours, 24 I k bytes, and no I x I matrix:
    time and memory grow with the number of items, not with its third and second power. Bits do not depend on the
    number of threads.

    Args:
        k: neighbours of an item.
        l2: weight of the squared entries of B, above 0; with ``rows`` above 0 suitable values are smaller than EASE's.
        rows: exponent of the users' counts; a larger one gives users with many items less weight.
        fill: fill a neighbourhood of fewer than k items up with items that share no user with j.
    Raises: ResourceError if the weights do not fit into memory, with the figure.
    Source: the ridge form of fsSLIM (Ning and Karypis, ICDM 2011), as a regression in closed form. Differs from
        fsSLIM in: no L1 norm, negative weights allowed. Steck's sparse approximation (NeurIPS 2019) is related.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> LocalSLIM(k=1, l2=1.0, rows=0.0).fit(log).from_history(log.csr()[:1])
    array([[0.33333334, 0.5       ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"k": k, "l2": l2, "rows": 0.5} for k in (100, 200) for l2 in (2.0, 5.0, 10.0, 25.0, 100.0)
    )

    def __init__(self, k: int = 100, l2: float = 10.0, rows: float = 0.5, fill: bool = False):
        if k < 1:
            raise UsageError(f"LocalSLIM needs k of at least 1, got {k}")
        if not (0.0 < l2 < np.inf and np.isfinite(rows)):
            raise UsageError(f"LocalSLIM needs l2 above 0 and a finite rows, got l2={l2}, rows={rows}")
        self.k, self.l2, self.rows, self.fill = k, l2, rows, fill

    def fit(self, train: Interactions) -> LocalSLIM:
        what = f"LocalSLIM on {train.n_items:,} items with k={self.k}"
        require(self._bytes(train), what, "use a smaller k, or keep fewer items (k-core)")
        near, weights = self._solver(train)(np.arange(train.n_items))
        kept = near >= 0
        ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        near, weights = near[kept], weights[kept]
        indptr = ends.astype(np.int32 if len(near) < 2**31 else np.int64)  # the indices get the same type
        columns = csc_array((weights, near, indptr), shape=(train.n_items, train.n_items))
        self._seen, self._weights = train.csr(), csr_array(columns.tocsr())
        return self

    def _solver(self, train: Interactions) -> Callable[[NDArray[np.int64]], tuple[Near, Float]]:
        """The function that gives neighbours and weights of some items, [n, k] each."""
        turned = csr_array(train.csr().T.tocsr())
        turned.sort_indices()
        by_item = turned.indptr.astype(np.int64), turned.indices.astype(np.int64)
        by_user = train.indptr.astype(np.int64), train.indices.astype(np.int64)
        weight = np.maximum(train.user_counts, 1.0) ** -self.rows
        diagonal = np.bincount(train.indices, weight[train.user_of], minlength=train.n_items).astype(np.float64)
        given = (by_user, by_item, weight, diagonal, self._most(train), self.l2, self.fill)
        return lambda items: solve_neighbours(items, *given)

    def _most(self, train: Interactions) -> int:
        """The largest number of neighbours."""
        return max(min(self.k, train.n_items - 1), 1)

    def _bytes(self, train: Interactions) -> int:
        """Memory of a fit: the weights of all items three times, and the log by item."""
        return 24 * train.n_items * self._most(train) + 32 * len(train) + 64 * (train.n_users + train.n_items)

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time from some of the regressions, evenly spaced over the items, and by the sums of the scores."""
        n = min(_FORECAST_ITEMS, train.n_items)
        some = (2 * np.arange(n) + 1) * train.n_items // (2 * n)
        solve, took = self._solver(train), float("inf")
        for _ in range(3):  # the first call compiles; one delay would count for all items
            started = time.perf_counter()
            solve(some)
            took = min(took, time.perf_counter() - started)
        seconds = took * train.n_items / n
        sums = len(train) * self._most(train) + train.n_users * train.n_items
        return FitCost(seconds + _SECONDS_OF_SUM * sums, self._bytes(train))

    def fold_in(self) -> ItemWeights:
        return ItemWeights(self.weights(), min(self.k, self.n_items))
