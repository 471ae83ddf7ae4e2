"""The log: which user met which item, once each, with optional time and weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from taurec.data.vocabulary import Vocabulary

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Observed user-item pairs in compressed rows; immutable.

    Rows are users, columns items; within a user the items ascend. Parts of one log (training,
    validation, test) share the vocabularies, so an index means the same in all of them.

    Attributes:
        indptr: [U + 1] int64, where each user's items start.
        indices: [P] int64 item indices.
        users, items: the vocabularies of raw ids.
        time: [P] float64 seconds, or None.
        weight: [P] float32 positive, or None.
        merged: how many repeated pairs the log held beyond the first of each.
        exact: of these, how many repeat another row in time and weight too.
    """

    indptr: Index
    indices: Index
    users: Vocabulary
    items: Vocabulary
    time: NDArray[np.float64] | None = None
    weight: NDArray[np.float32] | None = None
    merged: int = 0
    exact: int = 0

    def __post_init__(self) -> None:
        for array in (self.indptr, self.indices, self.time, self.weight):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def from_pairs(
        cls,
        user: ArrayLike,
        item: ArrayLike,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
        time: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        merged: int = 0,
    ) -> Interactions:
        """From index pairs in any order.

        A pair that occurs several times is kept once: its earliest time, the sum of its weights;
        the repeats are counted in ``merged``. Without vocabularies the ids are the indices as text.
        """
        u, i = np.asarray(user), np.asarray(item)
        users = users if users is not None else Vocabulary.numbered(int(u.max(initial=-1)) + 1)
        items = items if items is not None else Vocabulary.numbered(int(i.max(initial=-1)) + 1)
        if u.size and (u.min() < 0 or i.min() < 0 or u.max() >= len(users) or i.max() >= len(items)):
            raise ValueError("a pair's index lies outside its vocabulary")
        key = u.astype(np.int64)
        key *= len(items)
        key += i.astype(np.int64, copy=False)
        del u, i
        order = np.argsort(key, kind="stable") if time is not None or weight is not None else None
        if order is None:
            key.sort()
        else:
            key = key[order]
        t = None if time is None else np.asarray(time, dtype=np.float64)[order]
        w = None if weight is None else np.asarray(weight, dtype=np.float32)[order]
        del order
        first = np.ones(len(key), dtype=bool)
        np.not_equal(key[1:], key[:-1], out=first[1:])
        repeats = exact = len(key) - int(first.sum())
        if repeats:
            exact = _exact_repeats(key, first, t, w)
            starts = np.flatnonzero(first)
            key = key[starts]
            t = None if t is None else np.minimum.reduceat(t, starts)
            w = None if w is None else np.add.reduceat(w, starts).astype(np.float32)
        indptr = np.zeros(len(users) + 1, dtype=np.int64)
        if len(key):
            np.cumsum(np.bincount(key // len(items), minlength=len(users)), out=indptr[1:])
            key %= len(items)
        return cls(indptr, key, users, items, t, w, merged + repeats, exact)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @cached_property
    def user_of(self) -> Index:
        """[P] the user of each pair."""
        return np.repeat(np.arange(self.n_users), np.diff(self.indptr))

    @cached_property
    def user_counts(self) -> Index:
        """[U] items of each user."""
        return np.diff(self.indptr)

    @cached_property
    def item_counts(self) -> Index:
        """[I] users of each item: its popularity."""
        return np.bincount(self.indices, minlength=self.n_items)

    def items_of(self, user: int) -> Index:
        """The items of one user, ascending."""
        if not 0 <= user < self.n_users:
            raise IndexError(f"user index {user} outside 0..{self.n_users - 1}")
        return self.indices[self.indptr[user] : self.indptr[user + 1]]

    def csr(self) -> csr_array:
        """The binary users x items matrix, float32."""
        ones = np.ones(len(self), dtype=np.float32)
        return csr_array((ones, self.indices, self.indptr), shape=(self.n_users, self.n_items))

    def contains(self, user: ArrayLike, item: ArrayLike) -> NDArray[np.bool_]:
        """Whether each pair was observed, by binary search; the arguments broadcast."""
        wanted = np.asarray(user, dtype=np.int64) * self.n_items + np.asarray(item, dtype=np.int64)
        keys = self._keys
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return keys[at] == wanted if len(keys) else np.zeros(wanted.shape, dtype=bool)

    @cached_property
    def _keys(self) -> Index:
        return self.user_of * self.n_items + self.indices

    def take(self, pairs: ArrayLike) -> Interactions:
        """The part made of these pairs (positions or a mask), with the same vocabularies."""
        p = np.asarray(pairs)
        p = np.flatnonzero(p) if p.dtype == bool else np.sort(p.astype(np.int64))
        return Interactions.from_pairs(
            self.user_of[p],
            self.indices[p],
            self.users,
            self.items,
            None if self.time is None else self.time[p],
            None if self.weight is None else self.weight[p],
        )

    def union(self, other: Interactions) -> Interactions:
        """Both parts together; they must share the vocabularies. Weights and times are dropped."""
        if other.users != self.users or other.items != self.items:
            raise ValueError("parts of different logs cannot be joined")
        return Interactions.from_pairs(
            np.concatenate([self.user_of, other.user_of]),
            np.concatenate([self.indices, other.indices]),
            self.users,
            self.items,
        )

    def to_frame(self) -> pl.DataFrame:
        """A polars frame of the pairs with raw ids: columns user, item, and time and weight where they are known.

        >>> Interactions.from_pairs([0, 1], [1, 0], time=[3.0, 4.0]).to_frame().rows()
        [('0', '1', 3.0), ('1', '0', 4.0)]
        """
        known = {name: values for name, values in (("time", self.time), ("weight", self.weight)) if values is not None}
        ids = {"user": self.users.ids.gather(self.user_of), "item": self.items.ids.gather(self.indices)}
        return pl.DataFrame({**ids, **known})

    def compact(self) -> Interactions:
        """Without users and items that have no pair; indices are renumbered in order."""
        u, i = np.flatnonzero(self.user_counts), np.flatnonzero(self.item_counts)
        new_u, new_i = np.full(self.n_users, -1), np.full(self.n_items, -1)
        new_u[u], new_i[i] = np.arange(len(u)), np.arange(len(i))
        return Interactions.from_pairs(
            new_u[self.user_of],
            new_i[self.indices],
            Vocabulary(self.users.ids.gather(u)),
            Vocabulary(self.items.ids.gather(i)),
            self.time,
            self.weight,
            self.merged,
        )

    def k_core(self, k: int) -> Interactions:
        """The largest part in which every user and every item has at least k pairs."""
        part = self
        while True:
            keep = (part.user_counts[part.user_of] >= k) & (part.item_counts[part.indices] >= k)
            if keep.all():
                return part.compact()
            part = part.take(keep)


def _exact_repeats(
    key: Index, first: NDArray[np.bool_], time: NDArray[np.float64] | None, weight: NDArray[np.float32] | None
) -> int:
    """How many rows equal another one in pair, time and weight; ``key`` is sorted, ``first`` marks new pairs."""
    again = ~first
    again[:-1] |= ~first[1:]
    rows = [column[again] for column in (weight, time, key) if column is not None]
    order = np.lexsort(rows)
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in rows:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    return int(same.sum())
