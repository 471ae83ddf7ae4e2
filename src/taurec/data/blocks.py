"""The fast pass: a block of regular text to columns of strings, by polars, once its shape is proved.

Readers of CSV pad short rows, cut long ones and accept files that end in mid-row. So before any is
asked to read, every record of the block is shown to have the same number of fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.faults import Faults
from taurec.data.formats import Format
from taurec.data.lines import FIELD_LIMIT, inside_quotes
from taurec.data.records import records

UNIT = b"\x1f"


def regular(block: bytes, separator: int, width: int, quotes: bool) -> bool:
    r"""Whether every line of a block has ``width`` fields, none above 1 MiB, with quotes where RFC 4180 puts them.

    >>> regular(b"a,b\nc,d\n", ord(","), 2, False), regular(b"a,b\nc\n", ord(","), 2, False)
    (True, False)
    """
    raw = np.frombuffer(block, dtype=np.uint8)
    mark = (raw == separator) | (raw == 10)
    if quotes:
        inside = inside_quotes(raw)
        mark &= ~inside
        if inside[-1] or not _quotes_at_borders(raw, mark, inside):
            return False
    at = np.flatnonzero(mark)
    if len(at) % width or (len(at) and np.diff(at, prepend=-1).max() > FIELD_LIMIT):
        return False
    ends = (raw[at] == 10).reshape(-1, width)
    return bool(ends[:, -1].all() and not ends[:, :-1].any())


def _quotes_at_borders(raw: NDArray[np.uint8], mark: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Whether each quote opens behind a border, closes before one, or is one of a doubled pair."""
    at = np.flatnonzero(raw == 34)
    opens = inside[at]
    before, after = at[opens] - 1, at[~opens] + 1
    good_open = (before < 0) | mark[before] | (raw[before] == 34)
    good_close = mark[after] | (raw[after] == 34)
    return bool(good_open.all() and good_close.all())


def split_fast(block: bytes, form: Format, width: int, wanted: Sequence[int]) -> pl.DataFrame | None:
    """The wanted columns of a block as strings, None where the block is not regular.

    Args:
        width: fields in each record.
        wanted: positions of columns, ascending and distinct.
    """
    separator = form.separator.encode()
    if len(separator) > 1:
        if UNIT in block:
            return None
        block, separator = block.replace(separator, UNIT), UNIT
    quotes = form.quotes and b'"' in block
    if block.startswith(b"\n") or b"\n\n" in block:
        if quotes:
            return None
        block = re.sub(rb"\n{2,}", b"\n", block.lstrip(b"\n"))
    if not block:
        return pl.DataFrame({str(i): pl.Series([], dtype=pl.String) for i in wanted})
    if not regular(block, separator[0], width, quotes):
        return None
    frame = pl.read_csv(
        block,
        has_header=False,
        separator=separator.decode(),
        quote_char='"' if quotes else None,
        infer_schema=False,
        columns=list(wanted),
    )
    if not quotes and frame.height != block.count(b"\n"):
        return None
    return frame.select(pl.all().fill_null("")).rename(dict(zip(frame.columns, map(str, wanted), strict=True)))


def split_slow(
    block: bytes, first: int, form: Format, names: Sequence[str], wanted: Sequence[int], faults: Faults, cut: bool
) -> pl.DataFrame:
    """As :func:`split_fast` for any block: rows of another width, and broken quotes, become faults.

    Args:
        cut: the block's last line had no line end in the file.
    """
    width = len(names)
    columns: list[list[str]] = [[] for _ in wanted]
    text = block.decode()
    for record in records(text, first, form):
        if record.fault:
            faults.add(*record.fault)
            faults.stop()
        found, (line, column) = len(record.fields), record.places[-1]
        if found < width:
            torn = "; the file ends in the middle of this row" if cut and record.end >= len(text) else ""
            column += len(record.fields[-1])
            faults.add(line, column, f"row too short: expected {width} fields, found {found}{torn}; {_advice(names)}")
        elif found > width:
            line, column = record.places[width]
            extra = record.fields[width][:40]
            faults.add(
                line, column, f"row too long: expected {width} fields, found {found}; the extra one is {extra!r}"
            )
        elif (longest := max(map(len, record.fields))) > FIELD_LIMIT:
            faults.add(line, 1, f"a field of {longest:,} characters; the limit is {FIELD_LIMIT:,}")
        else:
            for values, i in zip(columns, wanted, strict=True):
                values.append(record.fields[i])
    return pl.DataFrame({str(i): pl.Series(v, dtype=pl.String) for i, v in zip(wanted, columns, strict=True)})


def _advice(names: Sequence[str]) -> str:
    return f"a row has {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"


def split_lists(block: bytes) -> tuple[pl.DataFrame, pl.Series]:
    """Lines ``user item item ...``: the pairs, and every user named, also one without items."""
    lines = pl.Series("line", block.decode().replace("\t", " ").split("\n"), dtype=pl.String).str.strip_chars()
    words = lines.filter(lines != "").str.replace_all(r" {2,}", " ").str.split(" ")
    frame = pl.DataFrame({"user": words.list.first(), "item": words.list.slice(1)})
    users = frame["user"]
    return frame.filter(pl.col("item").list.len() > 0).explode("item"), users
