"""Everything odd about a log that is visible before training, as findings to act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.assemble import ReadReport
from taurec.data.interactions import Interactions
from taurec.data.lookalikes import lookalikes
from taurec.data.statistics import Statistics, statistics

MISSING = ("nan", "na", "n/a", "null", "none", "nil", "undefined", "unknown", "-", "?", "#n/a")
YEAR_2100 = 4_102_444_800.0
YEAR_1990 = 631_152_000.0

Kind = Literal["user", "item"]
Name = Callable[[Kind, str], str]


def _as_it_is(kind: Kind, raw: str) -> str:
    return raw


@dataclass(frozen=True)
class Finding:
    """One remark on a log.

    Attributes:
        level: ``warning`` where results may mislead, ``note`` where it is good to know.
        code: a short stable name, for machines and tests.
        message: what was found, with figures.
    """

    level: Literal["warning", "note"]
    code: str
    message: str


@dataclass(frozen=True)
class CheckResult:
    """The findings of :func:`check`, with statistics of the log."""

    statistics: Statistics
    report: ReadReport | None
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def codes(self) -> list[str]:
        """The codes of the findings, in order."""
        return [finding.code for finding in self.findings]


def check(log: Interactions, report: ReadReport | None = None, name: Name = _as_it_is) -> CheckResult:
    """Statistics of a log and everything odd about it.

    Args:
        report: the account of the rows, where the log was read from a file.
        name: what the messages write for a ``user`` or ``item`` id; the id itself by default.

    >>> log = Interactions.from_pairs([0, 1, 1], [0, 0, 1], time=[7.0, 7.0, 7.0])
    >>> check(log).codes()
    ['single-users', 'single-items', 'full-users', 'time-equal', 'time-early']
    """
    found = [finding for look in _LOOKS for finding in look(log, report, name)]
    return CheckResult(statistics(log), report, tuple(found))


def _rows(log: Interactions, report: ReadReport | None, name: Name) -> Iterator[Finding]:
    if log.merged:
        rows = len(log) + log.merged
        exact = f"; {log.exact} are exact duplicates" if report is not None else ""
        yield Finding(
            "note",
            "duplicates",
            f"{log.merged} of {rows} rows repeat a pair{exact}; merged: earliest time, sum of weights",
        )
    if report is not None and report.below_rating:
        share = report.below_rating / report.rows
        yield Finding("note", "below-rating", f"{report.below_rating} rows ({share:.0%}) lie below the least rating")


def _sizes(log: Interactions, report: ReadReport | None, name: Name) -> Iterator[Finding]:
    if log.n_users == 1:
        yield Finding("warning", "one-user", "one user only: metrics will have no interval")
    if log.n_items == 1:
        yield Finding("warning", "one-item", "one item only: there is nothing to rank")
    if lonely := int((log.user_counts == 1).sum()):
        message = (
            f"{lonely} of {log.n_users} users ({lonely / log.n_users:.0%}) have a single item: nothing to test them on"
        )
        yield Finding("note", "single-users", message)
    if lonely := int((log.item_counts == 1).sum()):
        yield Finding(
            "note", "single-items", f"{lonely} of {log.n_items} items ({lonely / log.n_items:.0%}) have one user"
        )
    if empty := int((log.user_counts == 0).sum()):
        yield Finding("note", "empty-users", f"{empty} users are named without an item")
    if full := int((log.user_counts == log.n_items).sum()) if log.n_items > 1 else 0:
        yield Finding("note", "full-users", f"{full} users have every item: nothing is left to recommend to them")
    heavy = int(log.user_counts.max(initial=0))
    if len(log) >= 1000 and heavy > len(log) / 20 and log.n_users >= 50:
        user = name("user", log.users.decode([int(log.user_counts.argmax())])[0])
        message = f"user {user!r} alone holds {heavy} pairs ({heavy / len(log):.0%}); a program, or a default account?"
        yield Finding("warning", "heavy-user", message)


def _ids(log: Interactions, report: ReadReport | None, name: Name) -> Iterator[Finding]:
    both: tuple[tuple[Kind, pl.Series], ...] = (("user", log.users.ids), ("item", log.items.ids))
    for what, ids in both:
        for alike in lookalikes(ids):
            shown = ", ".join(repr(name(what, example)) for example in alike.examples)
            message = f"{alike.count} {what} ids differ from another only by {alike.by}: {shown}; they stay distinct"
            yield Finding("warning", f"alike-{alike.by.replace(' ', '-')}", message)
        words = ids.filter(ids.str.to_lowercase().is_in(list(MISSING)))
        if len(words):
            shown = ", ".join(repr(name(what, word)) for word in words.to_list())
            message = f"{what} ids that look like a missing value: {shown}"
            yield Finding("warning", "missing-words", message)
        quoted = int((ids.str.starts_with('"') & ids.str.ends_with('"')).sum())
        if quoted:
            message = f"{quoted} {what} ids are in quotes, which are part of them; tab-separated text has no quoting"
            yield Finding("warning", "quoted-ids", message)


def _times(log: Interactions, report: ReadReport | None, name: Name) -> Iterator[Finding]:
    time = log.time
    if time is None or not len(time):
        return
    if time.min() == time.max() and len(time) > 1:
        yield Finding("warning", "time-equal", f"all times are equal ({time[0]:g}); they order nothing")
    if negative := int((time < 0).sum()):
        yield Finding("note", "time-negative", f"{_share(negative, time)} are before 1970")
    if _calendar_numbers(time):
        yield Finding("warning", "time-dates", f"times such as {time[0]:.0f} are dates written as numbers, not seconds")
        return
    late = time > YEAR_2100
    for unit, unit_name in ((1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")):
        of_unit = late & (time / unit >= YEAR_1990) & (time / unit <= YEAR_2100)
        if n := int(of_unit.sum()):
            mixed = "" if n == len(time) else "; the others are seconds: units are mixed"
            message = f"{_share(n, time)} are after the year 2100, and read as {unit_name} in 1990-2100{mixed}"
            yield Finding("warning", f"time-{unit_name}", message)
            late &= ~of_unit
    if n := int(late.sum()):
        yield Finding("warning", "time-late", f"{_share(n, time)} are after the year 2100")
    if n := int(((time >= 0) & (time < YEAR_1990)).sum()):
        yield Finding(
            "note", "time-early", f"{_share(n, time)} are in 1970-1990: steps rather than seconds since 1970?"
        )


def _calendar_numbers(time: NDArray[np.float64]) -> bool:
    """Whether all times read as YYYYMMDD."""
    whole = time == np.floor(time)
    year, month, day = time // 10_000, time // 100 % 100, time % 100
    ok = whole & (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(ok.all())


def _bursts(log: Interactions, report: ReadReport | None, name: Name) -> Iterator[Finding]:
    if log.time is None or len(log) < 2 or log.time.min() == log.time.max():
        return
    moment = pl.DataFrame({"user": log.user_of, "time": log.time}).group_by("user", "time").len()
    bursts = moment.filter(pl.col("len") >= 20)
    if bursts.height:
        rows = int(bursts["len"].sum())
        share = f"{rows} pairs ({rows / len(log):.0%})"
        message = f"{share} come in {bursts.height} bursts of 20 or more by one user at one instant"
        yield Finding("note", "bursts", message)


def _share(n: int, time: NDArray[np.float64]) -> str:
    return f"{n} of {len(time)} times ({n / len(time):.0%})"


_LOOKS: tuple[Callable[[Interactions, ReadReport | None, Name], Iterator[Finding]], ...] = (
    _rows,
    _sizes,
    _ids,
    _times,
    _bursts,
)
