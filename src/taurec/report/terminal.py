"""A result in a terminal: its tables, fitted to the width, and its verdict."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table as RichTable

from taurec.report.cells import all_numeric, heading, text
from taurec.report.tables import table
from taurec.studies.result import Result, Table


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
    made = _drawn(given, set(), arrow=True)
    gone: set[str] = set()
    for step in [(), *given.narrow]:
        if _natural_width(made) <= width:
            break
        gone |= set(step)
        made = _drawn(given, gone, arrow=False)
    return made


def _drawn(given: Table, gone: set[str], arrow: bool) -> RichTable:
    kept = [(n, column) for n, column in enumerate(given.heads) if column.name not in gone]
    heads = [heading(column, arrow) for _, column in kept]
    numbers = [head for head, (n, _) in zip(heads, kept, strict=True) if all_numeric([row[n] for row in given.rows])]
    rows = [[text(row[n], column, interval=f"± {column.name}" not in gone) for n, column in kept] for row in given.rows]
    whole = [head for head, (_, column) in zip(heads, kept, strict=True) if column.whole]
    return table(heads, rows, title=given.title, right=numbers, whole=whole, strong=given.strong)


def _natural_width(made: RichTable) -> int:
    wide = Console(width=1000)
    return made.__rich_measure__(wide, wide.options).maximum
