"""A small world whose tastes are known, for tests of what a model recovers.

Never evidence of quality: a method that wins here has shown that it works, not that it is good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError


@dataclass(frozen=True)
class Planted:
    """The planted log and everything that is true about it.

    Attributes:
        log: what a model may see.
        withheld: the pairs kept from it, with the same vocabularies; each is a true taste.
        false_positive: [P] bool over the pairs of ``log``: seen, but not liked.
        user_group, item_group: [U], [I] int64; a user likes exactly the items of the same group.
    """

    log: Interactions
    withheld: Interactions
    false_positive: NDArray[np.bool_]
    user_group: Index
    item_group: Index

    def likes(self, user: Index, item: Index) -> NDArray[np.bool_]:
        """Whether each pair is a true taste; the arguments broadcast."""
        return self.user_group[user] == self.item_group[item]

    @property
    def liked_unseen(self) -> float:
        """The share of true tastes among the pairs that the log lacks, weighted by the user's number of rows.

        >>> planted(n_users=2, n_items=4, n_groups=2, withheld=1).liked_unseen  # 1 of 3 unseen items
        0.3333333333333333
        """
        rows = self.log.user_counts
        liked = np.bincount(self.item_group)[self.user_group]
        seen = np.bincount(self.log.user_of[~self.false_positive], minlength=self.log.n_users)
        share = (liked - seen) / np.maximum(self.log.n_items - rows, 1)
        return float((share * rows).sum() / rows.sum())


def planted(
    n_users: int = 200,
    n_items: int = 100,
    n_groups: int = 4,
    per_user: int | None = None,
    noise: float = 0.0,
    withheld: int = 1,
    skew: float = 0.0,
    seed: int = 0,
) -> Planted:
    """A world of blocks: user u and item i belong to groups ``u % n_groups`` and ``i % n_groups``.

    A user likes every item of the same group. Of these, ``withheld`` are kept back and ``per_user`` of
    the rest are seen. With ``per_user=None`` all of the rest are seen, so that the withheld items are
    the only ones of the group a model may still suggest: the right answer is exact. False positives are
    added on top of a user's m true pairs, ``round(m * noise / (1 - noise))`` of them from other groups, so
    that ``noise`` is their share in the log.

    Args:
        n_users, n_items, n_groups: sizes; every group needs room for the withheld and one seen item.
        per_user: true pairs seen by each user.
        noise: share of false positives in the log, 0 <= noise < 1.
        withheld: true pairs kept from each user.
        skew: popularity skew. Items are drawn without replacement with weight ``(r + 1) ** -skew``,
            r the item's rank in its group; 0 draws uniformly. The withheld are drawn by the same rule.
        seed: of the draws, which do not depend on the number of users.
    Raises: UsageError if the sizes contradict each other.

    >>> world = planted(n_users=8, n_items=8, n_groups=2)
    >>> len(world.log), len(world.withheld), bool(world.false_positive.any())
    (24, 8, False)
    """
    if min(n_users, n_items, n_groups, withheld + 1) < 1 or n_groups > n_items:
        raise UsageError(
            f"planted needs at least one user, one item a group and withheld >= 0; got n_users={n_users}, "
            f"n_items={n_items}, n_groups={n_groups}, withheld={withheld}"
        )
    if not (0.0 <= noise < 1.0 and skew >= 0.0):
        raise UsageError(f"planted needs 0 <= noise < 1 and skew >= 0; got noise={noise}, skew={skew}")
    smallest = n_items // n_groups
    most = smallest - withheld
    if not 1 <= (most if per_user is None else per_user) <= most:
        raise UsageError(
            f"planted: the smallest group has {smallest} items, {withheld} of them withheld; "
            f"per_user must be in 1..{most}, got {per_user}"
        )
    user_group, item_group = np.arange(n_users) % n_groups, np.arange(n_items) % n_groups
    order = _preference(n_users, n_items, n_groups, skew, seed)
    own = item_group[order] == user_group[:, None]
    place = np.where(own, np.cumsum(own, axis=1), np.cumsum(~own, axis=1)) - 1
    n_own = own.sum(axis=1)
    n_seen = n_own - withheld if per_user is None else np.full(n_users, per_user)
    n_false = np.minimum(np.round(n_seen * noise / (1.0 - noise)), n_items - n_own)
    is_withheld = own & (place < withheld)
    is_true = own & (place >= withheld) & (place < (withheld + n_seen)[:, None])
    is_false = ~own & (place < n_false[:, None])
    user = np.broadcast_to(np.arange(n_users)[:, None], order.shape)
    vocabularies = Interactions.from_pairs([n_users - 1], [n_items - 1])
    log = Interactions.from_pairs(
        user[is_true | is_false], order[is_true | is_false], vocabularies.users, vocabularies.items
    )
    kept = Interactions.from_pairs(user[is_withheld], order[is_withheld], log.users, log.items)
    return Planted(log, kept, user_group[log.user_of] != item_group[log.indices], user_group, item_group)


def _preference(n_users: int, n_items: int, n_groups: int, skew: float, seed: int) -> Index:
    """[U, I] the items of each user in a random order, heavier ones earlier (exponential races)."""
    weight = (np.arange(n_items) // n_groups + 1.0) ** -skew
    u = draw.uniform(draw.key(seed, "planted"), np.arange(n_users), n_items)
    return np.argsort(-np.log1p(-u) / weight, axis=1, kind="stable")
