"""Output on a terminal: its console, and results as plain columns that fit the width and are readable in a log file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import IO, Any, NoReturn

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from taurec.report.cells import all_numeric, heading, text, visible
from taurec.studies.result import Result, Table


class _Console(Console):
    """A console that raises BrokenPipeError when its output is closed, and prints no control characters of a log."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(visible(o) if isinstance(o, str) else o for o in objects), **how)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console(stream: IO[str]) -> Console:
    """A console on a stream: no highlighting, colours on a terminal only and never with ``NO_COLOR``."""
    return _Console(file=stream, highlight=False)


def parts(result: Result, width: int = 80) -> Iterator[RenderableType]:
    """The tables, then the verdict, with an empty line after each table."""
    for one in result.tables():
        if not one.folded:
            yield fit_to_width(one, width)
            if one.note:
                yield one.note
            yield ""
    yield from result.verdict()


def fit_to_width(table: Table, width: int = 80) -> RichTable:
    """A table for the terminal; if it is too wide, it leaves out what it declares as ``narrow``, step by step.

    The arrows of the headings are left out first.
    """
    wide = Console(width=1000)
    made = _rich_table(table, set(), arrow=True)
    hidden: set[str] = set()
    for step in [(), *table.narrow]:
        if made.__rich_measure__(wide, wide.options).maximum <= width:
            break
        hidden |= set(step)
        made = _rich_table(table, hidden, arrow=False)
    return made


def _rich_table(table: Table, hidden: Collection[str], arrow: bool) -> RichTable:
    made = _empty(table.title, box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", padding=(0, 1))
    made.min_width = min(len(table.title), 78) or None
    kept = [(n, column) for n, column in enumerate(table.heads) if column.name not in hidden]
    for n, column in kept:
        numbers = all_numeric([row[n] for row in table.rows])
        made.add_column(
            heading(column, arrow),
            justify="right" if numbers else "left",
            no_wrap=numbers or column.whole,
            overflow="fold",
            style="dim" if column.dim else None,
        )
    for n, row in enumerate(table.rows):
        cells = [Text(visible(text(row[k], column, interval=f"± {column.name}" not in hidden))) for k, column in kept]
        made.add_row(*cells, style="bold" if n in table.strong else None)
    return made


def pairs(rows: Iterable[tuple[str, Any]], title: str = "") -> RichTable:
    """A table of names and values, one pair per line."""
    made = _empty(title, box=None, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(visible(name)), Text(visible(str(value))))
    return made


def _empty(title: str, **frame: Any) -> RichTable:
    shown = Text(visible(title), style="bold") if title else None
    return RichTable(title=shown, title_justify="left", pad_edge=False, **frame)
