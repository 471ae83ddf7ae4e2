"""The formulas of :mod:`taurec.foldin`, rounded to eight bits and encoded as text for a page.

Each class has a counterpart in ``tryit.js``; ``scores`` gives the numbers that the page computes.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.foldin import ConstantScores, Double, FoldIn, Index, ItemWeights, MeanOfItems, RidgeFactors

LEVELS = 127
"""Largest absolute value of a rounded number."""


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
    """:class:`taurec.foldin.MeanOfItems` with rounded vectors."""

    item: Rounded
    kind: ClassVar[str] = "vectors"

    def scores(self, history: Sequence[int]) -> Double:
        return MeanOfItems(self.item.rows).scores(history)

    def plain(self) -> dict[str, Any]:
        return self.item.plain()


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """:class:`taurec.foldin.RidgeFactors` with rounded factors.

    Attributes:
        item: [n, D].
        exact: the form that was rounded; its ``base`` is written as float32.
    """

    item: Rounded
    exact: RidgeFactors
    kind: ClassVar[str] = "least-squares"

    def scores(self, history: Sequence[int]) -> Double:
        return replace(self.exact, item=self.item.rows).scores(history)

    def plain(self) -> dict[str, Any]:
        e = self.exact
        settings = {"alpha": e.alpha, "l2": e.l2, "nu": e.nu, "items": e.n_items}
        return {**self.item.plain(), "base": _text(e.base.astype(np.float32)), **settings}


@dataclass(frozen=True, eq=False)
class Weights:
    """:class:`taurec.foldin.ItemWeights` with only the largest weights, rounded.

    Attributes:
        gap: [E] uint8, the column of an entry minus that of the entry before it in its row, -1 before the first.
            A gap above 255 is split by entries of value 0.
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
        at = np.arange(len(row)) + np.cumsum(bridges)  # position of each entry with the zero entries before it
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
    """:class:`taurec.foldin.ConstantScores`."""

    score: NDArray[np.float32]
    kind: ClassVar[str] = "constant"

    def scores(self, history: Sequence[int]) -> Double:
        return ConstantScores(self.score).scores(history)

    def plain(self) -> dict[str, Any]:
        return {"score": _text(self.score)}


Folded = Vectors | LeastSquares | Weights | Constant


def fold(form: FoldIn, items: Index, entries: int) -> Folded:
    """A ranker's formula restricted to some items and rounded, as a page holds it.

    Args:
        form: of :meth:`taurec.ranker.Ranker.fold_in`.
        items: [n] their indices; the result numbers them 0 to n - 1 in this order.
        entries: number of weights that an item-to-item model may keep.

    >>> exact = MeanOfItems(np.array([[1, 0], [0.6, 0.8], [0, 2]], "f4"))
    >>> fold(exact, np.arange(3), 0).scores([0]).round(2).tolist()
    [1.0, 0.6, 0.0]
    """
    match form.restricted(items):
        case MeanOfItems() as some:
            return Vectors(Rounded.of(some.item))
        case RidgeFactors() as some:
            return LeastSquares(Rounded.of(some.item), some)
        case ItemWeights() as some:
            return Weights.of(csr_array(some.weights), entries)
        case ConstantScores() as some:
            return Constant(some.score.astype(np.float32))


def fixed_bytes(form: FoldIn, n: int) -> int:
    """Bytes in a page of n items of it, without the weights of an item-to-item model."""
    match form:
        case MeanOfItems(item=item):
            return _encoded(n * item.shape[1]) + _encoded(4 * n)
        case RidgeFactors(item=item):
            return _encoded(n * item.shape[1]) + _encoded(4 * n) + _encoded(4 * item.shape[1] ** 2)
        case ItemWeights():
            return 2 * _encoded(4 * n)
        case ConstantScores():
            return _encoded(4 * n)


def most_entries(form: FoldIn, n: int) -> int:
    """The largest number of weights that n items of it can have."""
    return min(form.most, n) * n if isinstance(form, ItemWeights) else 0


def _encoded(n: int) -> int:
    """Length of n bytes in base64."""
    return (n + 2) // 3 * 4


def _text(values: NDArray[Any]) -> str:
    """Little-endian bytes as base64."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
