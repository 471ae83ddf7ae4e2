"""The common part of baselines that score by a dense matrix from items to items."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_array

from taurec.baselines import closed_form
from taurec.baselines.from_log import FromLog
from taurec.baselines.memory import require
from taurec.baselines.protocol import FitCost, State, fitted, pack, unpack
from taurec.data.interactions import Interactions
from taurec.foldin import ItemWeights
from taurec.ranker import Float

ADVICE = "use slim-local, ials or itemknn, or keep fewer items (k-core)"


class ItemToItem(FromLog):
    """Scores X W of the users x items matrix X, with W [I, I] in closed form.

    A subclass names its settings, numbers that it keeps in attributes, and computes W of a log.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ()
    """Names of the settings, each saved as an array of one number."""

    _weights: Float | None = None

    def solve(self, train: Interactions) -> Float:
        """W [I, I] float32."""
        raise NotImplementedError

    def fit(self, train: Interactions) -> Self:
        require(closed_form.fit_bytes(train), f"{type(self).__name__} on {train.n_items:,} items", ADVICE)
        self._seen = train.csr()
        self._weights = self.solve(train)
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time by the inverse, from one of a small matrix, and by the sums over pairs in weights and in scores."""
        return closed_form.fit_cost(train)

    def weights(self) -> Float:
        """W [I, I]: column j is what the items of a history add to the score of item j."""
        return fitted(self._weights, self)

    def from_history(self, histories: csr_array) -> Float:
        scores: Float = histories.astype(np.float32) @ self.weights()
        return scores

    def fold_in(self) -> ItemWeights:
        return ItemWeights(self.weights(), self.n_items)

    def state(self) -> State:
        settings = {name: np.array([vars(self)[name]]) for name in self.SETTINGS}
        return {**pack(self.seen(), "seen"), "weights": self.weights(), **settings}

    @classmethod
    def from_state(cls, state: State) -> Self:
        model = cls(**{name: float(state[name][0]) for name in cls.SETTINGS})
        model._seen, model._weights = unpack(state, "seen"), state["weights"]
        return model
