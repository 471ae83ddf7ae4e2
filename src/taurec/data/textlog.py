"""A text file to rows: header, then block after block, fast where regular, with every fault located."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from taurec.data.assemble import Assembler
from taurec.data.blocks import split_fast, split_lists, split_slow
from taurec.data.columns import Columns, Wanted, by_position, choose
from taurec.data.faults import LISTED, Faults
from taurec.data.formats import FORMATS, SEPARATOR_NAMES, Format, likely_separator
from taurec.data.lines import Source
from taurec.data.records import Record, records
from taurec.data.values import faulty, numbers, seconds, time_kind
from taurec.errors import DataError, UsageError

HEAD = 1 << 20


@dataclass(frozen=True)
class Layout:
    """The columns of a text file.

    Attributes:
        names: all columns in order.
        columns: those that are read.
        headed: line 1 is a header, so a row equal to it is a second one.
    """

    names: tuple[str, ...]
    columns: Columns
    headed: bool

    @property
    def positions(self) -> dict[str, int]:
        """role -> position of its column."""
        return {role: self.names.index(name) for role, name in self.columns.roles().items()}


def read_text(
    name: str, form: Format, wanted: Wanted, encoding: str, no_header: bool, into: Assembler
) -> tuple[Layout | None, list[str]]:
    """Read a text file into an assembler.

    Returns: the layout (None for lists) and remarks.
    Raises: DataError listing the faulty rows; nothing of a faulty file is used.
    """
    source, faults = Source(name, encoding, form.quotes), Faults(name)
    layout: Layout | None = None
    kind = ""
    for first, block in source.blocks():
        if form.lists:
            _add_lists(name, block, first, wanted, into)
            continue
        if layout is None:
            layout, size, lines = _layout(name, block, first, form, wanted, no_header)
            first, block = first + lines, block[size:]
        positions = layout.positions
        places = sorted(set(positions.values()))
        frame = split_fast(block, form, len(layout.names), places)
        if frame is None:
            frame = split_slow(block, first, form, layout.names, places, faults, not source.ended)
        cells = frame.select(pl.col(str(at)).alias(role) for role, at in positions.items())
        if not kind and "time" in cells.columns and cells.height:
            kind = time_kind(cells["time"])
        parsed = parse(cells, kind)
        _check(cells, parsed, layout, kind, block, first, form, faults)
        if not faults.count:
            into.add(cells, parsed)
    faults.stop()
    return layout, [] if source.ended else [f"{name} does not end with a line end; the last row was read as it stands"]


def parse(cells: pl.DataFrame, kind: str) -> dict[str, pl.Series]:
    """The cells of times, ratings and weights as Float64, null where they are none."""
    parsed: dict[str, pl.Series] = {r: numbers(cells[r]) for r in cells.columns if r in ("rating", "weight")}
    if "time" in cells.columns:
        parsed["time"] = seconds(cells["time"], kind)
    return parsed


def _layout(
    name: str, block: bytes, first: int, form: Format, wanted: Wanted, no_header: bool
) -> tuple[Layout, int, int]:
    """The layout a file's first record shows, and the bytes and lines its header takes."""
    head = block[:HEAD].decode(errors="ignore")
    record = next(records(head, first, form), None)
    if record is None:
        raise DataError(f"{name}: only blank lines, 0 interactions")
    if record.fault:
        faults = Faults(name)
        faults.add(*record.fault)
        faults.stop()
    names = tuple(record.fields)
    where = f"{name}:{record.places[0][0]}:1"
    if len(names) == 1:
        _one_column(names[0], where, form)
    if form.columns:
        return Layout(form.columns, choose(form.columns, wanted, where), False), 0, 0
    if no_header:
        numbered, columns = by_position(len(names), wanted, where)
        return Layout(tuple(numbered), columns, False), 0, 0
    columns = choose(names, wanted, where, form.typed)
    size = len(head[: record.end].encode())
    return Layout(names, columns, True), size, block.count(b"\n", 0, size)


def _one_column(line: str, where: str, form: Format) -> None:
    found = likely_separator(line, form.separator)
    expected = SEPARATOR_NAMES[form.separator]
    if found is None:
        raise DataError(f"{where}: one column only: {line[:40]!r}; expected user and item separated by a {expected}")
    named = next((f.name for f in FORMATS.values() if f.separator == found), None)
    advice = f"say format= (--format) {named}, or rename the file" if named else "convert the file to csv"
    raise DataError(
        f"{where}: wrong separator: expected a {expected}, the separator seems to be a {SEPARATOR_NAMES[found]} "
        f"({found!r}) in {line[:40]!r}; {advice}"
    )


def _add_lists(name: str, block: bytes, first: int, wanted: Wanted, into: Assembler) -> None:
    if wanted != Wanted():
        raise UsageError(f"{name}: lists of items have no columns; leave user=, item=, time=, rating=, weight= out")
    if first == 1:
        line = next((x for x in block[:HEAD].decode(errors="ignore").split("\n") if x.strip()), "")
        if not set(" \t") & set(line.strip()) and (found := likely_separator(line, " ")):
            raise DataError(
                f"{name}:1:1: wrong separator: lists are 'user item item ...' separated by blanks, the separator seems "
                f"to be a {SEPARATOR_NAMES[found]} in {line[:40]!r}; say format= (--format)"
            )
    pairs, users = split_lists(block)
    into.users.add(users)
    into.add(pairs, {})


def _check(
    cells: pl.DataFrame,
    parsed: dict[str, pl.Series],
    layout: Layout,
    kind: str,
    block: bytes,
    first: int,
    form: Format,
    faults: Faults,
) -> None:
    """Find the rows whose values are no good; the first are located, all are counted."""
    names = layout.columns.roles()
    seen = pl.repeat(False, cells.height, eager=True)
    told: list[tuple[int, str, str]] = []
    count = 0
    for role, mask, problem in faulty(cells, parsed, names if layout.headed else {}, kind):
        new = mask & ~seen
        if not (here := int(new.sum())):
            continue
        seen |= new
        count += here
        told += [(row, role, problem) for row in new.arg_true().head(LISTED).to_list()]
    if not count:
        return
    told = sorted(told)[:LISTED]
    found = dict(_locate(block, first, form, len(layout.names), {row for row, _, _ in told}))
    for row, role, problem in told:
        at = layout.positions[role]
        line, column = found[row].places[at]
        value = cells[role][row][:40]
        faults.add(line, column, f"column {names[role]!r}: {problem}; found {value!r}")
    faults.more(count - len(told))


def _locate(block: bytes, first: int, form: Format, width: int, rows: set[int]) -> Iterator[tuple[int, Record]]:
    """The records of these rows, counted over the rows of the right width."""
    at, last = -1, max(rows)
    for record in records(block.decode(), first, form):
        at += len(record.fields) == width
        if at in rows and len(record.fields) == width:
            yield at, record
        if at >= last:
            return
