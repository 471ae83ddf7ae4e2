"""Noise with its truth kept: false positives put into a log, and positives held out as known false negatives.

Both serve experiments: cut the validation and test parts first, then disturb the training part alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.data.split import split
from taurec.errors import UsageError

_TINY = 1e-9  # 0.07 * 100 is 7.000000000000001 and means 7


@dataclass(frozen=True, eq=False)
class Noisy:
    """A log with injected pairs, and which they are.

    Attributes:
        log: the given pairs and the injected ones, with the same vocabularies.
        injected: [P] True where the pair of ``log`` was injected.
        short: how many pairs fewer than asked, because a user has no more items left to draw from.
    """

    log: Interactions
    injected: NDArray[np.bool_]
    short: int = 0


def add_false_positives(
    train: Interactions, rate: float, seed: int = 0, forbidden: Sequence[Interactions] = ()
) -> Noisy:
    """Inject ``ceil(rate * |P_u|)`` items per user, drawn uniformly from the items without a pair of the user.

    The items of a user are distinct and neither in ``train`` nor in a forbidden part; where fewer are left
    than asked, all of them come in and the rest is counted in ``short``. A user without pairs gets none.
    With one seed, what a lower rate injects a higher rate injects too, so levels of noise are nested.
    An injected pair takes time and weight from one of its user's own pairs, drawn at random: neither gives it away.

    Args:
        rate: injected pairs for each pair of a user, 0 or more; 0.2 adds a fifth of the pairs.
        forbidden: parts of the same log, such as validation and test, whose pairs are never injected.
    Raises: UsageError for a rate that is negative or not finite, or a part with other vocabularies.
    Source: the protocol of SL@K (arXiv 2508.05673). The draw leaves out the held-out parts as well, so a true
        answer never counts as noise. The lists of false positives of the BSL authors were made by a program
        that they did not publish.

    >>> noisy = add_false_positives(Interactions.from_pairs([0, 0, 1], [0, 1, 3]), rate=0.5)
    >>> len(noisy.log), int(noisy.injected.sum()), noisy.short
    (5, 2, 0)
    """
    if not (math.isfinite(rate) and rate >= 0):
        raise UsageError(f"rate must be 0 or more injected pairs for each pair of a user, got {rate}; 0.1 is usual")
    for part in forbidden:
        if part.users != train.users or part.items != train.items:
            raise UsageError("a forbidden part has other vocabularies than the training part; cut both from one log")
    taken = train
    for part in forbidden:
        taken = taken.union(part)
    asked = np.ceil(train.user_counts * rate - _TINY).astype(np.int64)
    wanted = np.minimum(asked, train.n_items - taken.user_counts)
    user, item = _distinct_free_items(taken, wanted, draw.key(seed, "false-positives"))
    lender = train.indptr[user] + draw.below(
        draw.cells(draw.key(seed, "false-positives-look"), user, item), train.user_counts[user]
    )
    log = Interactions.from_pairs(
        np.concatenate([train.user_of, user]),
        np.concatenate([train.indices, item]),
        train.users,
        train.items,
        None if train.time is None else np.concatenate([train.time, train.time[lender]]),
        None if train.weight is None else np.concatenate([train.weight, train.weight[lender]]),
        train.merged,
    )
    return Noisy(log, ~train.contains(log.user_of, log.indices), int((asked - wanted).sum()))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A training part without the positives that stand for false negatives, and those.

    Attributes:
        train: what is left to train on; it shares the vocabularies of the given part.
        held: the pairs taken out: items a user is known to like that training may meet as negatives.
    """

    train: Interactions
    held: Interactions


def hold_out_false_negatives(train: Interactions, share: float = 0.1, seed: int = 0) -> HeldOut:
    """Take a random share of each user's positives out of training, to be met as known false negatives.

    A user with n pairs gives ``floor(n * share + 1/2)``, as far as one stays for training.

    Args:
        share: from 0 to below 1; PSL takes 0.1.
    Raises: UsageError for another share.
    Source: the protocol of the PSL paper (arXiv 2411.00163), which holds out 10 % of the training positives.

    >>> parts = hold_out_false_negatives(Interactions.from_pairs([0] * 10, range(10)), share=0.2)
    >>> len(parts.train), len(parts.held)
    (8, 2)
    """
    if not 0 <= share < 1:
        raise UsageError(f"share must be from 0 to below 1 of each user's positives, got {share}; 0.1 is usual")
    cut = split(train, "ratio", valid=0.0, test=share, seed=draw.key(seed, "false-negatives"))
    return HeldOut(cut.train, cut.test)


def _distinct_free_items(taken: Interactions, wanted: Index, stream: int) -> tuple[Index, Index]:
    """Users and items of ``wanted[u]`` distinct items of each user u that are not in ``taken``, all sets alike.

    A user's items are the first distinct free ones in the user's endless row of uniform draws, so how many are
    wanted does not change which come first. Each round draws as many columns as it should take to end.
    """
    n_items = taken.n_items
    found = np.empty(0, dtype=np.int64)  # user * I + item, ascending by user, within a user as drawn
    have = np.zeros_like(wanted)
    column = np.zeros_like(wanted)
    while True:
        short = np.flatnonzero(have < wanted)
        if not len(short):
            break
        chance = (n_items - taken.user_counts[short] - have[short]) / n_items
        width = np.ceil((wanted[short] - have[short]) / chance).astype(np.int64) + 4
        user = np.repeat(short, width)
        place = np.arange(len(user)) - np.repeat(np.cumsum(width) - width, width)
        item = draw.below(draw.cells(stream, user, column[user] + place), n_items)
        column[short] += width
        free = ~taken.contains(user, item)
        both = np.concatenate([found, user[free] * n_items + item[free]])
        both = both[np.sort(np.unique(both, return_index=True)[1])]
        both = both[np.argsort(both // n_items, kind="stable")]
        have = np.bincount(both // n_items, minlength=len(wanted))
        rank = np.arange(len(both)) - np.repeat(np.cumsum(have) - have, have)
        found = both[rank < wanted[both // n_items]]
        have = np.minimum(have, wanted)
    return found // n_items, found % n_items
