"""Batch orders: the order of the training pairs in an epoch, and its division into batches.

An order yields row positions into the training log (users ascending, a user's items ascending), each
once per epoch. Its draws depend on (seed, epoch, row) only, so nothing else changes an epoch's order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError


class BoundOrder(Protocol):
    """An order that knows its log, batch size and seed."""

    def batches(self, epoch: int) -> Iterator[Index]:
        """Row positions of each batch of an epoch, at most ``batch_size`` each; the last may be smaller."""
        ...

    def steps(self, epoch: int) -> int:
        """How many batches the epoch has."""
        ...


class Order(Protocol):
    """Settings of an order of rows."""

    def bind(self, train: Interactions, batch_size: int, seed: int) -> BoundOrder: ...


@dataclass(frozen=True)
class Shuffled:
    """All pairs in random order.

    >>> train = Interactions.from_pairs([0, 0, 1, 1, 1], [0, 1, 0, 1, 2])
    >>> [len(rows) for rows in Shuffled().bind(train, batch_size=2, seed=0).batches(epoch=0)]
    [2, 2, 1]
    """

    def bind(self, train: Interactions, batch_size: int, seed: int) -> BoundShuffled:
        return BoundShuffled(len(train), _checked(batch_size), seed)


@dataclass(frozen=True)
class BoundShuffled:
    """:class:`Shuffled` bound to the number of pairs, a batch size and a seed."""

    n_rows: int
    batch_size: int
    seed: int

    def batches(self, epoch: int) -> Iterator[Index]:
        order = draw.permutation(draw.key(self.seed, "order", epoch), self.n_rows)
        for first in range(0, self.n_rows, self.batch_size):
            yield order[first : first + self.batch_size]

    def steps(self, epoch: int) -> int:
        return -(-self.n_rows // self.batch_size)


@dataclass(frozen=True)
class UserBlocks:
    """Blocks of one user's pairs in random order, for losses that pool the positives of a user (BSL).

    Each epoch a user's pairs are shuffled and cut into blocks of ``per_user``, the last one holding
    the rest; the blocks are shuffled and fill one batch after another. A block that does not fit
    starts the next batch, so it never straddles two, and a batch may stay up to ``per_user - 1``
    rows short. Two blocks of a user may meet in a batch.

    Args:
        per_user: most pairs in a block, at most the batch size; 1 is a plain shuffle.
    Raises: UsageError if it is below 1 or above the batch size.

    >>> train = Interactions.from_pairs([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])
    >>> order = UserBlocks(per_user=3).bind(train, batch_size=3, seed=0)
    >>> sorted(sorted(rows.tolist()) for rows in order.batches(epoch=0))
    [[0, 1, 2], [3, 4]]
    """

    per_user: int = 4

    def __post_init__(self) -> None:
        if self.per_user < 1:
            raise UsageError(f"user-blocks: per_user must be at least 1, got {self.per_user}; 4 is the default")

    def bind(self, train: Interactions, batch_size: int, seed: int) -> BoundUserBlocks:
        if self.per_user > _checked(batch_size):
            raise UsageError(
                f"user-blocks: a block of per_user={self.per_user} rows does not fit a batch of {batch_size}; "
                f"set per_user to at most {batch_size} or raise the batch size"
            )
        return BoundUserBlocks(train, self.per_user, batch_size, seed)


@dataclass(frozen=True)
class WholeUsers:
    """All pairs of a user in one batch, users in random order, for models that compute a user once per batch.

    As :class:`UserBlocks` whose blocks are as large as the batch: only a user with more pairs than a batch has rows is
    cut. A batch stays short by the pairs of the user who no longer fits.

    >>> train = Interactions.from_pairs([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])
    >>> sorted(len(rows) for rows in WholeUsers().bind(train, batch_size=4, seed=0).batches(epoch=0))
    [2, 3]
    """

    def bind(self, train: Interactions, batch_size: int, seed: int) -> BoundUserBlocks:
        return BoundUserBlocks(train, _checked(batch_size), batch_size, seed)


class BoundUserBlocks:
    """:class:`UserBlocks` bound to a log, a batch size and a seed; keeps the last epoch's order."""

    def __init__(self, train: Interactions, per_user: int, batch_size: int, seed: int):
        self.train = train
        self.batch_size = batch_size
        self.seed = seed
        counts = train.user_counts
        per = -(-counts // per_user)
        place = np.arange(per.sum()) - np.repeat(np.cumsum(per) - per, per)
        self._start = np.repeat(train.indptr[:-1], per) + place * per_user
        self._length = np.minimum(np.repeat(train.indptr[1:], per) - self._start, per_user)
        self._last: tuple[int, Index, list[int]] | None = None

    def batches(self, epoch: int) -> Iterator[Index]:
        order, cuts = self._epoch(epoch)
        for first, end in itertools.pairwise(cuts):
            yield order[first:end]

    def steps(self, epoch: int) -> int:
        return len(self._epoch(epoch)[1]) - 1

    def _epoch(self, epoch: int) -> tuple[Index, list[int]]:
        """[P] rows in order, and where the batches begin and end."""
        if self._last is None or self._last[0] != epoch:
            within = self._shuffled_within_users(epoch)
            blocks = draw.permutation(draw.key(self.seed, "order-of-blocks", epoch), len(self._start))
            start, length = self._start[blocks], self._length[blocks]
            ends = np.cumsum(length)
            rows = within[np.repeat(start - (ends - length), length) + np.arange(len(within))]
            cuts = [0]
            while cuts[-1] < len(rows):
                fits = int(np.searchsorted(ends, cuts[-1] + self.batch_size, side="right"))
                cuts.append(int(ends[fits - 1]))
            self._last = (epoch, rows, cuts)
        return self._last[1:]

    def _shuffled_within_users(self, epoch: int) -> Index:
        """Rows sorted by user and then by their words, of which the user's number displaces the low bits."""
        train = self.train
        words = draw.bits(draw.key(self.seed, "order", epoch), np.arange(len(train)))
        user_bits = max(train.n_users - 1, 1).bit_length()
        words >>= np.uint64(user_bits)
        words |= train.user_of.astype(np.uint64) << np.uint64(64 - user_bits)
        return np.argsort(words, kind="stable")


class GroupSize(NamedTuple):
    """How often rows of a user meet in a batch.

    Attributes:
        mean: mean over rows of the number of rows in their batch with the same user, themselves
            included: sum of squared group sizes / rows. 1 means that no user has two rows in a batch.
        paired: share of rows that have at least one partner.
    """

    mean: float
    paired: float


def group_size(train: Interactions, batches: Iterable[Index]) -> GroupSize:
    """The mean group size of these batches, and the share of rows with a partner; (0, 0) without rows.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 1, 0])
    >>> group_size(train, [np.array([0, 1, 2])])
    GroupSize(mean=1.6666666666666667, paired=0.6666666666666666)
    """
    rows = squares = paired = 0
    for batch in batches:
        sizes = np.unique(train.user_of[batch], return_counts=True)[1]
        rows += len(batch)
        squares += int((sizes**2).sum())
        paired += int(sizes[sizes > 1].sum())
    return GroupSize(squares / rows, paired / rows) if rows else GroupSize(0.0, 0.0)


def mean_group_size(train: Interactions, batches: Iterable[Index]) -> float:
    """The first figure of :func:`group_size`, which a loss that pools a user's rows lives on.

    >>> train = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1])
    >>> mean_group_size(train, UserBlocks(per_user=2).bind(train, batch_size=2, seed=0).batches(epoch=0))
    2.0
    """
    return group_size(train, batches).mean


def _checked(batch_size: int) -> int:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1 row, got {batch_size}; 1024 is usual")
    return batch_size
