"""The door for data: any log a user may have, to interactions, with an account of every row."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from typing import Any

from taurec.data import frames, textlog
from taurec.data.assemble import Assembler, ReadReport
from taurec.data.columns import Columns, Wanted
from taurec.data.formats import format_of
from taurec.data.interactions import Interactions
from taurec.data.lines import regular_file
from taurec.data.lookalikes import lookalikes
from taurec.data.parts import align, disjoint, parts_of
from taurec.errors import DataError, UsageError

__all__ = ["ReadReport", "read_interactions", "read_log", "read_split"]

OnNote = Callable[[str], None]


def read_interactions(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    format: str | None = None,
    min_rating: float | None = None,
    rating: str | None = None,
    encoding: str = "utf-8",
    no_header: bool = False,
    on_note: OnNote | None = None,
) -> Interactions:
    """The log in a file or a frame.

    Ids are strings, exactly as written. Every row is a positive, unless ``min_rating`` says
    otherwise. Rows that repeat a pair are merged: the earliest time, the sum of the weights.

    Args:
        source: a path to CSV, TSV, Parquet, RecBole ``.inter``, LightGCN lists (``train.txt``),
            MovieLens ``u.data`` or ``ratings.dat``, each text also as ``.gz``; ``-`` for standard
            input; a pandas or polars frame; a scipy sparse matrix.
        user, item: column names; guessed by their usual names where not given. Without a header,
            columns are called 1, 2, ...
        time: column of seconds since 1970 or ISO dates; ``"none"`` reads none.
        weight: column of positive weights; never guessed.
        format: one of ``formats.FORMATS``; by default what the file name says.
        min_rating: rows rated lower are rejected and counted.
        rating: column of ratings; ``"none"`` ignores one that is there.
        encoding: of a text file.
        no_header: line 1 is data.
        on_note: called with each remark, such as the columns that were guessed.
    Raises: DataError for anything that cannot be read as interactions, with
        ``FILE:LINE:COLUMN`` of up to 20 faults; UsageError for contradicting arguments.

    >>> import polars as pl
    >>> log = read_interactions(pl.DataFrame({"user": ["ann", "bob"], "item": ["0012", "12"]}))
    >>> log.items.ids.to_list()
    ['0012', '12']
    """
    log, report = read_log(
        source, user=user, item=item, time=time, weight=weight, format=format, min_rating=min_rating,
        rating=rating, encoding=encoding, no_header=no_header,
    )  # fmt: skip
    if on_note is not None:
        for note in report.notes:
            on_note(note)
    return log


def read_log(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    format: str | None = None,
    min_rating: float | None = None,
    rating: str | None = None,
    encoding: str = "utf-8",
    no_header: bool = False,
) -> tuple[Interactions, ReadReport]:
    """As :func:`read_interactions`, with the account of the rows.

    >>> import polars as pl
    >>> log, report = read_log(pl.DataFrame({"user": ["a", "b", "a"], "item": ["x", "y", "x"]}))
    >>> report.rows, report.kept, report.merged
    (3, 2, 1)
    """
    wanted = Wanted(user, item, time, rating, weight, min_rating)
    log, report = _read(source, wanted, format, encoding, no_header)
    _rankable(log, report.source)
    return log, report


def read_pairs(source: Any) -> Interactions:
    """Pairs that are no log to rank, such as given negatives, by :func:`read_interactions`; one item is enough.

    Times and weights are not read.

    >>> import polars as pl
    >>> len(read_pairs(pl.DataFrame({"user": ["ann", "bob"], "item": ["x", "x"]})))
    2
    """
    return _read(source, Wanted(None, None, "none", None, None, None), None, "utf-8", False)[0]


def read_split(
    train: Any, test: Any = None, *, unknown: str = "error", on_note: OnNote | None = None, **reading: Any
) -> tuple[Interactions, Interactions]:
    """A log that comes in two given parts; both share the vocabularies of the training part.

    Args:
        train: a folder with ``train.*`` and ``test.*``, or the training part as :func:`read_interactions` takes it.
        test: the test part, where ``train`` is no folder.
        unknown: what to do with test rows whose user or item has no training row: ``error``,
            ``skip`` them, or ``keep`` them as users and items without training rows.
        reading: the other arguments of :func:`read_interactions`.
    Raises: DataError where a pair stands in both parts, or for unknown ids; with the count and the first 5.
    """
    if unknown not in ("error", "skip", "keep"):
        raise UsageError(f"unknown={unknown!r}: accepted are error, skip, keep")
    if test is None:
        train, test = parts_of(train)
    wanted = Wanted(*(reading.pop(k, None) for k in ("user", "item", "time", "rating", "weight", "min_rating")))
    how = (reading.pop("format", None), reading.pop("encoding", "utf-8"), reading.pop("no_header", False))
    if reading:
        raise TypeError(f"read_split() got unexpected arguments {', '.join(reading)}")
    first, report = _read(train, wanted, *how)
    second, test_report = _read(test, wanted, *how)
    notes = list(report.notes + test_report.notes)
    both = align(first, second, test_report.source, unknown, notes)
    disjoint(*both, report.source, test_report.source)
    _rankable(both[0], report.source)
    if on_note is not None:
        for note in notes:
            on_note(note)
    return both


def _rankable(log: Interactions, name: str) -> None:
    if log.n_items == 1:
        raise DataError(f"{name}: one item only ({log.items.ids[0]!r}); there is nothing to rank")


def _read(
    source: Any, wanted: Wanted, format: str | None, encoding: str, no_header: bool
) -> tuple[Interactions, ReadReport]:
    into = Assembler(wanted.min_rating)
    name, kind, columns, notes = _rows(source, wanted, format, encoding, no_header, into)
    rows, below = into.rows, into.below
    if rows == below:
        why = f": all {rows} rows are rated below {wanted.min_rating:g}" if rows else "; there is no row of data"
        raise DataError(f"{name}: 0 interactions{why}")
    log = into.log()
    roles = columns.roles() if columns else {}
    notes = [*_column_notes(roles, wanted), *notes, *_log_notes(log, rows, below, wanted)]
    return log, ReadReport(name, kind, roles, rows, len(log), log.merged, log.exact, below, tuple(notes))


def _rows(
    source: Any, wanted: Wanted, format: str | None, encoding: str, no_header: bool, into: Assembler
) -> tuple[str, str, Columns | None, list[str]]:
    """Bring the rows of any source into an assembler: its name, its kind, the columns read, remarks."""
    if kind := frames.kind_of(source):
        if format is not None or no_header:
            raise UsageError(f"format= and no_header= are for files; got a {kind}")
        read = frames.read_matrix if kind == "scipy matrix" else frames.read_frame
        return kind, kind, read(source, kind, wanted, into), []
    if not isinstance(source, str | PathLike):
        accepted = "a path, a pandas or polars frame or a scipy sparse matrix"
        raise UsageError(f"a log is {accepted}; got {type(source).__name__}")
    name = fspath(source)
    if name == "-" and format is None:
        raise UsageError("standard input has no name to tell the format; say format= (--format)")
    if name != "-":
        regular_file(name)
    form = format_of(name, format)
    if form.name != "parquet":
        layout, notes = textlog.read_text(name, form, wanted, encoding, no_header, into)
        return name, form.name, layout.columns if layout else None, notes
    if no_header or encoding != "utf-8":
        raise UsageError(f"{name}: no_header= and encoding= are for text files; this is Parquet")
    return name, form.name, frames.read_parquet(name, wanted, into), []


def _column_notes(roles: dict[str, str], wanted: Wanted) -> list[str]:
    if not roles:
        return []
    notes = []
    guessed = [role for role in roles if getattr(wanted, role) is None]
    used = ", ".join(f"{role} = {column!r}" for role, column in roles.items() if role != "rating")
    notes.append(f"columns: {used}" + (f" (guessed: {', '.join(guessed)})" if guessed else ""))
    elsewhere = [column for role, column in roles.items() if role != "rating"]
    if "rating" in roles and wanted.min_rating is None and roles["rating"] not in elsewhere:
        otherwise = "every row is a positive; min_rating= (--min-rating) says otherwise"
        notes.append(f"rating column {roles['rating']!r} not used: {otherwise}")
    return notes


def _log_notes(log: Interactions, rows: int, below: int, wanted: Wanted) -> list[str]:
    notes = []
    if below:
        notes.append(f"{below} of {rows} rows rejected: rated below {wanted.min_rating:g}")
    if log.merged:
        notes.append(
            f"{log.merged} of {rows} rows repeat a pair and were merged (earliest time, sum of weights); "
            f"{log.exact} of them are exact duplicates"
        )
    for what, ids in (("user", log.users.ids), ("item", log.items.ids)):
        for alike in lookalikes(ids):
            shown = ", ".join(map(repr, alike.examples[:2]))
            notes.append(
                f"{alike.count} {what} ids differ from another only by {alike.by} ({shown}); they stay distinct"
            )
    if log.n_users == 1:
        notes.append("one user only: metrics will have no interval")
    return notes
