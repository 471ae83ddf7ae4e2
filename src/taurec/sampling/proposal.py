"""Distributions over the catalogue that turn random words into items, with their probabilities."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Index
from taurec.errors import UsageError
from taurec.kernels.draws import uniform_ids
from taurec.sampling.known import Known
from taurec.sampling.protocol import BaseDistribution

Real = NDArray[np.float64]
_LOW = np.uint64(0xFFFFFFFF)
OWN_LEFT_OUT = ", the user's own training items left out"
_TILE = 1 << 15  # words worked on at a time: the buffers stay in the second-level cache


def log_of_two_parts(inside: NDArray[np.bool_], count: Index, left: Index, share: Real) -> NDArray[np.float32]:
    """log( share [inside] / count + (1 - share) / left ) for the draws of B rows.

    A draw is with probability ``share`` [B] uniform over the ``count`` [B] items of a set, else uniform over ``left``
    [B] items; ``inside`` [B, n] says whether it is one of the set.

    >>> log_q = log_of_two_parts(np.array([[True, False]]), np.array([2]), np.array([4]), np.array([0.5]))
    >>> np.exp(log_q).round(3)
    array([[0.375, 0.125]], dtype=float32)
    """
    total = inside * (share / np.maximum(count, 1))[:, None] + ((1 - share) / np.maximum(left, 1))[:, None]
    return np.log(np.maximum(total, np.finfo(np.float32).tiny)).astype(np.float32)


class Proposal(Protocol):
    """A distribution q over items; one word makes one draw.

    Laws: ``pick`` of random words follows q; ``pick_free`` follows q restricted to the items that
    the user does not have; ``pick_rows`` picks by the words of rows and columns; ``left`` is the
    probability that a draw of ``pick`` is not a positive, and is 0 exactly if there is no other item.
    """

    def pick(self, words: draw.U64) -> Index:
        """Items of the same shape as the words, which are overwritten."""
        ...

    def pick_rows(self, stream: int, rows: Index, n: int) -> Index:
        """[B, n] items: ``pick(draw.bits(stream, rows, n))``."""
        ...

    def pick_free(self, user: Index, words: draw.U64) -> Index:
        """[M] items that are not positives of [M] users whose ``left`` is above 0."""
        ...

    def left(self, user: Index) -> Real:
        """[B] the mass of q outside each user's positives."""
        ...

    def log_q(self, ids: Index) -> NDArray[np.float32]:
        """log q of items, in the shape of ``ids``."""
        ...

    @property
    def words(self) -> str:
        """The distribution as a phrase for people."""
        ...

    @property
    def weights(self) -> Real | None:
        """[I] what q is proportional to; None for all items alike."""
        ...


class Even:
    """Every item of the catalogue alike: q_j = 1 / I."""

    words = "all items alike"
    weights: Real | None = None

    def __init__(self, known: Known):
        self.known = known
        self.n_items = known.train.n_items

    def pick(self, words: draw.U64) -> Index:
        return draw.below(words, self.n_items)

    def pick_rows(self, stream: int, rows: Index, n: int) -> Index:
        return uniform_ids(stream, rows, self.n_items, n)

    def pick_free(self, user: Index, words: draw.U64) -> Index:
        rank = draw.below(words, self.n_items - self.known.train.user_counts[user])
        return self.known.free(user, rank)

    def left(self, user: Index) -> Real:
        result: Real = (self.n_items - self.known.train.user_counts[user]) / self.n_items
        return result

    def log_q(self, ids: Index) -> NDArray[np.float32]:
        return np.full(ids.shape, -np.log(self.n_items), dtype=np.float32)


class Weighted:
    """Items by popularity: q_j = count_j^alpha / sum_k count_k^alpha, drawn from an alias table.

    With alpha above 0 an item without training pairs is never drawn.
    """

    def __init__(self, known: Known, alpha: float):
        train = known.train
        self.known = known
        self.words = f"items by training count to the power {alpha:g}"
        self.weights: Real | None = train.item_counts.astype(np.float64) ** alpha
        with np.errstate(divide="ignore"):
            log_weight = alpha * np.log(train.item_counts) if alpha > 0 else np.zeros(train.n_items)
        weight = np.exp(log_weight - log_weight.max())
        self.q = weight / weight.sum()
        with np.errstate(divide="ignore"):
            self._log_q = np.log(self.q).astype(np.float32)
        self._table = alias_table(self.q)
        taken = np.bincount(train.user_of, self.q[train.indices], minlength=train.n_users)
        held = np.bincount(train.user_of, self.q[train.indices] > 0, minlength=train.n_users)
        full = held == np.count_nonzero(self.q)
        self._left = np.where(full, 0.0, 1.0 - taken)
        for u in np.flatnonzero(~full & (self._left < 1e-6)):  # too little left for a difference
            self._left[u] = np.delete(self.q, train.items_of(int(u))).sum()

    def pick(self, words: draw.U64) -> Index:
        out = words.reshape(-1)
        for first in range(0, out.size, _TILE):
            tile = out[first : first + _TILE]
            coin = tile & _LOW
            bucket = draw.below(tile, len(self.q))
            entry = np.take(self._table, bucket, mode="clip")
            replaced = coin >= (entry >> np.uint64(32))
            np.copyto(bucket, (entry & _LOW).view(np.int64), where=replaced)
        return out.view(np.int64).reshape(words.shape)

    def pick_rows(self, stream: int, rows: Index, n: int) -> Index:
        return self.pick(draw.bits(stream, rows, n))

    def pick_free(self, user: Index, words: draw.U64) -> Index:
        point = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        out = np.empty(len(user), dtype=np.int64)
        for u in np.unique(user):
            weight = self.q.copy()
            weight[self.known.train.items_of(int(u))] = 0.0
            mine = user == u
            total = np.cumsum(weight)
            last = np.flatnonzero(weight)[-1]
            out[mine] = np.minimum(np.searchsorted(total, point[mine] * total[-1], side="right"), last)
        return out

    def left(self, user: Index) -> Real:
        return self._left[user]

    def log_q(self, ids: Index) -> NDArray[np.float32]:
        return np.take(self._log_q, ids, mode="clip")


def base_of(proposal: Proposal, without_own: bool) -> BaseDistribution:
    """The distribution of a sampler that draws from a proposal, without the user's own training items or with them."""
    words = proposal.words + (OWN_LEFT_OUT if without_own else "")
    return BaseDistribution(words, proposal.weights, 0.0 if without_own else 1.0)


def uniform_base(without_own: bool) -> BaseDistribution:
    """All items alike, without the user's own training items or with them."""
    return BaseDistribution(Even.words + (OWN_LEFT_OUT if without_own else ""), None, 0.0 if without_own else 1.0)


def by_popularity(known: Known, alpha: float) -> Proposal:
    """The proposal q_j ~ count_j^alpha; alpha 0 is uniform over the whole catalogue.

    Raises: UsageError if the catalogue is empty, or alpha is above 0 and the log has no pairs.
    """
    if known.train.n_items == 0:
        raise UsageError("the training log has no items to draw negatives from; check the input and its filters")
    if alpha == 0:
        return Even(known)
    if len(known.train) == 0:
        raise UsageError("popularity needs training pairs to count, and there are none; use uniform negatives")
    return Weighted(known, alpha)


def alias_table(q: Real) -> draw.U64:
    """The alias table of a distribution, one 64-bit entry a bucket, built without a loop.

    Bucket j is kept if a 32-bit coin is below the entry's high half, else replaced by the item in
    its low half. Buckets that hold less than 1/I are filled in order by those that hold more, also
    in order; a giver that falls below its own share is filled by the next giver. Who fills whom
    follows from the running sums of what is missing and what is over.

    Args:
        q: [I] probabilities.
    Returns: [I] entries; the distribution they give differs from q by rounding only (2**-32 / I an item).
    """
    scaled = q * len(q)
    poor, rich = np.flatnonzero(scaled < 1), np.flatnonzero(scaled >= 1)
    keep, alias = np.ones(len(q)), np.arange(len(q))
    if len(poor) and len(rich):
        missing = np.concatenate([[0.0], np.cumsum(1 - scaled[poor])])
        over = np.cumsum(scaled[rich] - 1)
        keep[poor] = scaled[poor]
        alias[poor] = rich[np.minimum(np.searchsorted(over, missing[:-1], side="right"), len(rich) - 1)]
        at = np.searchsorted(missing, over[:-1], side="left")
        gone = at < len(missing)
        keep[rich[:-1][gone]] = np.clip(1 + over[:-1][gone] - missing[at[gone]], 0, 1)
        alias[rich[:-1][gone]] = rich[1:][gone]
    threshold = np.minimum(np.rint(keep * 2.0**32), 2.0**32 - 1).astype(np.uint64)
    alias = np.where(keep >= 1, np.arange(len(q)), alias).astype(np.uint64)
    threshold <<= np.uint64(32)
    threshold |= alias
    return threshold
