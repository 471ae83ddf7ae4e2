"""Tables for a terminal: plain columns, numbers to the right, readable at 80 characters and in a log file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from taurec.studies.words import interval, number


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
    for n, row in enumerate(rows):
        cells = [Text("" if cell is None else str(cell)) for cell in row]
        made.add_row(*cells, style="bold" if n in bold else None)
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


def metric_table(intervals: Mapping[str, Any], title: str) -> Table:
    """Metrics with their 95 % intervals, one per line; values have ``mean``, ``low`` and ``high``."""
    rows = [(name, number(v.mean), interval(v.low, v.high)) for name, v in intervals.items()]
    return table(["metric", "value", "95 % interval"], rows, title=title, right=["value"])
