"""Item-based nearest neighbours."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec import draw
from taurec.baselines.from_log import SparseWeights
from taurec.baselines.protocol import State, pack, unpack
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.foldin import ItemWeights
from taurec.ranker import Float

_BLOCK_ENTRIES = 1 << 22


class ItemKNN(SparseWeights):
    """Scores an item by its similarity to the items of the history.

        s_ij = |U_i and U_j| / (sqrt(|U_i| |U_j|) + shrink)         U_i: the users of item i
        score(u, i) = sum of s_ij over j in I_u and among the k items nearest to i

    An item is not its own neighbour. A fixed hash of the index breaks ties for the k-th neighbour.
    ``item_vectors`` are the columns of the log, whose cosine is s_ij with shrink 0.

    Args:
        k: neighbours kept for each item; at most k I of them are stored.
        shrink: pulls the similarity of rare items to 0.
    Source: Sarwar et al., WWW 2001; Deshpande and Karypis, ACM TOIS 2004 (cosine). The neighbours
        are those of the scored item, as in Ferrari Dacrema et al., RecSys 2019.

    >>> log = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 1, 2])
    >>> ItemKNN(k=1).fit(log).from_history(log.csr()[:1]).round(3)
    array([[0.707, 0.707, 0.707]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"k": k, "shrink": shrink} for k in (20, 50, 100, 200) for shrink in (0.0, 10.0, 50.0)
    )

    def __init__(self, k: int = 100, shrink: float = 0.0):
        if k < 1 or not 0.0 <= shrink < np.inf:
            raise UsageError(f"ItemKNN needs k >= 1 and shrink >= 0, got k={k}, shrink={shrink}")
        self.k, self.shrink = k, shrink

    def fit(self, train: Interactions) -> ItemKNN:
        self._seen = train.csr()
        self._weights = csr_array(_nearest(train, self.k, self.shrink).T.tocsr())
        return self

    def fold_in(self) -> ItemWeights:
        return ItemWeights(self.weights(), min(self.k, self.n_items))

    def state(self) -> State:
        neighbours = pack(self.weights(), "neighbours")
        return {**pack(self.seen(), "seen"), **neighbours, "settings": np.array([self.k, self.shrink])}

    @classmethod
    def from_state(cls, state: State) -> ItemKNN:
        k, shrink = state["settings"].tolist()
        model = cls(int(k), shrink)
        model._seen, model._weights = unpack(state, "seen"), unpack(state, "neighbours")
        return model


def _nearest(train: Interactions, k: int, shrink: float) -> csr_array:
    """[I, I]: row i holds s_ij of the k items j nearest to i. Computed in blocks of items."""
    n = train.n_items
    by_user = train.csr()
    by_item = csr_array(by_user.T.tocsr())
    length = np.sqrt(train.item_counts.astype(np.float64))
    tie = draw.bits(draw.key(0, "itemknn ties"), np.arange(n))
    # A row of the product has at most one entry for each pair that its users hold.
    reach = np.minimum(by_item @ train.user_counts, n)
    rows: list[NDArray[np.int64]] = []
    values: list[Float] = []
    for start, stop in blocks_of_rows(reach):
        common = csr_array(by_item[start:stop] @ by_user)
        for i in range(start, stop):
            at = slice(common.indptr[i - start], common.indptr[i - start + 1])
            j, both = common.indices[at], common.data[at].astype(np.float64)
            other = j != i
            j, both = j[other], both[other]
            s = both / (length[i] * length[j] + shrink)
            keep = strongest(s, tie[j], k)
            j, s = j[keep], s[keep]
            order = np.argsort(j)
            rows.append(j[order].astype(np.int64))
            values.append(s[order].astype(np.float32))
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    indices = np.concatenate([*rows, np.empty(0, dtype=np.int64)])
    return csr_array((np.concatenate([*values, np.empty(0, dtype=np.float32)]), indices, indptr), shape=(n, n))


def strongest(values: NDArray[np.float64], tie: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Positions of the k largest values, all of them if they are fewer; of equal ones those with the lowest ``tie``.

    >>> strongest(np.array([1.0, 3.0, 1.0]), np.array([5, 0, 2], dtype=np.uint64), 2).tolist()
    [1, 2]
    """
    if len(values) <= k:
        return np.arange(len(values))
    edge = np.partition(values, -k)[-k]
    above, level = np.flatnonzero(values > edge), np.flatnonzero(values == edge)
    return np.concatenate([above, level[np.argsort(tie[level])][: k - len(above)]])


def blocks_of_rows(reach: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Runs of rows whose products hold about ``_BLOCK_ENTRIES`` entries."""
    group = (np.cumsum(reach) // _BLOCK_ENTRIES).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(reach)]
    return [(a, b) for a, b in pairwise(edges) if a < b]
