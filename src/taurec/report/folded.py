"""The fold-in formulas of :mod:`taurec.foldin`, rounded to eight bits and encoded as text for a page.

Each kind has a counterpart in ``tryit.js``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.foldin import (
    Blended,
    ConstantScores,
    Double,
    FoldIn,
    Index,
    ItemWeights,
    MeanOfItems,
    RidgeFactors,
    SumOfItems,
)

LEVELS = 127
"""Largest absolute value of a rounded number."""


@dataclass(frozen=True, eq=False)
class Folded:
    """A formula restricted to some items and rounded, as it is stored in a page.

    Attributes:
        kind: its name in ``tryit.js``.
        form: the formula with the rounded numbers, which gives the scores that the page computes.
        plain: texts and numbers for the page.
        entries: number of weights of an item-to-item model, with those that bridge a gap; 0 for others, and of a blend
            those of both halves.
    """

    kind: str
    form: FoldIn
    plain: dict[str, Any]
    entries: int = 0

    def scores(self, history: Sequence[int]) -> Double:
        """[n] float64 scores for a user with these items."""
        return self.form.scores(history)


def fold(form: FoldIn, items: Index, entries: int) -> Folded:
    """A ranker's formula restricted to some items and rounded.

    Args:
        form: of :meth:`taurec.ranker.Ranker.fold_in`.
        items: [n] their indices; the result numbers them 0 to n - 1 in this order.
        entries: number of weights that an item-to-item model may keep.

    >>> exact = MeanOfItems(np.array([[1, 0], [0.6, 0.8], [0, 2]], "f4"))
    >>> fold(exact, np.arange(3), 0).scores([0]).round(2).tolist()
    [1.0, 0.6, 0.0]
    """
    if isinstance(form, Blended):
        return _both(form, items, entries)
    match form.restricted(items):
        case MeanOfItems(item=item):
            rows, texts = _rounded(item)
            return Folded("vectors", MeanOfItems(rows), texts)
        case SumOfItems(item=item, history=history) as exact:
            rows, texts = _rounded(item)
            of_history, more = _rounded(history)
            texts |= {f"{name}Of": more[name] for name in ("q", "length")}
            texts |= {"alpha": exact.alpha, "unit": exact.unit}
            return Folded("sum", replace(exact, item=rows, history=of_history), texts)
        case RidgeFactors(item=item) as exact:
            rows, texts = _rounded(item)
            texts["base"] = _text(exact.base.astype(np.float32))
            texts |= {"alpha": exact.alpha, "l2": exact.l2, "nu": exact.nu, "items": exact.n_items}
            return Folded("least-squares", replace(exact, item=rows), texts)
        case ItemWeights(weights=weights, most=most):
            return _thinned(csr_array(weights), most, entries)
        case ConstantScores(score=score):
            score = score.astype(np.float32)
            return Folded("constant", ConstantScores(score), {"score": _text(score)})


def _both(form: Blended, items: Index, entries: int) -> Folded:
    """A blend of two formulas, which share the weights that may be kept by the numbers that they can have."""
    most = [most_entries(half, len(items)) for half in (form.first, form.second)]
    own = round(entries * most[0] / max(sum(most), 1))
    halves = fold(form.first, items, own), fold(form.second, items, entries - own)
    named = [{"label": label, "kind": half.kind, **half.plain} for label, half in zip(form.labels, halves, strict=True)]
    both = Blended(halves[0].form, halves[1].form, form.weight, form.labels)
    return Folded("blend", both, {"weight": form.weight, "halves": named}, halves[0].entries + halves[1].entries)


def _rounded(rows: NDArray[Any]) -> tuple[Double, dict[str, Any]]:
    """Rows as int8 directions and exact float32 lengths, and their texts; a zero row stays zero.

    row_i ~ length_i * q_i / |q_i|,   q_i = round(127 row_i / max|row_i|)
    """
    rows = np.asarray(rows, dtype=np.float64)
    top = np.abs(rows).max(axis=1, initial=0.0)
    q = np.rint(rows * (LEVELS / np.where(top > 0, top, 1.0))[:, None]).astype(np.int8)
    length = np.sqrt((rows * rows).sum(axis=1)).astype(np.float32)
    direction = q.astype(np.float64)
    norm = np.sqrt((direction * direction).sum(axis=1))
    made = direction / np.where(norm > 0, norm, 1.0)[:, None] * length[:, None]
    return made, {"dim": q.shape[1], "q": _text(q), "length": _text(length)}


def _thinned(matrix: csr_array, most: int, keep: int) -> Folded:
    """The ``keep`` entries of the largest absolute value in the whole matrix, rounded.

    The page holds, by row: ``count``, its number of entries; ``scale``, float32; of each entry ``value``, int8 times
    the scale, and ``gap``, uint8, its column minus that of the entry before it, -1 before the first. A gap above 255 is
    split by entries of value 0.
    """
    n = matrix.shape[0]
    size = np.abs(matrix.data)
    if keep < len(size):
        edge = np.partition(size, -keep)[-keep]
        above, level = np.flatnonzero(size > edge), np.flatnonzero(size == edge)
        chosen = np.concatenate([above, level[: keep - len(above)]])
    else:
        chosen = np.arange(len(size))
    chosen = chosen[size[chosen] > 0]
    row = np.repeat(np.arange(n), np.diff(matrix.indptr))
    row, column, data = row[chosen], matrix.indices[chosen].astype(np.int64), matrix.data[chosen].astype(np.float64)
    order = np.lexsort((column, row))
    row, column, data = row[order], column[order], data[order]
    top = np.zeros(n)
    np.maximum.at(top, row, np.abs(data))
    scale = (top / LEVELS).astype(np.float32)
    value = np.rint(data * (LEVELS / np.where(top > 0, top, 1.0))[row]).astype(np.int8)
    before = np.where(np.diff(row, prepend=-1) > 0, -1, np.r_[0, column[:-1]][: len(row)])
    bridges = (column - before - 1) // 255
    at = np.arange(len(row)) + np.cumsum(bridges)  # position of each entry with the zero entries before it
    gap = np.full(len(row) + int(bridges.sum()), 255, dtype=np.uint8)
    values = np.zeros(len(gap), dtype=np.int8)
    gap[at], values[at] = column - before - 255 * bridges, value
    count = np.bincount(row, weights=bridges + 1, minlength=n).astype(np.int32)
    texts = {"gap": _text(gap), "value": _text(values), "scale": _text(scale), "count": _text(count)}
    kept = csr_array((value * scale[row].astype(np.float64), (row, column)), shape=matrix.shape)
    return Folded("weights", ItemWeights(kept, most), texts, len(gap))


def fixed_bytes(form: FoldIn, n: int) -> int:
    """The bytes that a formula of n items takes in a page, without the weights of an item-to-item model."""
    match form:
        case MeanOfItems(item=item):
            arrays = [n * item.shape[1], 4 * n]
        case SumOfItems(item=item):
            arrays = [n * item.shape[1], 4 * n, n * item.shape[1], 4 * n]
        case RidgeFactors(item=item):
            arrays = [n * item.shape[1], 4 * n, 4 * item.shape[1] ** 2]
        case ItemWeights():
            arrays = [4 * n, 4 * n]
        case ConstantScores():
            arrays = [4 * n]
        case Blended(first=first, second=second):
            return fixed_bytes(first, n) + fixed_bytes(second, n)
    return sum((size + 2) // 3 * 4 for size in arrays)  # in base64


def most_entries(form: FoldIn, n: int) -> int:
    """The largest number of weights that a formula of n items can have."""
    match form:
        case ItemWeights(most=most):
            return min(most, n) * n
        case Blended(first=first, second=second):
            return most_entries(first, n) + most_entries(second, n)
    return 0


def _text(values: NDArray[Any]) -> str:
    """Little-endian bytes as base64."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
