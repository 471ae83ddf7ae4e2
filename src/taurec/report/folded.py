"""Models small enough for a page: rounded to eight bits, folding a history in as their rankers do.

Each form has a twin in ``tryit.js``; :meth:`scores` here is what the page computes, and what tests compare with
the exact ranker.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines import EASE, IALS, ItemKNN, Popularity
from taurec.baselines.protocol import unpack
from taurec.errors import UsageError
from taurec.ranker import DistanceRanker, EmbeddingRanker, Ranker

Index = NDArray[np.int64]
Double = NDArray[np.float64]

LEVELS = 127
"""Steps of a rounded value on either side of 0."""


@dataclass(frozen=True, eq=False)
class Rounded:
    """Rows as int8 directions and float32 lengths.

        row_i ~ length_i * q_i / |q_i|,   q_i = round(127 row_i / max|row_i|)

    Attributes:
        q: [n, D] int8.
        length: [n] float32, exact.
    """

    q: NDArray[np.int8]
    length: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Rounded:
        """The rows to eight bits; a zero row stays zero."""
        rows = np.asarray(rows, dtype=np.float64)
        top = np.abs(rows).max(axis=1, initial=0.0)
        q = np.rint(rows * (LEVELS / np.where(top > 0, top, 1.0))[:, None]).astype(np.int8)
        return cls(q, np.sqrt((rows * rows).sum(axis=1)).astype(np.float32))

    @functools.cached_property
    def unit(self) -> Double:
        """[n, D] directions."""
        q = self.q.astype(np.float64)
        norm = np.sqrt((q * q).sum(axis=1))
        return q / np.where(norm > 0, norm, 1.0)[:, None]

    @functools.cached_property
    def rows(self) -> Double:
        """[n, D] the rows as rounded."""
        return self.unit * self.length[:, None]

    def plain(self) -> dict[str, Any]:
        """Texts and numbers for the page."""
        return {"dim": self.q.shape[1], "q": _text(self.q), "length": _text(self.length)}


@dataclass(frozen=True, eq=False)
class Vectors:
    """The mean of the unit vectors of a history's items against all items, as :class:`EmbeddingRanker` does it."""

    item: Rounded
    kind: ClassVar[str] = "vectors"

    def scores(self, history: Sequence[int]) -> Double:
        return self.item.rows @ self.item.unit[list(history)].mean(axis=0)

    def plain(self) -> dict[str, Any]:
        return self.item.plain()


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """The user vector that :class:`taurec.baselines.IALS` solves for, from rounded item factors.

    Attributes:
        item: [n, D].
        base: [D, D] float32, ``alpha H^T H`` over the whole catalogue.
        alpha, l2, nu, n_items: of the ridge ``l2 (|history| + alpha n_items)^nu``.
    """

    item: Rounded
    base: NDArray[np.float32]
    alpha: float
    l2: float
    nu: float
    n_items: int
    kind: ClassVar[str] = "least-squares"

    def scores(self, history: Sequence[int]) -> Double:
        rows = self.item.rows
        own = rows[list(history)]
        ridge = self.l2 * (len(own) + self.alpha * self.n_items) ** self.nu
        left = own.T @ own + self.base.astype(np.float64) + ridge * np.eye(own.shape[1])
        user: Double = np.linalg.solve(left, own.sum(axis=0))
        return rows @ user

    def plain(self) -> dict[str, Any]:
        settings = {"alpha": self.alpha, "l2": self.l2, "nu": self.nu, "items": self.n_items}
        return {**self.item.plain(), "base": _text(self.base), **settings}


@dataclass(frozen=True, eq=False)
class Weights:
    """The sum of the rows of a weight matrix from items to items, of which only the largest weights are kept.

    Attributes:
        gap: [E] uint8, how far the column of an entry lies behind the one before it in its row, -1 at its start.
            A gap above 255 is bridged by entries of value 0.
        value: [E] int8, times the row's ``scale`` [n] float32.
        count: [n] entries of each row.
    """

    gap: NDArray[np.uint8]
    value: NDArray[np.int8]
    scale: NDArray[np.float32]
    count: NDArray[np.int32]
    kind: ClassVar[str] = "weights"

    @classmethod
    def of(cls, matrix: csr_array, keep: int) -> Weights:
        """The ``keep`` entries of the largest absolute value in the whole matrix, rounded."""
        matrix = csr_array(matrix)
        size = np.abs(matrix.data)
        if keep < len(size):
            edge = np.partition(size, -keep)[-keep]
            above, level = np.flatnonzero(size > edge), np.flatnonzero(size == edge)
            chosen = np.concatenate([above, level[: keep - len(above)]])
        else:
            chosen = np.arange(len(size))
        chosen = chosen[size[chosen] > 0]
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        row, column, data = row[chosen], matrix.indices[chosen].astype(np.int64), matrix.data[chosen].astype(np.float64)
        order = np.lexsort((column, row))
        row, column, data = row[order], column[order], data[order]
        top = np.zeros(matrix.shape[0])
        np.maximum.at(top, row, np.abs(data))
        scale = (top / LEVELS).astype(np.float32)
        value = np.rint(data * (LEVELS / np.where(top > 0, top, 1.0))[row]).astype(np.int8)
        starts = np.r_[True, row[1:] != row[:-1]] if len(row) else np.empty(0, dtype=bool)
        before = np.where(starts, -1, np.r_[0, column[:-1]]) if len(row) else column
        bridges = (column - before - 1) // 255
        at = np.arange(len(row)) + np.cumsum(bridges)  # where each entry goes once the bridges stand before it
        gap = np.full(len(row) + int(bridges.sum()), 255, dtype=np.uint8)
        values = np.zeros(len(gap), dtype=np.int8)
        gap[at], values[at] = column - before - 255 * bridges, value
        count = np.bincount(row, weights=bridges + 1, minlength=matrix.shape[0]).astype(np.int32)
        return cls(gap, values, scale, count)

    def scores(self, history: Sequence[int]) -> Double:
        starts = np.concatenate([[0], np.cumsum(self.count)])
        out = np.zeros(len(self.count))
        for i in history:
            part = slice(starts[i], starts[i + 1])
            column = np.cumsum(self.gap[part].astype(np.int64)) - 1
            np.add.at(out, column, self.value[part] * np.float64(self.scale[i]))
        return out

    def plain(self) -> dict[str, Any]:
        names = ("gap", "value", "scale", "count")
        return {name: _text(getattr(self, name)) for name in names}


@dataclass(frozen=True, eq=False)
class Constant:
    """The same scores for everyone: popularity."""

    score: NDArray[np.float32]
    kind: ClassVar[str] = "constant"

    def scores(self, history: Sequence[int]) -> Double:
        return self.score.astype(np.float64)

    def plain(self) -> dict[str, Any]:
        return {"score": _text(self.score)}


Folded = Vectors | LeastSquares | Weights | Constant


def fold(ranker: Ranker, items: Index, entries: int) -> Folded:
    """A ranker restricted to some items, in the form that a page holds.

    Args:
        ranker: an :class:`EmbeddingRanker` or a baseline.
        items: [n] their indices; the form numbers them 0 to n - 1 in this order.
        entries: weights that an item-to-item model may keep.
    Raises: UsageError for a ranker without such a form.

    >>> ranker = EmbeddingRanker(np.zeros((1, 2), "f4"), np.array([[1, 0], [0.6, 0.8], [0, 2]], "f4"))
    >>> fold(ranker, np.arange(3), 0).scores([0]).round(2).tolist()
    [1.0, 0.6, 0.0]
    """
    if isinstance(ranker, EmbeddingRanker) and not isinstance(ranker, DistanceRanker):
        return Vectors(Rounded.of(ranker.item[items]))
    if isinstance(ranker, IALS):
        factors = ranker.state()["item"]
        base = (ranker.alpha * factors.T @ factors).astype(np.float32)
        return LeastSquares(
            Rounded.of(factors[items]), base, ranker.alpha, ranker.l2, ranker.nu, ranker.n_items
        )  # fmt: skip
    if isinstance(ranker, Popularity):
        return Constant(ranker.item_vectors()[items, 0])
    if isinstance(ranker, EASE | ItemKNN):
        return Weights.of(weights(ranker, items), entries)
    raise UsageError(f"{type(ranker).__name__} cannot be tried in a page; embedding models and baselines can")


def weights(ranker: EASE | ItemKNN, items: Index) -> csr_array:
    """[n, n] from the items of a history to scores, of EASE or ItemKNN."""
    if isinstance(ranker, EASE):
        return csr_array(ranker.weights()[np.ix_(items, items)])
    return csr_array(unpack(ranker.state(), "neighbours")[items][:, items])


def fixed_bytes(ranker: Ranker, n: int) -> int:
    """What n items of it cost in a page, without the weights of item-to-item models.

    Raises: UsageError for a ranker that no page can hold.
    """
    if isinstance(ranker, EmbeddingRanker | IALS) and not isinstance(ranker, DistanceRanker):
        dim = ranker.item_vectors().shape[1]
        return _encoded(n * dim) + _encoded(4 * n) + (_encoded(4 * dim * dim) if isinstance(ranker, IALS) else 0)
    if isinstance(ranker, EASE | ItemKNN):
        return 2 * _encoded(4 * n)
    if isinstance(ranker, Popularity):
        return _encoded(4 * n)
    raise UsageError(f"{type(ranker).__name__} cannot be tried in a page; embedding models and baselines can")


def _encoded(n: int) -> int:
    """Letters of n bytes in base64."""
    return (n + 2) // 3 * 4


def _text(values: NDArray[Any]) -> str:
    """Little-endian bytes as base64."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
