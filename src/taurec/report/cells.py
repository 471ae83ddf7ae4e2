"""Cells and headings as text, the same in a terminal and on a page."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from taurec.studies.result import Cell, Column, Value
from taurec.studies.words import number, seconds

ARROWS = {"": "", "higher": " ↑", "lower": " ↓"}


def heading(column: Column, arrow: bool = True) -> str:
    """A column's name, its unit, and an arrow to where its numbers are better.

    >>> heading(Column("radius", "nats", "lower")), heading(Column("fit", "s"))
    ('radius (nats) ↓', 'fit')
    """
    unit = f" ({column.unit})" if column.unit and column.unit != "s" else ""
    return f"{column.name}{unit}{ARROWS[column.better] if arrow else ''}"


def text(value: Cell, column: Column, interval: bool = True) -> str:
    """A cell as text.

    Args:
        value: what it holds.
        column: how its numbers are shown.
        interval: whether a :class:`taurec.studies.result.Value` shows half the width of its interval.

    >>> text(0.12345, Column("ndcg")), text(0.5, Column("share", spec=".0%")), text(75.0, Column("fit", "s"))
    ('0.1235', '50%', '1:15 min')
    >>> text(Value(0.12, 0.115, 0.125), Column("ndcg"))
    '0.1200 ±.0050'
    """
    if isinstance(value, Value):
        mean, low, high = value.mean, value.low, value.high
        if not interval or low is None or high is None:
            return formatted(mean, column) if column.spec else number(mean)
        half = formatted((high - low) / 2, column).lstrip("+") if column.spec else number((high - low) / 2)
        return f"{text(value, column, interval=False)} ±{half.removeprefix('0')}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return formatted(value, column)
    return cell(value)


TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of writing."""


def visible(given: str) -> str:
    r"""A text with every control character, and every one of :data:`TURNS`, as an escape.

    An id of a log could otherwise change the colours or the title of a terminal, or hide what follows.

    >>> print(visible(chr(27) + "[31mred " + chr(0x202E) + "back"))
    \x1b[31mred \u202eback
    """
    hidden = (c not in "\n\t" and (unicodedata.category(c) == "Cc" or c in TURNS) for c in given)
    return "".join(c.encode("unicode_escape").decode() if hide else c for c, hide in zip(given, hidden, strict=True))


def formatted(value: float, column: Column) -> str:
    """A number by the unit and the format of its column."""
    if isinstance(value, float) and math.isnan(value):
        return "-"
    if column.unit == "s" and not column.spec:
        return seconds(value)
    return format(value, column.spec) if column.spec else cell(value)


def cell(value: Any) -> str:
    """A value of a table in four digits.

    >>> [cell(v) for v in (0.12345, 12.345, 12345.6, 0.0000123, 1200, float("nan"), None, True, "a")]
    ['0.1235', '12.35', '12,346', '1.23e-05', '1,200', '-', '', 'yes', 'a']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        size = abs(value)
        if not math.isfinite(value):
            return "-" if math.isnan(value) else str(value)
        if size >= 1000:
            return f"{value:,.0f}"
        if 0 < size < 0.0005:
            return f"{value:.3g}"
        return f"{value:.2f}" if size >= 10 else f"{value:.4f}"
    return str(value)


_NUMBER = r"[-+−±<>≤≥~ ]*\.?\d[\d.,:]*(e[-+]?\d+)?( ?[%a-zA-Zµ]{1,3})?"
_NUMBER_TEXT = re.compile(rf"{_NUMBER}(( to | ?± ?){_NUMBER})?( \({_NUMBER} to {_NUMBER}\))?")


def numeric(value: Any) -> bool:
    """Whether a cell holds a number, or the text of one, with a short unit or an interval.

    >>> [numeric(v) for v in (3, "0.12 ±.01", "3 s", "0.1 to 0.2", "-", "3 of 4 rows", "ease")]
    [True, True, True, True, True, False, False]
    """
    if isinstance(value, str):
        return _NUMBER_TEXT.fullmatch(value) is not None or value in ("", "-")
    return isinstance(value, int | float | Value) and not isinstance(value, bool)


def all_numeric(values: list[Any]) -> bool:
    """Whether a column has numbers and nothing else; empty cells do not count."""
    there = [value for value in values if value is not None]
    return bool(there) and all(numeric(value) for value in there)
