"""What ranks items for users: the one face that evaluation, serving and baselines share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Float = NDArray[np.float32]


@runtime_checkable
class Ranker(Protocol):
    """Scores of the whole catalogue for blocks of users, known or new."""

    @property
    def n_users(self) -> int: ...

    @property
    def n_items(self) -> int: ...

    def block(self, users: NDArray[np.int64]) -> Float:
        """[b, I] scores for known users by index."""
        ...

    def from_history(self, histories: csr_array) -> Float:
        """[h, I] scores for people given only by their items, a binary [h, I] matrix."""
        ...

    def item_vectors(self) -> Float | csr_array:
        """[I, D] one vector an item, whose cosine is item similarity."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that determine it, for saving; the class's ``from_state`` reads them back."""
        ...


def unit_rows(x: Float, eps: float = 1e-12) -> Float:
    """Rows divided by their length, which is taken as at least ``eps``; a zero row stays zero."""
    norm = np.sqrt(np.einsum("nd,nd->n", x, x))
    return x / np.maximum(norm, np.float32(eps))[:, None]


class EmbeddingRanker:
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

    def state(self) -> dict[str, np.ndarray]:
        return {"user": self.user, "item": self.item}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> EmbeddingRanker:
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

    def item_vectors(self) -> Float:
        return np.ascontiguousarray(self.item[:, :-2])


RANKERS: dict[str, type[EmbeddingRanker]] = {
    "cosine": EmbeddingRanker,
    "dot": EmbeddingRanker,
    "neg_sq_dist": DistanceRanker,
}
"""Ranking score -> the class that ranks by it."""


class HistoryRanker:
    """A ranker whose users are histories, row by row of a matrix."""

    def __init__(self, ranker: Ranker, histories: csr_array):
        self._ranker, self._histories = ranker, histories

    @property
    def n_users(self) -> int:
        return int(self._histories.shape[0])

    @property
    def n_items(self) -> int:
        return self._ranker.n_items

    def block(self, users: NDArray[np.int64]) -> Float:
        return self._ranker.from_history(self._histories[users])

    def from_history(self, histories: csr_array) -> Float:
        return self._ranker.from_history(histories)

    def item_vectors(self) -> Float | csr_array:
        return self._ranker.item_vectors()

    def state(self) -> dict[str, np.ndarray]:
        return self._ranker.state()


class ScoresRanker(HistoryRanker):
    """Scores that are known already, [rows, I]."""

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
