"""Rankers: scores of the whole catalogue for users, the interface that evaluation, pages and saved folders use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.foldin import FoldIn, MeanOfItems, SumOfItems

Float = NDArray[np.float32]
State = dict[str, np.ndarray]
"""Arrays by name, which determine a ranker."""


class BlockScorer(Protocol):
    """Scores of the whole catalogue for blocks of users: all that evaluation needs."""

    @property
    @abstractmethod
    def n_users(self) -> int: ...

    @property
    @abstractmethod
    def n_items(self) -> int: ...

    @abstractmethod
    def block(self, users: NDArray[np.int64]) -> Float:
        """[b, I] scores for users by index, items they have included."""
        ...


class HistoryScorer(BlockScorer, Protocol):
    """Scores for users of a log, and for people given only by their items."""

    @abstractmethod
    def from_history(self, histories: csr_array) -> Float:
        """[h, I] scores for people given only by their items, a binary [h, I] matrix."""
        ...


@runtime_checkable
class Ranker(HistoryScorer, Protocol):
    """Scores of the whole catalogue for users, known or new; can be saved.

    Laws: where ``folds_in``, ``from_history`` of a known user's training items gives the scores of ``block`` of that
    user, to rounding; ``fold_in().scores`` agrees with ``from_history``, and ``from_state(x.state())`` scores as ``x``
    does. A subclass inherits the defaults of ``folds_in``, ``item_vectors`` and ``fold_in``.
    """

    @property
    def folds_in(self) -> bool:
        """Whether :meth:`from_history` is exact: a user given by the training items alone is ranked as the model ranks
        that user. By default False: a trained model has a vector for each user, and a history is only the mean of item
        vectors."""
        return False

    def item_vectors(self) -> Float | csr_array | None:
        """[I, D] one vector for each item, whose cosine is item similarity; None where the model has none."""
        return None

    def fold_in(self) -> FoldIn | None:
        """The formula of :meth:`from_history`, for the try-it panel of a page; None leaves the panel out."""
        return None

    @abstractmethod
    def state(self) -> State:
        """The arrays that determine it, for saving; :meth:`from_state` reads them back."""
        ...

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Ranker:
        """The ranker whose :meth:`state` this is; KeyError or ValueError where it is not."""
        ...


def unit_rows(x: Float, eps: float = 1e-12) -> Float:
    """Rows divided by their length, which is taken as at least ``eps``; a zero row stays zero."""
    norm = np.sqrt(np.einsum("nd,nd->n", x, x))
    return x / np.maximum(norm, np.float32(eps))[:, None]


def cosines(vectors: Float | csr_array, index: int) -> Float:
    """[I] cosine of each row with the row ``index``; a zero row has cosine 0."""
    if isinstance(vectors, np.ndarray):
        unit = unit_rows(vectors.astype(np.float32))
        return unit @ unit[index]
    norm = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    dots = np.asarray((vectors @ vectors[[index]].T).todense()).ravel()
    found: Float = (dots / np.maximum(norm * norm[index], 1e-12)).astype(np.float32)
    return found


class EmbeddingRanker(Ranker):
    """Ranks by the dot product of two tables; cosine ranking stores unit rows.

    Args:
        user: [U, D] float32.
        item: [I, D] float32.
    """

    def __init__(self, user: Float, item: Float):
        self.user = np.ascontiguousarray(user, dtype=np.float32)
        self.item = np.ascontiguousarray(item, dtype=np.float32)

    @property
    def n_users(self) -> int:
        return int(self.user.shape[0])

    @property
    def n_items(self) -> int:
        return int(self.item.shape[0])

    def block(self, users: NDArray[np.int64]) -> Float:
        return self.user[users] @ self.item.T

    def from_history(self, histories: csr_array) -> Float:
        """Scores of the mean of the unit vectors of a history's items against all items."""
        unit = unit_rows(self.item)
        counts = np.maximum(np.diff(histories.indptr), 1).astype(np.float32)
        mean = (histories.astype(np.float32) @ unit) / counts[:, None]
        return np.asarray(mean @ self.item.T, dtype=np.float32)

    def item_vectors(self) -> Float:
        return self.item

    def fold_in(self) -> MeanOfItems | SumOfItems | None:
        return MeanOfItems(self.item)

    def state(self) -> State:
        return {"user": self.user, "item": self.item}

    @classmethod
    def from_state(cls, state: State) -> EmbeddingRanker:
        return cls(state["user"], state["item"])


class DistanceRanker(EmbeddingRanker):
    """Ranks by -|u - v|^2, the dot product of two extended tables.

    Args:
        user: [U, D + 2] float32, rows (2u, -|u|^2, -1).
        item: [I, D + 2] float32, rows (v, 1, |v|^2).

    >>> user, item = np.array([[2, 4, -5, -1]], "f4"), np.array([[1, 5, 1, 26], [1, 2, 1, 5]], "f4")
    >>> DistanceRanker(user, item).block(np.array([0])).tolist()
    [[-9.0, 0.0]]
    """

    def from_history(self, histories: csr_array) -> Float:
        """Scores of the mean of the vectors of a history's items against all items."""
        counts = np.maximum(np.diff(histories.indptr), 1).astype(np.float32)
        mean = (histories.astype(np.float32) @ self.item_vectors()) / counts[:, None]
        square = np.einsum("nd,nd->n", mean, mean)
        user = np.column_stack([2 * mean, -square, -np.ones_like(square)])
        return np.asarray(user @ self.item.T, dtype=np.float32)

    def fold_in(self) -> None:
        """A page has no form for distances."""
        return

    def item_vectors(self) -> Float:
        return np.ascontiguousarray(self.item[:, :-2])


class SumOfItemsRanker(EmbeddingRanker):
    """Ranks a user, known or new, by the sum z = |H|^-alpha sum_{i in H} p_i over their history H.

    Two users with the same history have the same scores. A user without history has scores of 0.

    Args:
        history: [I, d] float32 p, the vectors of items in histories.
        target: [I, d] float32 q, their vectors as targets.
        histories: binary [U, I], the histories of the known users.
        alpha: exponent of the length of a history.
        score: of z with q: ``cosine``, ``dot`` or ``neg_sq_dist``.

    >>> p, q = np.array([[3, 0], [1, 3]], "f4"), np.array([[2, 0], [0, 1]], "f4")
    >>> ranker = SumOfItemsRanker(p, q, csr_array(np.eye(2, dtype="f4")), alpha=1.0, score="dot")
    >>> ranker.block(np.array([0])).tolist(), ranker.from_history(csr_array(np.array([[1, 1]]))).tolist()
    ([[6.0, 0.0]], [[4.0, 1.5]])
    """

    ARRAYS = frozenset({"history", "target", "alpha", "score", "indptr", "indices"})

    def __init__(self, history: Float, target: Float, histories: csr_array, alpha: float, score: str):
        self.history, self.target = history, target
        self.histories, self.alpha, self.score = histories, alpha, SCORES[SCORES.index(score)]
        item = target
        if score == "cosine":
            item = unit_rows(target)
        elif score == "neg_sq_dist":
            item = np.column_stack([target, np.ones(len(target)), np.einsum("nd,nd->n", target, target)])
        super().__init__(self._users(histories), item)

    @property
    def folds_in(self) -> bool:
        return True

    def _users(self, histories: csr_array) -> Float:
        """The users' side of the score, one row for each history."""
        given = histories.astype(np.float32)
        given.sort_indices()  # the order of the sum
        share = np.maximum(np.diff(given.indptr), 1).astype(np.float64) ** -self.alpha
        z = (given @ self.history) * share.astype(np.float32)[:, None]
        if self.score == "cosine":
            return unit_rows(z)
        if self.score == "neg_sq_dist":
            square = np.einsum("nd,nd->n", z, z)
            return np.column_stack([2 * z, -square, -np.ones_like(square)])
        return z

    def from_history(self, histories: csr_array) -> Float:
        """The scores of known users with these histories."""
        return self._users(histories) @ self.item.T

    def item_vectors(self) -> Float:
        return self.target

    def fold_in(self) -> SumOfItems | None:
        """The formula; None for distances, for which a page has none."""
        if self.score == "neg_sq_dist":
            return None
        return SumOfItems(
            self.item, self.history, 0.0 if self.score == "cosine" else self.alpha, self.score == "cosine"
        )

    def state(self) -> State:
        return {
            "history": self.history,
            "target": self.target,
            "alpha": np.array([self.alpha]),
            "score": np.array([SCORES.index(self.score)]),
            "indptr": self.histories.indptr.astype(np.int64),
            "indices": self.histories.indices.astype(np.int32),
        }

    @classmethod
    def from_state(cls, state: State) -> SumOfItemsRanker:
        indptr, indices, code = state["indptr"], state["indices"], int(state["score"][0])
        shape = len(indptr) - 1, len(state["history"])
        histories = csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
        histories.check_format(full_check=True)
        if state["history"].shape != state["target"].shape or not 0 <= code < len(SCORES):
            raise ValueError(f"tables {state['history'].shape} and {state['target'].shape}, score {code}")
        return cls(state["history"], state["target"], histories, float(state["alpha"][0]), SCORES[code])


SCORES = ("dot", "cosine", "neg_sq_dist")
"""Ranking scores by the number that a saved :class:`SumOfItemsRanker` has for them."""
RANKERS: dict[str, type[EmbeddingRanker]] = {
    "cosine": EmbeddingRanker,
    "dot": EmbeddingRanker,
    "neg_sq_dist": DistanceRanker,
}
"""Ranking score -> the class that ranks by it."""


def trained_class(score: str, arrays: Collection[str]) -> type[EmbeddingRanker]:
    """The class of the ranker of a trained model, from its ranking score and the names of its arrays.

    >>> trained_class("dot", ["user", "item"]).__name__
    'EmbeddingRanker'
    """
    return SumOfItemsRanker if set(arrays) == SumOfItemsRanker.ARRAYS else RANKERS[score]


class HistoryRanker(BlockScorer):
    """Scores of a ranker for people given by their histories, one row of a matrix each.

    Args:
        histories: binary [h, I].
    """

    def __init__(self, ranker: HistoryScorer, histories: csr_array):
        self.ranker, self._histories = ranker, histories

    @property
    def n_users(self) -> int:
        return int(self._histories.shape[0])

    @property
    def n_items(self) -> int:
        return self.ranker.n_items

    def block(self, users: NDArray[np.int64]) -> Float:
        return self.ranker.from_history(self._histories[users])


class ScoresRanker(BlockScorer):
    """Scores that are known already.

    Args:
        scores: [U, I] float32.
    """

    def __init__(self, scores: Float):
        self._scores = scores

    @property
    def n_users(self) -> int:
        return int(self._scores.shape[0])

    @property
    def n_items(self) -> int:
        return int(self._scores.shape[1])

    def block(self, users: NDArray[np.int64]) -> Float:
        return self._scores[users]
