"""The groups that are compared: items by popularity, users by activity or by an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.topk import tie_ranks

Index = NDArray[np.int64]

MOST_VALUES = 20
"""Of an attribute: more are no groups, and the intervals of each would say nothing."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of all items, or of all users.

    Attributes:
        what: what divides them, such as ``popularity``, ``activity`` or the name of an attribute.
        of: [n] the group of each, -1 where it belongs to none.
        names: [G] for a person to read, in order.
        counts: [G] training interactions of each group's members.
    """

    what: str
    of: Index
    names: tuple[str, ...]
    counts: Index

    @property
    def sizes(self) -> Index:
        """[G] members of each group."""
        return np.bincount(self.of[self.of >= 0], minlength=len(self.names))

    @property
    def n_without(self) -> int:
        """The number of items or users in no group."""
        return int((self.of < 0).sum())

    @property
    def shares(self) -> NDArray[np.float64]:
        """[G] each group's share of the training interactions that belong to any group; 0 without any."""
        shares: NDArray[np.float64] = self.counts / max(int(self.counts.sum()), 1)
        return shares


def popularity_groups(train: Interactions, n: int = 10) -> Groups:
    """Items from the least to the most popular, in ``n`` groups of equal interaction mass.

    Items are put in ascending order of their training interactions, equal ones in the order of a hash of their
    id. An item with c interactions, M of all P lying before it in that order, is in group

        floor(n * (M + c/2) / P),

    where the middle of its stretch falls. So the masses differ from P/n by at most the count of one item, and an
    item that holds more than P/n alone can leave a neighbouring group empty. Items without interactions are in
    group 1.

    Args:
        train: what popularity is counted in.
        n: groups, at least 2.
    Raises: UsageError for n below 2, or a log without interactions.
    Source: ten groups of equal interactions as in the evaluation of SGL (Wu et al., SIGIR 2021) and of the SSM and
        BSL papers; how ties and items on a border are put is ours.

    >>> log = Interactions.from_pairs([0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 0, 0, 1, 1, 2, 3])
    >>> popularity_groups(log, 2).of.tolist(), popularity_groups(log, 2).names
    ([1, 0, 0, 0], ('1 least popular', '2 most popular'))
    """
    counts = train.item_counts
    if not len(train):
        raise UsageError("popularity groups need training interactions, and there are none")
    of = _cut(counts, counts, _at_least_2(n), train.items)
    return _named("popularity", of, counts, _ends(n, "least popular", "most popular"))


def activity_groups(train: Interactions, n: int = 5, equal: str = "users") -> Groups:
    """Users from the least to the most active, by their number of training interactions.

    Args:
        train: what activity is counted in.
        n: groups, at least 2.
        equal: ``users`` gives groups of equally many users (to within one), ``interactions`` groups of equal
            interaction mass, cut as by :func:`popularity_groups`. Equally active users on a border are divided by
            a hash of their id.
    Raises: UsageError for n below 2, another ``equal``, or a log without users.

    >>> log = Interactions.from_pairs([0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0, 0, 1, 0, 1, 2, 0, 1, 2, 3])
    >>> activity_groups(log, 2).of.tolist(), activity_groups(log, 2, equal="interactions").of.tolist()
    ([0, 0, 1, 1], [0, 0, 0, 1])
    """
    if equal not in ("users", "interactions"):
        raise UsageError(f"equal={equal!r}: accepted are users, interactions")
    if not train.n_users or (equal == "interactions" and not len(train)):
        raise UsageError("activity groups need users with training interactions, and there are none")
    counts = train.user_counts
    mass = np.ones_like(counts) if equal == "users" else counts
    of = _cut(counts, mass, _at_least_2(n), train.users)
    return _named("activity", of, counts, _ends(n, "least active", "most active"))


def attribute_groups(train: Interactions, attribute: str, users: Sequence[str], values: Sequence[str]) -> Groups:
    """Users by a value they were given, such as a country; the groups are in the order of the values as text.

    Args:
        train: whose users are divided.
        attribute: its name.
        users, values: equally long: raw user ids, each once, and their values. Ids that the log does not have
            are skipped; a user without a value, or with an empty one, is in no group.
    Raises: UsageError if no user of the log has a value, all have the same one, or there are more than 20.

    >>> log = Interactions.from_pairs([0, 1, 2], [0, 1, 0], Vocabulary(["ann", "bob", "cid"]))
    >>> groups = attribute_groups(log, "country", ["bob", "ann", "eve"], ["no", "fi", "fi"])
    >>> groups.of.tolist(), groups.names, groups.n_without
    ([0, 1, -1], ('fi', 'no'), 1)
    """
    if len(users) != len(values):
        raise UsageError(f"attribute {attribute!r}: got {len(users)} users and {len(values)} values")
    at = train.users.encode(users)
    held = [(int(u), value) for u, value in zip(at, values, strict=True) if u >= 0 and value]
    names = tuple(sorted({value for _, value in held}))
    if not names:
        raise UsageError(f"attribute {attribute!r}: none of the {train.n_users} users of the log has a value")
    if len(names) == 1:
        raise UsageError(f"attribute {attribute!r}: all users have the value {names[0]!r}; there is nothing to compare")
    if len(names) > MOST_VALUES:
        raise UsageError(
            f"attribute {attribute!r} has {len(names)} values, such as {', '.join(map(repr, names[:3]))}; at most "
            f"{MOST_VALUES} can be compared, so write classes into the file, such as ages in tens of years"
        )
    number = {name: g for g, name in enumerate(names)}
    of = np.full(train.n_users, -1, dtype=np.int64)
    for user, value in held:
        of[user] = number[value]
    return _named(attribute, of, train.user_counts, names)


def _cut(order_by: Index, mass: Index, n: int, ids: Vocabulary) -> Index:
    """[m] group of each member: in ascending order, the one of n equal parts that contains the middle of its mass."""
    order = np.lexsort((tie_ranks(ids), order_by))
    # twice the middle, so that halves stay whole numbers and a border is exact
    middle = 2 * np.cumsum(mass[order]) - mass[order]
    of = np.empty(len(order), dtype=np.int64)
    of[order] = np.minimum(n * middle // (2 * int(mass.sum())), n - 1)
    return of


def _named(what: str, of: Index, counts: Index, names: Sequence[str]) -> Groups:
    inside = of >= 0
    held = np.bincount(of[inside], weights=counts[inside], minlength=len(names)).astype(np.int64)
    return Groups(what, of, tuple(names), held)


def _ends(n: int, first: str, last: str) -> list[str]:
    """Numbers from 1, the first and the last with their meaning."""
    return [f"1 {first}", *(str(g) for g in range(2, n)), f"{n} {last}"]


def _at_least_2(n: int) -> int:
    if isinstance(n, bool) or int(n) != n or n < 2:
        raise UsageError(f"the number of groups must be a whole number of at least 2, got {n!r}")
    return int(n)
