"""Popularity: the same list for everyone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines.protocol import Baseline, FitCost, State, fitted
from taurec.data.interactions import Interactions
from taurec.foldin import ConstantScores
from taurec.ranker import Float


class Popularity(Baseline):
    """Scores an item by how many users have it: ``score(u, i) = |U_i|``.

    The floor that every personal method has to beat. ``item_vectors`` is one column, the count, so the cosine of any
    two items that somebody has is 1.

    >>> Popularity().fit(Interactions.from_pairs([0, 1, 1], [0, 0, 1])).block(np.array([1]))
    array([[2., 1.]], dtype=float32)
    """

    def __init__(self) -> None:
        self._counts: Float | None = None
        self._n_users = 0

    def fit(self, train: Interactions) -> Popularity:
        self._counts, self._n_users = train.item_counts.astype(np.float32), train.n_users
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        return FitCost(0.0, 4 * train.n_items)

    @property
    def n_users(self) -> int:
        return self._n_users

    @property
    def n_items(self) -> int:
        return len(fitted(self._counts, self))

    def block(self, users: NDArray[np.int64]) -> Float:
        return np.tile(fitted(self._counts, self), (len(users), 1))

    def from_history(self, histories: csr_array) -> Float:
        return np.tile(fitted(self._counts, self), (histories.shape[0], 1))

    def item_vectors(self) -> Float:
        return fitted(self._counts, self)[:, None]

    def fold_in(self) -> ConstantScores:
        return ConstantScores(fitted(self._counts, self))

    def state(self) -> State:
        return {"counts": fitted(self._counts, self), "n_users": np.array([self._n_users], dtype=np.int64)}

    @classmethod
    def from_state(cls, state: State) -> Popularity:
        model = cls()
        model._counts, model._n_users = state["counts"], int(state["n_users"][0])
        return model
