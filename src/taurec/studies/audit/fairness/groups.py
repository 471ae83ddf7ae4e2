"""Groups of a fairness audit: items by popularity, users by activity or by an attribute from a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taurec.data.columns import USUAL
from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import DataError, UsageError, did_you_mean
from taurec.evaluation.topk import tie_ranks

Index = NDArray[np.int64]

MOST_VALUES = 20
"""Maximum number of values of an attribute; with more, the intervals of the groups would be too wide to be of use."""


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

    Items are sorted by their number of training interactions, equal ones by a hash of their id. Of P interactions, M
    belong to items before an item with c interactions. The item is in group

        floor(n * (M + c/2) / P),

    which contains the middle of its interactions. So the masses differ from P/n by at most the count of one item, and
    an item with more than P/n interactions can leave a neighbouring group empty. Items without interactions are in
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
    if not len(train):
        raise UsageError("popularity groups need training interactions, and there are none")
    counts = train.item_counts
    return _equal_parts("popularity", counts, counts, n, train.items, ("least popular", "most popular"))


def activity_groups(train: Interactions, n: int = 5) -> Groups:
    """Users from the least to the most active, by their number of training interactions.

    Args:
        train: what activity is counted in.
        n: groups of equally many users (to within one), at least 2. Equally active users on a border are divided
            by a hash of their id.
    Raises: UsageError for n below 2, or a log without users.

    >>> log = Interactions.from_pairs([0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0, 0, 1, 0, 1, 2, 0, 1, 2, 3])
    >>> activity_groups(log, 2).of.tolist()
    [0, 0, 1, 1]
    """
    if not train.n_users:
        raise UsageError("activity groups need users with training interactions, and there are none")
    counts = train.user_counts
    return _equal_parts("activity", counts, np.ones_like(counts), n, train.users, ("least active", "most active"))


def attribute_groups(train: Interactions, attribute: str, users: Sequence[str], values: Sequence[str]) -> Groups:
    """Users grouped by an attribute, such as a country; the groups are in the order of the values as text.

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
    of = np.full(train.n_users, -1, dtype=np.int64)
    for user, value in held:
        of[user] = names.index(value)
    return _groups(attribute, of, train.user_counts, names)


def read_attribute(path: str | Path, attribute: str, user: str | None = None) -> tuple[list[str], list[str]]:
    """The users of a CSV file (``.tsv``: tab-separated) with a header, and their values of one column, as text.

    Spaces around ids and values are dropped. All rows are read, also those of users who are not in a log.

    Args:
        path: a UTF-8 file.
        attribute: the column to read.
        user: the column of user ids; by default the one with a usual name (``user``, ``userId``, ``uid``, ...).
    Raises: UsageError for a file or a column that is not there; DataError, with ``FILE:LINE``, for a row of
        another length, a row without id, a user with two different values, and bytes that are not UTF-8.

    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "users.csv"
    ...     _ = path.write_text("user,country\\nann,fi\\nbob,no\\n")
    ...     read_attribute(path, "country")
    (['ann', 'bob'], ['fi', 'no'])
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; --user-attributes takes a CSV file with a header")
    known: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
            head = [name.strip() for name in next(reader, [])]
            if not head:
                raise DataError(f"{path}:1: empty file; a header with a user column and {attribute!r} is needed")
            of_user, of_value = _columns(head, user, attribute, path)
            for row in filter(None, reader):
                where = f"{path}:{reader.line_num}"
                if len(row) != len(head):
                    raise DataError(f"{where}: {len(row)} cells, and the header has {len(head)}")
                name, value = row[of_user].strip(), row[of_value].strip()
                if not name:
                    raise DataError(f"{where}: no user id in column {head[of_user]!r}")
                if known.setdefault(name, value) != value:
                    raise DataError(
                        f"{where}: user {name!r} has {attribute} {value!r} here and {known[name]!r} before; "
                        "give each user one value"
                    )
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except (csv.Error, OSError) as error:
        raise DataError(f"{path}: not readable as CSV: {error}") from None
    return list(known), list(known.values())


def _equal_parts(what: str, counts: Index, mass: Index, n: int, ids: Vocabulary, ends: tuple[str, str]) -> Groups:
    """Divide members, in ascending order of counts, into n equal parts by the middle of each member's mass."""
    if isinstance(n, bool) or int(n) != n or n < 2:
        raise UsageError(f"the number of groups must be a whole number of at least 2, got {n!r}")
    order = np.lexsort((tie_ranks(ids), counts))
    # twice the middle, so that halves stay whole numbers and a border is exact
    middle = 2 * np.cumsum(mass[order]) - mass[order]
    of = np.empty(len(order), dtype=np.int64)
    of[order] = np.minimum(int(n) * middle // (2 * int(mass.sum())), int(n) - 1)
    first, last = ends
    return _groups(what, of, counts, (f"1 {first}", *map(str, range(2, int(n))), f"{n} {last}"))


def _groups(what: str, of: Index, counts: Index, names: tuple[str, ...]) -> Groups:
    inside = of >= 0
    held = np.bincount(of[inside], weights=counts[inside], minlength=len(names)).astype(np.int64)
    return Groups(what, of, names, held)


def _columns(head: Sequence[str], user: str | None, attribute: str, path: Path) -> tuple[int, int]:
    """The columns of the ids and of the attribute."""
    if user is None:
        plain = ["".join(filter(str.isalnum, name.lower())) for name in head]
        usual = [name for name, short in zip(head, plain, strict=True) if short in USUAL["user"]]
        if len(usual) != 1:
            raise UsageError(
                f"{path}:1: {'several' if usual else 'none'} of the columns {', '.join(head)} has a usual name of a "
                "user column; name it with --attribute-user"
            )
        user = usual[0]
    if user not in head:
        raise UsageError(f"{path}:1: no column {user!r}{did_you_mean(user, head)}")
    others = [name for n, name in enumerate(head) if n != head.index(user)]
    if attribute not in others:
        raise UsageError(f"{path}:1: no column {attribute!r}{did_you_mean(attribute, others)}")
    return head.index(user), head.index(attribute)
