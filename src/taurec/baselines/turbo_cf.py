"""Turbo-CF: a polynomial of an item graph whose weights are raised to a power, without a decomposition."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from scipy.sparse import csr_array

from taurec.baselines.from_log import SparseWeights
from taurec.baselines.graph import normalised
from taurec.baselines.memory import require
from taurec.baselines.protocol import FitCost
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.foldin import ItemWeights
from taurec.ranker import Float

Order = Literal[1, 2, 3]


class TurboCF(SparseWeights):
    """Polynomial low-pass filter of the items' co-occurrences, which need no eigenvectors.

        Q = N^-a X D^(a - 1),   P_ij = ((Q^T Q)_ij)^s,   scores = x F
        order 1: F = P      2: F = 2P - P^2      3: F = P + 0.01 (-P^3 + 10 P^2 - 29 P)

    X is the binary users x items matrix with row counts N and column counts D. P is kept sparse, with an entry for each
    two items that share a user, 8 bytes each. Orders 2 and 3 multiply each history by P two and three times, which
    takes long where P is nearly full.

    Args:
        a: power of the users' counts, between 0 and 1; 1 - a is that of the items. With a = 1/2 and s = 1, P is R^T R.
        s: power of the entries of P, above 0.
        order: of the polynomial.
    Raises: ResourceError if P may not fit into memory, with the figure.
    Source: Park, Shin and Shin, SIGIR 2024, arXiv 2404.14243, with the defaults of their code for Gowalla (repository
        jindeok/Turbo-CF).
    ``item_vectors`` are the columns of the log.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> TurboCF(a=0.5, s=1.0).fit(log).block(np.array([1])).round(3)
    array([[0.354, 0.75 ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"a": a, "s": s} for a in (0.4, 0.5, 0.6) for s in (0.7, 1.0, 1.4)
    )

    def __init__(self, a: float = 0.6, s: float = 0.7, order: Order = 1):
        if not (0.0 <= a <= 1.0 and 0.0 < s < np.inf):
            raise UsageError(f"TurboCF needs a between 0 and 1 and s above 0, got a={a}, s={s}")
        if order not in (1, 2, 3):
            raise UsageError(f"TurboCF has the orders 1, 2 and 3, got {order}")
        self.a, self.s, self.order = a, s, order

    def fit(self, train: Interactions) -> TurboCF:
        advice = "use gf-cf or chebycf, which make no matrix of items, or keep fewer items (k-core)"
        require(_bytes(train), f"TurboCF on {train.n_items:,} items", advice)
        self._seen = train.csr()
        q = normalised(self.seen(), self.a, 1.0 - self.a).astype(np.float32)
        gram = csr_array(q.T.tocsr() @ q)
        np.power(gram.data, np.float32(self.s), out=gram.data)
        gram.sort_indices()
        self._weights = gram
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time by the products of pairs of items of each user, in the fit and in the scores of all users."""
        pairs = float((train.user_counts.astype(np.float64) ** 2).sum())
        entries = min(pairs, float(train.n_items) ** 2)
        first = len(train) * entries / max(train.n_items, 1)
        later = (self.order - 1) * train.n_users * entries
        return FitCost(1e-8 * pairs + 2e-9 * first + 1e-9 * later, _bytes(train))

    def from_history(self, histories: csr_array) -> Float:
        p = self.weights()
        once = super().from_history(histories)
        if self.order == 1:
            return once
        twice: Float = _times(once, p)
        if self.order == 2:
            return 2 * once - twice
        return once + np.float32(0.01) * (10 * twice - _times(twice, p) - 29 * once)

    def fold_in(self) -> ItemWeights | None:
        """P itself for order 1; a page has no form for products of it."""
        return ItemWeights(self.weights(), self.n_items) if self.order == 1 else None


def _times(signal: Float, p: csr_array) -> Float:
    """y P for signals y [b, I]; P is symmetric."""
    found: Float = np.ascontiguousarray((p @ np.ascontiguousarray(signal.T)).T)
    return found


def _bytes(train: Interactions) -> int:
    """Memory of P at most: an entry for each two items of a user, twice while its rows are put in order."""
    pairs = int((train.user_counts.astype(np.int64) ** 2).sum())
    return 2 * 8 * min(pairs, train.n_items**2) + 40 * len(train)
