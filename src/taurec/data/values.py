"""Cells to values: ids, seconds, ratings, weights; each check names the rows that fail it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from taurec.errors import DataError

ISO = (
    r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?(?::\d{2})?)?"
    r"\s*(Z|[+-]\d{2}(?::?\d{2})?)?\s*$"
)
NUMERIC = "numbers of seconds"
DATED = "ISO dates"


def as_text(column: pl.Series, where: str) -> pl.Series:
    """Ids as strings, exactly as they stand; null becomes the empty string.

    Raises: DataError for a floating point or nested column, whose text is not the id meant.
    """
    kind = column.dtype
    if kind.is_float() or kind.is_nested():
        raise DataError(
            f"{where}:{column.name}: ids of type {kind}; ids are strings or integers: 12 would become '12.0'; "
            "cast the column first"
        )
    return column.cast(pl.String).fill_null("")


def numbers(column: pl.Series) -> pl.Series:
    """Float64; null where a cell is not a finite number.

    >>> numbers(pl.Series(["1", " 2.5", "x", "nan"])).to_list()
    [1.0, 2.5, None, None]
    """
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    values = column.cast(pl.Float64, strict=False)
    return values.set(~values.is_finite().fill_null(False), None)


def time_kind(column: pl.Series) -> str:
    """What most of the first cells of a column of times are: numbers of seconds or ISO dates."""
    head = column.head(100)
    if column.dtype.is_temporal():
        return DATED
    return DATED if seconds(head, DATED).count() > numbers(head).count() else NUMERIC


def seconds(column: pl.Series, kind: str) -> pl.Series:
    """Float64 seconds since 1970 (UTC; a date without zone is UTC); null where a cell is not a time of this kind.

    >>> seconds(pl.Series(["1970-01-02", "1970-01-01T00:00:01.5Z", "1970-01-01 01:00+01:00"]), DATED).to_list()
    [86400.0, 1.5, 0.0]
    """
    if column.dtype.is_temporal():
        exact = column.cast(pl.Datetime("us", "UTC" if getattr(column.dtype, "time_zone", None) else None))
        return exact.dt.timestamp("us").cast(pl.Float64) / 1e6
    if kind == NUMERIC:
        return numbers(column)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    part = column.str.extract_groups(ISO).struct.unnest()
    day, clock, fraction, zone = (part[name] for name in part.columns)
    day_s = day.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).cast(pl.Float64) * 86400.0
    hour = clock.str.slice(0, 2).cast(pl.Float64, strict=False)
    minute = clock.str.slice(3, 2).cast(pl.Float64, strict=False)
    second = clock.str.slice(6, 2).cast(pl.Float64, strict=False).fill_null(0.0)
    in_day = (hour < 24) & (minute < 60) & (second < 61)
    clock_s = hour * 3600 + minute * 60 + second + ("0." + fraction).cast(pl.Float64, strict=False).fill_null(0.0)
    clock_s = clock_s.set(~in_day.fill_null(True), None).set(clock.is_null(), 0.0)
    digits = zone.str.replace_all("[^0-9]", "")
    offset = (
        digits.str.slice(0, 2).cast(pl.Float64, strict=False) * 3600
        + digits.str.slice(2, 2).cast(pl.Float64, strict=False).fill_null(0.0) * 60
    ).fill_null(0.0)
    behind = zone.str.starts_with("-").fill_null(False)
    return day_s + clock_s - offset * (1.0 - 2.0 * behind.cast(pl.Float64))


def faulty(frame: pl.DataFrame, parsed: dict[str, pl.Series], header: dict[str, str], kind: str) -> Iterator[
    tuple[str, pl.Series, str]
]:  # fmt: skip
    """(role, mask of bad rows, what is wrong) for each check of a block of rows.

    Args:
        frame: text columns ``user`` and ``item``, and the cells of ``time``, ``rating``, ``weight`` where read.
        parsed: the last three as Float64, null where unreadable.
        header: role -> name of its column where the source has a header line, else empty.
    """
    if header:
        again = (frame["user"] == header["user"]) & (frame["item"] == header["item"])
        yield "user", again, "the header again; remove the line"
    for role in ("user", "item"):
        yield role, frame[role].str.strip_chars() == "", f"empty {role} id; give every row a user and an item"
        yield role, frame[role].str.contains("\n", literal=True), f"line end in the {role} id; is a quote left open?"
    if "time" in parsed:
        yield "time", parsed["time"].is_null(), f"not a time; this column holds {kind}"
    if "rating" in parsed:
        bad = parsed["rating"].is_null() | (parsed["rating"] < 0).fill_null(True)
        yield "rating", bad, "not a rating: a finite number from 0 up; correct it, or rating=none (--rating none)"
    if "weight" in parsed:
        small = parsed["weight"].cast(pl.Float32, strict=False)
        bad = ~(small.is_finite() & (small > 0)).fill_null(False)
        yield "weight", bad, "not a weight: a finite number above 0"
