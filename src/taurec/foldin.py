"""Formulas by which a ranker scores a person from a list of items: what a page needs to compute lists by itself.

:meth:`taurec.ranker.Ranker.fold_in` returns one of them, or None where none describes the ranker. Each holds the
ranker's arrays without a copy, over the whole catalogue; :meth:`restricted` keeps some of the items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Index = NDArray[np.int64]
Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanOfItems:
    """The mean of the unit vectors of a history H against all item vectors.

        score_i = <v_i, mean_{j in H} v_j / |v_j|>

    Args:
        item: [I, D] item vectors v; a zero vector adds nothing.

    >>> MeanOfItems(np.array([[1, 0], [0.6, 0.8], [0, 2]])).scores([0]).tolist()
    [1.0, 0.6, 0.0]
    """

    item: NDArray[np.floating]

    def restricted(self, items: Index) -> MeanOfItems:
        """The same formula over some items, in this order."""
        return MeanOfItems(self.item[items])

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores for somebody who has these items."""
        rows = self.item.astype(np.float64)
        own = rows[list(history)]
        length = np.sqrt((own * own).sum(axis=1))
        found: Double = rows @ (own / np.where(length > 0, length, 1.0)[:, None]).mean(axis=0)
        return found


@dataclass(frozen=True, eq=False)
class SumOfItems:
    """The sum of the vectors that the items of a history H have in histories, against all item vectors.

        z = |H|^-alpha sum_{j in H} p_j,    score_i = <v_i, z>, or <v_i, z / |z|> with ``unit``

    Args:
        item: [I, D] item vectors v.
        history: [I, D] vectors p.
        alpha: exponent of the length of the history.
        unit: whether z gets length 1.

    >>> SumOfItems(np.array([[1, 0], [0, 1]]), np.array([[3, 0], [0, 4]]), alpha=0.0, unit=True).scores([0, 1]).tolist()
    [0.6, 0.8]
    """

    item: NDArray[np.floating]
    history: NDArray[np.floating]
    alpha: float
    unit: bool

    def restricted(self, items: Index) -> SumOfItems:
        """The same formula over some items, in this order."""
        return replace(self, item=self.item[items], history=self.history[items])

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores for somebody who has these items."""
        z = self.history[list(history)].astype(np.float64).sum(axis=0) * len(history) ** -self.alpha
        length = np.sqrt(z @ z) if self.unit else 1.0
        found: Double = self.item.astype(np.float64) @ (z / (length or 1.0))
        return found


@dataclass(frozen=True, eq=False)
class RidgeFactors:
    """The least-squares user vector of a history H, from fixed item factors.

        w = (sum_{i in H} h_i h_i^T + base + l2 (|H| + alpha n_items)^nu I)^-1 sum_{i in H} h_i
        score_i = <w, h_i>

    Args:
        item: [I, D] item factors h.
        base: [D, D] alpha H^T H over the whole catalogue.
        alpha, l2, nu, n_items: of the ridge; ``n_items`` stays that of the whole catalogue.

    >>> RidgeFactors(np.eye(2), np.zeros((2, 2)), alpha=0.0, l2=1.0, nu=1.0, n_items=2).scores([0]).tolist()
    [0.5, 0.0]
    """

    item: NDArray[np.floating]
    base: NDArray[np.floating]
    alpha: float
    l2: float
    nu: float
    n_items: int

    def restricted(self, items: Index) -> RidgeFactors:
        """The same formula over some items, in this order."""
        return RidgeFactors(self.item[items], self.base, self.alpha, self.l2, self.nu, self.n_items)

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores for somebody who has these items."""
        rows = self.item.astype(np.float64)
        own = rows[list(history)]
        ridge = self.l2 * (len(own) + self.alpha * self.n_items) ** self.nu
        left = own.T @ own + self.base.astype(np.float64) + ridge * np.eye(own.shape[1])
        found: Double = rows @ np.linalg.solve(left, own.sum(axis=0))
        return found


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """The sum of the rows of an item-to-item matrix.

        score_i = sum_{j in H} W_ji

    Args:
        weights: [I, I] W, dense or sparse.
        most: the largest number of items that add to the score of one item; I for a dense matrix.

    >>> ItemWeights(np.array([[0.0, 0.5], [0.25, 0.0]]), most=2).scores([0]).tolist()
    [0.0, 0.5]
    """

    weights: NDArray[np.floating] | csr_array
    most: int

    def restricted(self, items: Index) -> ItemWeights:
        """The same formula over some items, in this order; the matrix is then sparse."""
        w = self.weights
        some = w[np.ix_(items, items)] if isinstance(w, np.ndarray) else w[items][:, items]
        return ItemWeights(csr_array(some), min(self.most, len(items)))

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores for somebody who has these items."""
        return np.asarray(self.weights[list(history)].sum(axis=0), dtype=np.float64).ravel()


@dataclass(frozen=True, eq=False)
class ConstantScores:
    """The same scores for everyone.

    Args:
        score: [I].

    >>> ConstantScores(np.array([2.0, 1.0])).scores([0]).tolist()
    [2.0, 1.0]
    """

    score: NDArray[np.floating]

    def restricted(self, items: Index) -> ConstantScores:
        """The same scores for some items, in this order."""
        return ConstantScores(self.score[items])

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores, whatever the history."""
        return self.score.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Blended:
    """The weighted sum of two formulas, each standardised over the items outside the history.

        score_i = (1 - weight) z(a_i) + weight z(b_i),   z(s) = (s - mean) / sd, or 0 where sd is 0

    With weight 0 or 1 the scores are those of one formula as they are.

    Args:
        first, second: the formulas of a and b.
        weight: of the second.
        labels: names of both.

    >>> twice = Blended(ConstantScores(np.array([5, 1, 3])), ConstantScores(np.array([0, 4, 0])), 0.75, ("a", "b"))
    >>> twice.scores([0]).tolist()
    [0.0, 0.5, -0.5]
    """

    first: FoldIn
    second: FoldIn
    weight: float
    labels: tuple[str, str]

    def restricted(self, items: Index) -> Blended:
        """The formula over some items, in this order; mean and sd are then over those of them outside the history."""
        return Blended(self.first.restricted(items), self.second.restricted(items), self.weight, self.labels)

    def scores(self, history: Sequence[int]) -> Double:
        """[I] float64 scores for somebody who has these items."""
        if self.weight in (0, 1):
            return (self.second if self.weight else self.first).scores(history)
        first, second = self.contributions(history)
        return first + second

    def contributions(self, history: Sequence[int]) -> tuple[Double, Double]:
        """[I] twice: what each formula adds to the scores, standardised at any weight."""
        return (
            (1 - self.weight) * _standardised(self.first.scores(history), history),
            self.weight * _standardised(self.second.scores(history), history),
        )


def _standardised(scores: Double, history: Sequence[int]) -> Double:
    over = np.delete(scores, np.asarray(history, dtype=np.int64))
    if not len(over) or over.min() == over.max():
        return np.zeros_like(scores)
    found: Double = (scores - over.mean()) / over.std()
    return found


FoldIn = MeanOfItems | SumOfItems | RidgeFactors | ItemWeights | ConstantScores | Blended
