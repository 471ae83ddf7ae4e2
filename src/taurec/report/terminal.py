"""A terminal: its console, results as plain columns fitted to the width, readable in a log file too, and verdicts."""

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
    """A console that raises BrokenPipeError when the reader is gone, and prints no control characters of a log."""

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
            yield fitted(one, width)
            if one.note:
                yield one.note
            yield ""
    yield from result.verdict()


def fitted(given: Table, width: int = 80) -> RichTable:
    """A table that fits the width, if leaving out what it declares as ``narrow`` can make it fit.

    The arrows of the headings go first.
    """
    wide = Console(width=1000)
    made = _drawn(given, set(), arrow=True)
    gone: set[str] = set()
    for step in [(), *given.narrow]:
        if made.__rich_measure__(wide, wide.options).maximum <= width:
            break
        gone |= set(step)
        made = _drawn(given, gone, arrow=False)
    return made


def _drawn(given: Table, gone: Collection[str], arrow: bool) -> RichTable:
    made = _empty(given.title, box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", padding=(0, 1))
    made.min_width = min(len(given.title), 78) or None
    kept = [(n, column) for n, column in enumerate(given.heads) if column.name not in gone]
    for n, column in kept:
        numbers = all_numeric([row[n] for row in given.rows])
        made.add_column(
            heading(column, arrow),
            justify="right" if numbers else "left",
            no_wrap=numbers or column.whole,
            overflow="fold",
            style="dim" if column.dim else None,
        )
    for n, row in enumerate(given.rows):
        cells = [Text(visible(text(row[k], column, interval=f"± {column.name}" not in gone))) for k, column in kept]
        made.add_row(*cells, style="bold" if n in given.strong else None)
    return made


def pairs(rows: Iterable[tuple[str, Any]], title: str = "") -> RichTable:
    """Names and values, one pair a line."""
    made = _empty(title, box=None, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(visible(name)), Text(visible(str(value))))
    return made


def _empty(title: str, **frame: Any) -> RichTable:
    shown = Text(visible(title), style="bold") if title else None
    return RichTable(title=shown, title_justify="left", pad_edge=False, **frame)
