"""Which column means what: as the caller says, else guessed by the names in common use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from taurec.errors import DataError, UsageError, did_you_mean

_USUAL = """
user: user userid uid u userprocid username customer customerid custid visitor visitorid reviewer reviewerid
    member memberid account accountid profileid client clientid
item: item itemid iid i itemprocid itemname movie movieid product productid asin parentasin article articleid
    book bookid isbn track trackid song songid artist artistid business businessid content contentid news newsid
    venueid poi poiid locationid sku package
time: timestamp time ts datetime date unixtime unixreviewtime eventtime createdat ratingtimestamp tdat reviewtime
rating: rating ratings stars star score overall bookrating userrating
"""
USUAL = {line.split(":")[0]: line.split(":")[1].split() for line in re.sub(r"\n +", " ", _USUAL).strip().split("\n")}
NONE = "none"


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are read; None for a part the log does not have.

    >>> Columns("u", "i").roles()
    {'user': 'u', 'item': 'i'}
    """

    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    weight: str | None = None

    def roles(self) -> dict[str, str]:
        """role -> column name, of the columns that are read."""
        return {role: name for role, name in vars(self).items() if name is not None}


@dataclass(frozen=True)
class Wanted:
    """What the caller asks of the columns.

    ``time`` and ``rating`` may be the word ``none``: do not guess one.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None
    weight: str | None = None
    min_rating: float | None = None


def choose(names: Sequence[str], wanted: Wanted, where: str, typed: bool = False) -> Columns:
    """Find the columns of a headered log.

    Names compare without case and signs: ``userId``, ``USER_ID`` and ``user-id`` are one. A weight
    is never guessed; a rating only under its own names.

    Args:
        names: the header, in order.
        where: what messages start with, ``FILE:LINE:COLUMN``.
        typed: the names carry a type behind a colon, which is left out of the comparison.
    Raises: DataError for a duplicate name, a named column that is absent, an unrecognised or
        ambiguous header, a header that looks like data.

    >>> choose(["userId", "movieId", "rating", "timestamp"], Wanted(), "ratings.csv:1:1")
    Columns(user='userId', item='movieId', time='timestamp', rating='rating', weight=None)
    """
    _distinct(names, where)
    found: dict[str, str | None] = {}
    for role in ("user", "item", "time", "rating", "weight"):
        asked = getattr(wanted, role)
        if asked == NONE and role in ("time", "rating"):
            found[role] = None
        elif asked is not None:
            found[role] = _named(names, str(asked), role, where, typed)
        else:
            found[role] = _guess(names, role, where, typed) if role in USUAL else None
    missing = [role for role in ("user", "item") if found[role] is None]
    if missing:
        _unrecognised(names, missing, where)
    if wanted.min_rating is not None and found["rating"] is None:
        raise DataError(
            f"{where}: min_rating= (--min-rating) needs a rating column; found {_listed(names)}; say rating= (--rating)"
        )
    user, item = str(found["user"]), str(found["item"])
    if user == item:
        raise UsageError(f"{where}: column {user!r} cannot be both the user and the item")
    return Columns(user, item, found["time"], found["rating"], found["weight"])


def by_position(width: int, wanted: Wanted, where: str) -> tuple[list[str], Columns]:
    """Names and columns of a table without header: columns are called 1, 2, ...; 1 is the user, 2 the item."""
    names = [str(i + 1) for i in range(width)]
    if width < 2:
        raise DataError(f"{where}: expected at least 2 columns, user and item; found {width}")
    asked = Wanted(
        wanted.user or "1", wanted.item or "2", wanted.time or NONE, wanted.rating or NONE, wanted.weight,
        wanted.min_rating,
    )  # fmt: skip
    return names, choose(names, asked, where)


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether a supposed header holds a number, a date or nothing where a name should be."""
    return any(re.fullmatch(r"\s*[-+]?\d[\d.,:TZ\s/eE+-]*|\s*", name) for name in names)


def _plain(name: str, typed: bool) -> str:
    name = name.split(":")[0] if typed else name
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n[:40]) for n in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _distinct(names: Sequence[str], where: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(
                f"{where}: column name {name!r} occurs twice, at positions {names.index(name) + 1} and {i + 1}; "
                "rename one" + ("; or is line 1 data? then no_header= (--no-header)" if looks_like_data(names) else "")
            )


def _named(names: Sequence[str], asked: str, role: str, where: str, typed: bool) -> str:
    if asked in names:
        return asked
    if typed and asked in (bare := [n.split(":")[0] for n in names]):
        return names[bare.index(asked)]
    header = "; line 1 looks like data: then no_header= (--no-header)" if looks_like_data(names) else ""
    raise DataError(f"{where}: no {role} column {asked!r}{did_you_mean(asked, names)}{header}")


def _guess(names: Sequence[str], role: str, where: str, typed: bool) -> str | None:
    usual = USUAL[role]
    hits = [name for name in names if _plain(name, typed) in usual]
    if len(hits) > 1 and role in ("user", "item"):
        raise DataError(f"{where}: {_listed(hits)} could each be the {role}; say {role}= (--{role}) which one")
    return min(hits, key=lambda name: usual.index(_plain(name, typed)), default=None)


def _unrecognised(names: Sequence[str], missing: Sequence[str], where: str) -> None:
    if looks_like_data(names):
        raise DataError(
            f"{where}: expected a header with columns such as user,item; line 1 looks like data: {_listed(names)}; "
            "if the file has no header, say no_header= (--no-header)"
        )
    hints = "".join(did_you_mean(role, names).split(" (accepted")[0].rstrip(";") for role in missing)
    flags = " and ".join(f"{role}= (--{role})" for role in missing)
    raise DataError(
        f"{where}: no column is recognised as the {' or the '.join(missing)}; found {_listed(names)}{hints}; "
        f"say {flags}, or no_header= (--no-header) if line 1 is data"
    )
