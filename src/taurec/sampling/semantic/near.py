"""Items near in meaning: the threshold of false negatives, and the nearest items of each item or user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw, notices
from taurec.data.interactions import Index, Interactions
from taurec.sampling.semantic.vectors import TextVectors

PAIRS = 1 << 20
"""Pairs of items whose similarities give the quantile; all pairs of a catalogue that has no more."""
BLOCK = 256
"""Rows whose similarities to the catalogue are held at a time."""


class Pools(Protocol):
    """The nearest items for the rows of a batch."""

    def of(self, user: Index, item: Index) -> tuple[Index, NDArray[np.bool_]]:
        """[B, P] items, ascending in each row, and which of them may be drawn; the rest is filling."""
        ...


def threshold(vectors: TextVectors, quantile: float) -> float:
    """The quantile of the cosine similarities of two different items with a text.

    Infinite for a quantile of 1, and for fewer than two items.

    Over all pairs of a small catalogue, else over :data:`PAIRS` pairs drawn at random, the same in every run.

    >>> unit = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    >>> [round(threshold(TextVectors("", unit), q), 4) for q in (0.0, 0.5, 1.0)]
    [0.0, 0.6, inf]
    """
    unit = vectors.unit[vectors.known]
    n = len(unit)
    if n < 2 or quantile == 1:
        return float("inf")
    if n * (n - 1) // 2 <= PAIRS:
        one, two = np.triu_indices(n, 1)
    else:
        words = draw.key(0, "pairs of texts")
        one = draw.integers(words, np.arange(PAIRS), n)
        two = (one + 1 + draw.integers(words, np.arange(PAIRS), n - 1, 1, start=1)[:, 0]) % n
    found = [
        np.einsum("nd,nd->n", unit[one[at : at + BLOCK * 64]], unit[two[at : at + BLOCK * 64]])
        for at in range(0, len(one), BLOCK * 64)
    ]
    return float(np.quantile(np.concatenate(found), quantile))


def _nearest(profiles: Tensor, unit: Tensor, left_out: NDArray[np.bool_], limit: float, size: int) -> Index:
    """[b, P] the most similar items to b profiles, ascending; the number of items is the filling."""
    similar = profiles @ unit.T
    similar[(similar > limit) | torch.from_numpy(left_out)] = -torch.inf
    best, ids = similar.topk(size, dim=1)
    ids[best == -torch.inf] = len(unit)
    return np.sort(ids.numpy(), axis=1)


@dataclass(frozen=True, eq=False)
class NearPositive:
    """For each item its nearest ones: at most ``limit`` similar to it, and not the item itself.

    Attributes:
        ids: [I, P] ascending, I where there are fewer.
    """

    ids: Index

    @classmethod
    def find(cls, vectors: TextVectors, size: int, limit: float) -> NearPositive:
        """The pools of all items, in blocks of rows: never an array [I, I]."""
        unit, known = torch.from_numpy(vectors.unit), vectors.known
        n = len(unit)
        found = np.full((n, min(size, n)), n, dtype=np.int64)
        tell = notices.Steps("items whose near ones are found", n)
        for first in range(0, n, BLOCK):
            rows = np.arange(first, min(first + BLOCK, n))
            left_out = np.repeat(~known[None], len(rows), 0)
            left_out[np.arange(len(rows)), rows] = True
            left_out[~known[rows]] = True
            found[rows] = _nearest(unit[rows], unit, left_out, limit, found.shape[1])
            tell(first + len(rows))
        return cls(found)

    def of(self, user: Index, item: Index) -> tuple[Index, NDArray[np.bool_]]:
        ids = self.ids[item]
        return ids, ids < len(self.ids)


@dataclass(frozen=True, eq=False)
class NearHistory:
    """For each user the items nearest to the mean vector of the user's training items, which are not among them.

    Attributes:
        ids: [U, P] ascending, I where there are fewer.
        unit: [I, d].
        limit: an item more similar than this to the row's positive is not drawn in that row.
    """

    ids: Index
    unit: NDArray[np.float32]
    limit: float

    @classmethod
    def find(cls, vectors: TextVectors, train: Interactions, size: int, limit: float) -> NearHistory:
        """The pools of all users, in blocks of rows: never an array [U, I]."""
        unit, known = torch.from_numpy(vectors.unit), vectors.known
        n, log = train.n_items, train.csr()
        found = np.full((train.n_users, min(size, n)), n, dtype=np.int64)
        tell = notices.Steps("users whose near items are found", train.n_users)
        for first in range(0, train.n_users, BLOCK):
            own = log[first : first + BLOCK] != 0
            # The sum has the order of its direction; its length does not matter.
            profiles = torch.from_numpy(np.asarray(own.astype(np.float32) @ vectors.unit))
            left_out = own.toarray() | ~known[None]
            left_out[~profiles.numpy().any(1)] = True
            found[first : first + BLOCK] = _nearest(profiles, unit, left_out, torch.inf, found.shape[1])
            tell(first + len(profiles))
        return cls(found, vectors.unit, limit)

    def of(self, user: Index, item: Index) -> tuple[Index, NDArray[np.bool_]]:
        ids = self.ids[user]
        may = ids < len(self.unit)
        for first in range(0, len(ids), BLOCK):
            part = slice(first, first + BLOCK)
            vectors = self.unit[np.where(may[part], ids[part], 0)]
            may[part] &= np.einsum("bpd,bd->bp", vectors, self.unit[item[part]]) <= self.limit
        return ids, may
