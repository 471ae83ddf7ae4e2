"""Tables for a terminal: plain columns, numbers to the right, readable at 80 characters and in a log file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Iterable[str] = (),
    whole: Iterable[str] = (),
    dim: Iterable[str] = (),
    strong: Iterable[int] = (),
) -> Table:
    """A table without frames.

    Args:
        columns: headings; an empty heading is allowed.
        rows: cells, made into text by ``str``; None is an empty cell.
        right: columns set to the right, for numbers.
        whole: columns that are never broken, whatever the width.
        dim: columns of lesser importance.
        strong: numbers of rows to set in bold.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        padding=(0, 1),
        min_width=min(len(title), 78) or None,
    )
    to_right, unbroken, lesser, bold = set(right), set(whole) | set(right), set(dim), set(strong)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in to_right else "left",
            no_wrap=name in unbroken,
            overflow="fold",
            style="dim" if name in lesser else None,
        )
    for number, row in enumerate(rows):
        cells = [Text("" if cell is None else str(cell)) for cell in row]
        made.add_row(*cells, style="bold" if number in bold else None)
    return made


def pairs(rows: Iterable[tuple[str, Any]], title: str = "") -> Table:
    """Names and values, one pair a line."""
    made = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        title=Text(title, style="bold") if title else None,
        title_justify="left",
    )
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name), Text(str(value)))
    return made


def number(value: float, digits: int = 4) -> str:
    """A metric's value; a dash where there is none.

    >>> number(0.12345), number(float("nan"))
    ('0.1235', '-')
    """
    return f"{value:.{digits}f}" if value == value else "-"


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """Bounds; a dash where there are none.

    >>> interval(0.1, 0.2)
    '0.1000 to 0.2000'
    """
    return "-" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def plus_minus(mean: float, low: float | None, high: float | None) -> str:
    """A mean with half the width of its interval, for tables with many columns.

    >>> plus_minus(0.12, 0.115, 0.125)
    '0.1200 ±.0050'
    """
    if low is None or high is None:
        return number(mean)
    half = f"{(high - low) / 2:.4f}"
    return f"{number(mean)} ±{half.removeprefix('0')}"


def seconds(value: float) -> str:
    """A duration.

    >>> seconds(0.0123), seconds(9.87), seconds(75), seconds(3700)
    ('12 ms', '9.9 s', '1:15 min', '1:01:40 h')
    """
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    hours, rest = divmod(whole, 3600)
    if not hours:
        return f"{rest // 60}:{rest % 60:02d} min"
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d} h"


def count(n: int, noun: str) -> str:
    """A number with what is counted.

    >>> count(1, "user"), count(1200, "user")
    ('1 user', '1,200 users')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def rate(per_second: float) -> str:
    """Rows a second in three digits.

    >>> rate(1234567.0), rate(45600.0), rate(321.0)
    ('1.23M', '45.6k', '321')
    """
    if per_second >= 1e6:
        return f"{per_second / 1e6:.3g}M"
    if per_second >= 1e3:
        return f"{per_second / 1e3:.3g}k"
    return f"{per_second:.3g}"


def metric_table(intervals: Mapping[str, Any], title: str) -> Table:
    """Metrics with their 95 % intervals, one a line; values have ``mean``, ``low`` and ``high``."""
    rows = [(name, number(v.mean), interval(v.low, v.high)) for name, v in intervals.items()]
    return table(["metric", "value", "95 % interval"], rows, title=title, right=["value"])
