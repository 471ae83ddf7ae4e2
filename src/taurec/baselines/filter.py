"""What linear filters of the item graph have in common: all but the filter."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from taurec.baselines.from_log import FromLog
from taurec.baselines.graph import ItemGraph, bytes_of_leading, leading, seconds_of_leading
from taurec.baselines.memory import require
from taurec.baselines.protocol import FitCost, State, fitted
from taurec.baselines.threads import blas_of_run
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float

_AT_ONCE = 32
"""Histories filtered at a time: their signals then stay in the cache."""
_SECONDS_OF_PRODUCT = 1e-9
"""Of a multiplication and addition in a product with R."""


class GraphFilter(FromLog):
    """A linear map of a history over the graph of items: ``scores = x F`` with a fixed F.

    F is never made: a subclass applies it by products with R (:class:`taurec.baselines.graph.ItemGraph`) and with the k
    leading eigenvectors V. So the scores of a known user are those of the same items as a history, and the cost of a
    score grows with the pairs of the log. ``item_vectors`` are the columns of the log.

    A subclass has ``filtered``, ``passes``, and settings that are attributes of the same names.
    """

    def __init__(self, k: int):
        if k < 0:
            raise UsageError(f"{type(self).__name__} needs k of at least 0, got {k}")
        self.k = k
        self._graph: ItemGraph | None = None
        self._vectors: Float | None = None

    @abstractmethod
    def filtered(self, graph: ItemGraph, signal: Float) -> Float:
        """[I, b] F^T y for signals y [I, b]."""
        ...

    @abstractmethod
    def passes(self) -> int:
        """The number of products with S in a score."""
        ...

    def rank(self) -> int:
        """The number of eigenvectors that the filter needs."""
        return self.k

    def ideal(self, graph: ItemGraph, signal: Float, power: float) -> Float:
        """D^power V V^T D^-power y for signals y [I, b]: the ideal low-pass filter."""
        v = fitted(self._vectors, self)
        passed: Float = graph.degrees(power) * (v @ (v.T @ (graph.degrees(-power) * signal)))
        return passed

    def fit(self, train: Interactions) -> Self:
        advice = "use a smaller k, or keep fewer items (k-core)"
        require(self._bytes(train), f"{type(self).__name__} with k={self.k}", advice)
        self._seen = train.csr()
        self._graph = ItemGraph.of(self.seen())
        self._vectors, _ = leading(self.seen(), self.rank())
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time by the iteration for the eigenvectors, and by the products in the scores of all users."""
        vectors = seconds_of_leading(train.n_users, train.n_items, len(train), self.rank())
        sums = 2 * self.passes() * len(train) + 0.1 * self.rank() * train.n_items  # the latter by BLAS
        return FitCost(vectors + _SECONDS_OF_PRODUCT * train.n_users * sums, self._bytes(train))

    def _bytes(self, train: Interactions) -> int:
        return 40 * len(train) + bytes_of_leading(train.n_users, train.n_items, self.rank()) + 8 * train.n_items

    def from_history(self, histories: csr_array) -> Float:
        graph = fitted(self._graph, self)
        scores: Float = np.empty(histories.shape, dtype=np.float32)
        with blas_of_run():
            for start in range(0, len(scores), _AT_ONCE):
                some = histories[start : start + _AT_ONCE].astype(np.float32)
                signal = np.zeros((some.shape[1], _AT_ONCE), dtype=np.float32)  # of one width, so that bits are equal
                signal[:, : some.shape[0]] = some.toarray().T
                scores[start : start + _AT_ONCE] = self.filtered(graph, signal)[:, : some.shape[0]].T
        return scores

    def state(self) -> State:
        return {**self.log_and_settings(), "vectors": fitted(self._vectors, self)}

    @classmethod
    def from_state(cls, state: State) -> Self:
        model = cls.built(state)
        model._vectors = state["vectors"]
        if model._vectors.shape[0] != model.n_items:
            raise ValueError("the eigenvectors are of another catalogue")
        model._graph = ItemGraph.of(model.seen())
        return model
