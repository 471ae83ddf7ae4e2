"""The page of a result: the verdict on top, its parts by section, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taurec.report import page as p
from taurec.report.cells import all_numeric, formatted, heading, text
from taurec.report.people import some_people
from taurec.report.plots import draw
from taurec.report.tryit import try_it, without_form
from taurec.studies.names import NOTE, Hashed, Names
from taurec.studies.result import Cell, Column, Figure, Part, Result, ShownModels, Table, Value
from taurec.studies.words import interval

SECTION = "Results"
"""The heading of parts that name none."""


def result_page(
    result: Result, command: str = "", facts: Mapping[str, Any] | None = None, names: Names | None = None
) -> p.Page:
    """The page of a result.

    Args:
        result: what is shown.
        command: what a reader types to repeat it.
        facts: of the machine, as :func:`taurec.provenance.facts` gives them.
        names: what to write for ids; hashes of them add a note.
    """
    shown = names or Names()
    sections: dict[str, list[p.Block]] = {}
    for part in result.parts():
        sections.setdefault(part.section or SECTION, []).append(_block(part))
    hashed = isinstance(shown, Hashed)
    note = [p.Prose(NOTE)] if hashed else []
    models = result.rankers()
    if models is not None and models.rankers:
        sections.update(_models(models, shown, note))
    elif hashed:
        sections["Hashed ids"] = list[p.Block](note)
    commands = [p.Prose("\n\n".join(result.commands()))] if result.commands() else []
    if commands:
        sections["Next"] = list[p.Block](commands)
    return p.Page(
        result.title(),
        "\n\n".join(result.verdict()),
        [p.Section(title, blocks) for title, blocks in sections.items()],
        command,
        facts or {},
        result.settings(),
    )


def _block(part: Part) -> p.Block:
    if isinstance(part, Figure):
        return p.Figure(draw(part), part.caption, part.alt)
    if isinstance(part, Table):
        made = _table(part)
        return p.Details(part.title, [made]) if part.folded else made
    return p.Prose(part.text)


def _table(given: Table) -> p.Table:
    """With the interval of a column in a column after it."""
    heads: list[str] = []
    cells: list[list[Cell]] = [[] for _ in given.rows]
    for n, column in enumerate(given.heads):
        values = [row[n] for row in given.rows]
        bounds = [(v.low, v.high) if isinstance(v, Value) else (None, None) for v in values]
        with_bounds = any(low is not None for low, _ in bounds)
        heads += [heading(column), *(["95 %"] if with_bounds else [])]
        numbers = all_numeric(values)
        for row, value, (low, high) in zip(cells, values, bounds, strict=True):
            row.append(_cell(value, column, numbers))
            if with_bounds:
                row.append(_bounds(low, high, column))
    caption = given.note if given.folded else ". ".join(filter(None, [given.title.rstrip("."), given.note]))
    return p.Table(heads, cells, caption, given.strong)


def _bounds(low: float | None, high: float | None, column: Column) -> str:
    if low is None or high is None or not column.spec:
        return interval(low, high)
    return f"{formatted(low, column)} to {formatted(high, column)}"


def _cell(value: Cell, column: Column, number: bool) -> Cell:
    """A number stays one where the page rounds it as the column asks."""
    if value is None or (number and isinstance(value, int | float) and not column.spec and column.unit != "s"):
        return value
    if isinstance(value, Value) and not column.spec:
        return value.mean
    return text(value, column, interval=False)


def _models(models: ShownModels, names: Names, note: Sequence[p.Block]) -> Iterable[tuple[str, list[p.Block]]]:
    """A few users with their lists, and the panel."""
    rankers, train = dict(list(models.rankers.items())[:2]), models.split.train
    hashed = names if isinstance(names, Hashed) else None
    made: list[tuple[str, list[p.Block]]] = []
    if len(models.split.test):
        made.append(("A few users", [some_people(rankers, models.split, private=hashed), *note]))
    raw = train.items.ids.to_list()
    shown = dict(zip(raw, names.items(raw), strict=True)) if hashed else None
    panel = try_it(rankers, train, shown, k=min(10, max(1, train.n_items // 2)))
    block = p.Prose(without_form(list(rankers))) if panel is None else panel
    made.append(("Try it", [block, *([] if len(models.split.test) else note)]))
    return made
