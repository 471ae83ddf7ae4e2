"""RP3beta: a random walk of three steps, with popular items held back."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec import draw
from taurec.baselines.from_log import SparseWeights
from taurec.baselines.graph import item_counts, normalised, powers
from taurec.baselines.knn import blocks_of_rows, strongest
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.foldin import ItemWeights


class RP3Beta(SparseWeights):
    """Scores an item by the probability that a walk from the user ends there, divided by a power of its popularity.

        W_ij = d_j^-beta sum over users u of i and j of (1 / d_i)^alpha (1 / n_u)^alpha,   W_ii = 0
        keep the k largest of each row, divide rows by their sums, keep the k largest of each column;   scores = x W

    d_i is the number of users of item i, n_u the number of items of user u. With alpha 1, W before the division is the
    probability of the walk from item i to a user and on to item j. A fixed hash of the index breaks ties for the k-th
    place. Stores at most k I weights.

    Args:
        alpha: power of the transition probabilities, above 0.
        beta: power of the popularity that a weight is divided by; 0 is P3alpha.
        k: number of weights kept in each row, then in each column.
        normalise: whether rows are divided by their sums.
    Source: Paudel et al., ACM TiiS 2017, doi 10.1145/2955101; the cuts and the division as in the code of Ferrari
        Dacrema et al., RecSys 2019 (repository MaurizioFD/RecSys2019_DeepLearning_Evaluation). Differs from the
        authors' code in: the order of equal weights.
    ``item_vectors`` are the columns of the log.

    >>> log = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 1, 2])
    >>> RP3Beta(beta=0.0, normalise=False).fit(log).block(np.array([0]))
    array([[0.25, 0.5 , 0.25]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"alpha": alpha, "beta": beta} for alpha in (0.7, 1.0) for beta in (0.2, 0.4, 0.6, 0.8)
    )

    def __init__(self, alpha: float = 1.0, beta: float = 0.6, k: int = 100, normalise: bool = True):
        if k < 1 or not (0.0 < alpha < np.inf and 0.0 <= beta < np.inf):
            raise UsageError(f"RP3Beta needs alpha > 0, beta >= 0, k >= 1; got {alpha=}, {beta=}, {k=}")
        self.alpha, self.beta, self.k, self.normalise = alpha, beta, k, normalise

    def fit(self, train: Interactions) -> RP3Beta:
        self._seen = train.csr()
        weights = _walked(self.seen(), self.alpha, self.beta, self.k)
        if self.normalise:
            sums = np.asarray(weights.sum(axis=1)).ravel()
            weights.data /= np.repeat(np.where(sums > 0, sums, 1.0), np.diff(weights.indptr))
        self._weights = _columns_cut(weights, self.k).astype(np.float32)
        return self

    def fold_in(self) -> ItemWeights:
        return ItemWeights(self.weights(), min(self.k, self.n_items))


def _walked(seen: csr_array, alpha: float, beta: float, k: int) -> csr_array:
    """[I, I] float64: the k largest weights of each row, before rows are divided. In blocks of items."""
    n = seen.shape[1]
    by_item = csr_array(normalised(seen, 0.0, alpha).T.tocsr())
    by_user = csr_array(normalised(seen, alpha, 0.0))
    popularity = powers(item_counts(seen), -beta)
    tie = draw.bits(draw.key(0, "rp3beta ties"), np.arange(n))
    reach = np.minimum(csr_array(seen.T) @ np.diff(seen.indptr).astype(np.float64), n)
    rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    values: list[NDArray[np.float64]] = [np.empty(0)]
    lengths = np.zeros(n, dtype=np.int64)
    for start, stop in blocks_of_rows(reach):
        walked = csr_array(by_item[start:stop] @ by_user)
        for i in range(start, stop):
            at = slice(walked.indptr[i - start], walked.indptr[i - start + 1])
            j, w = walked.indices[at].astype(np.int64), walked.data[at]
            other = j != i
            j, w = j[other], w[other] * popularity[j[other]]
            keep = np.sort(strongest(w, tie[j], k))
            rows.append(j[keep])
            values.append(w[keep])
            lengths[i] = len(keep)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csr_array((np.concatenate(values), np.concatenate(rows), indptr), shape=(n, n))


def _columns_cut(weights: csr_array, k: int) -> csr_array:
    """The k largest entries of each column."""
    n = weights.shape[0]
    tie = draw.bits(draw.key(0, "rp3beta ties"), np.arange(n))
    turned = csr_array(weights.T.tocsr())
    kept = []
    for start, stop in zip(turned.indptr[:-1], turned.indptr[1:], strict=True):
        kept.append(start + np.sort(strongest(turned.data[start:stop], tie[turned.indices[start:stop]], k)))
    indptr = np.concatenate([[0], np.cumsum([len(entries) for entries in kept])])
    chosen = np.concatenate(kept)
    cut = csr_array((turned.data[chosen], turned.indices[chosen], indptr), shape=(n, n))
    return csr_array(cut.T.tocsr())
