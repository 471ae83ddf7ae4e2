"""Uniform negatives among which a known share are false: positives of the row's user, drawn on purpose.

Two classes of items a user: false negatives, and the items the user has no training pair with. Each slot of
a row picks the class by a coin of the row's own stream and draws uniformly within it, with replacement. The
ordinary draws are those of ``uniform`` with ``exclude``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.data.noise import hold_out_false_negatives
from taurec.errors import UsageError
from taurec.sampling.known import Known
from taurec.sampling.layouts import PerRowNegatives
from taurec.sampling.per_row import BoundPerRow, check_n
from taurec.sampling.proposal import by_popularity
from taurec.sampling.protocol import BaseDistribution, BoundSampler, Sampler
from taurec.types import StepShape


@dataclass(frozen=True)
class Noisy(Sampler):
    """Negatives that hit training positives at a chosen rate: weight 1 for other items, ``noise`` for positives.

    With P_u the training positives of user u among I items, a slot is a false negative with probability

        noise |P_u| / (noise |P_u| + I - |P_u|)

    and then each of the positives alike, the row's own included; else each other item alike. So noise 0 excludes
    positives, 1 is ``uniform`` over all items, and above 1 false negatives come more often than by chance.
    ``logq`` is the log of the item's own probability.

    Args:
        n: negatives a row.
        noise: weight of a positive, 0 or more. The BSL paper calls it the rate of noise r.
    Raises: UsageError if n is below 1, noise is negative or not finite, or the catalogue is empty.
    Source: the noisy sampling of the BSL experiments (arXiv 2312.12882), which the authors' code does by a
        dense [U, I] table of weights; the distribution here is the same, without the table.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 3])
    >>> at = torch.tensor([0])
    >>> drawn = Noisy(4000, noise=4.0).bind(train, seed=0).draw(at, at, at, epoch=0)
    >>> round(float(torch.isin(drawn.ids, torch.tensor([0, 2])).double().mean()), 1)  # 4 * 2 / (4 * 2 + 2)
    0.8
    """

    n: int = 800
    noise: float = 1.0

    def __post_init__(self) -> None:
        check_n("noisy", self.n)
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise UsageError(
                f"noisy: noise must be 0 (positives excluded) or more, got {self.noise}; 1 is uniform over all items"
            )

    def bind(self, train: Interactions, seed: int) -> TwoClasses:
        weight = self.noise * train.user_counts
        free = train.n_items - train.user_counts
        share = np.divide(weight, weight + free, out=np.zeros(train.n_users), where=weight + free > 0)
        words = f"all items alike, but each of the user's own training items {self.noise:g} times as often"
        return TwoClasses(_ordinary(Known(train), seed, self.n), train, share, words, train)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)


@dataclass(frozen=True)
class NoisyHeldOut(Sampler):
    """Negatives among which items held out of the user's training positives come with probability ``noise``.

    A share of each user's positives leaves training; they are known false negatives. A slot is one of them with
    probability ``noise``, all alike; else one of the items the user has no pair with, held out or not. A user of
    whom nothing was held out draws ordinary negatives only, and one who has every item draws what was held out.
    The trainer leaves out the held pairs as rows and in the graph. ``logq`` is the log of the item's own probability.

    Args:
        n: negatives a row.
        noise: probability of a false negative, from 0 to below 1.
        share: of each user's training positives that is held out, from 0 to below 1.
    Raises: UsageError for values out of range or an empty catalogue.
    Source: the noise experiment of the PSL paper (arXiv 2411.00163): 10 % held out, drawn with probability 0.05
        to 0.5. That ordinary draws never hit a held-out item is a choice made here; so ``noise`` is the exact share.

    >>> train = Interactions.from_pairs([0] * 10, range(10))
    >>> bound = NoisyHeldOut(5, noise=0.2).bind(train, seed=0)
    >>> len(bound.trained), len(bound.false)
    (9, 1)
    """

    n: int = 800
    noise: float = 0.1
    share: float = 0.1

    def __post_init__(self) -> None:
        check_n("noisy-held-out", self.n)
        for name, value in (("noise", self.noise), ("share", self.share)):
            if not 0 <= value < 1:
                raise UsageError(f"noisy-held-out: {name} must be from 0 to below 1, got {value}; 0.1 is usual")

    def bind(self, train: Interactions, seed: int) -> TwoClasses:
        parts = hold_out_false_negatives(train, self.share, seed)
        free = train.n_items - train.user_counts
        share = np.where(parts.held.user_counts > 0, self.noise, 0.0)
        share[(share > 0) & (free == 0)] = 1.0
        words = f"the user's held-out items with probability {self.noise:g}, else items the user has no pair with"
        return TwoClasses(_ordinary(Known(train), seed, self.n), parts.held, share, words, parts.train)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)


@dataclass(frozen=True, eq=False)
class TwoClasses(BoundSampler):
    """A sampler of ordinary and false negatives bound to a log and a seed.

    Attributes:
        ordinary: draws the items that the user has no pair with.
        false: the pairs that count as false negatives.
        share: [U] the probability that a slot is one of them.
        words: the distribution as a phrase.
        trained: the pairs left to train on; the given log where nothing is held out.
    """

    ordinary: BoundPerRow
    false: Interactions
    share: NDArray[np.float64]
    words: str
    trained: Interactions

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PerRowNegatives:
        """Ids [B, n] and their ``logq``; ``absent`` only where a row has no negative of either class."""
        plain = self.ordinary.draw(user, item, row, epoch)
        assert plain.logq is not None
        users, ids, logq = user.numpy(), plain.ids.numpy(), plain.logq.numpy()
        words = draw.bits(draw.key(self.ordinary.seed, "false-negatives", epoch), row.numpy(), self.ordinary.n)
        share = self.share[users]
        b, c = np.nonzero(draw.heads(words, share))
        counts = self.false.user_counts[users]
        ids[b, c] = self.false.indices[self.false.indptr[users[b]] + draw.below(words[b, c], counts[b])]
        with np.errstate(divide="ignore"):
            logq += np.log1p(-share)[:, None].astype(np.float32)
            logq[b, c] = np.log(share / np.maximum(counts, 1))[b].astype(np.float32)
        absent = None
        if plain.absent is not None and (none := plain.absent[:, 0].numpy() & (share == 0)).any():
            absent = torch.from_numpy(none)[:, None].expand(-1, self.ordinary.n)
        return PerRowNegatives(ids=plain.ids, absent=absent, logq=plain.logq)

    def base_distribution(self) -> BaseDistribution:
        return BaseDistribution(self.words, users=self._weights)

    def _weights(self, users: Index) -> NDArray[np.float64]:
        """[b, I] the probability of each item in a slot of these users."""
        known, share = self.ordinary.known.train, self.share[users][:, None]
        free = known.csr()[users].toarray() == 0
        false = self.false.csr()[users].toarray() > 0
        per_item = [kind / np.maximum(kind.sum(1, keepdims=True), 1) for kind in (free, false)]
        weights: NDArray[np.float64] = (1 - share) * per_item[0] + share * per_item[1]
        return weights


def _ordinary(known: Known, seed: int, n: int) -> BoundPerRow:
    return BoundPerRow(known, by_popularity(known, 0.0), seed, n, exclude=True)
