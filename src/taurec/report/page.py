"""A self-contained HTML page: the results of a command, its settings, and how to repeat it.

A page is plain data: sections of blocks. It is one HTML file that asks no other machine for anything (its own
Content-Security-Policy forbids it), stays below :data:`LIMIT`, and reads on a phone, on paper, light and dark.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from taurec.errors import UsageError
from taurec.report.cells import all_numeric, cell, formatted, heading, text
from taurec.report.people import Lists
from taurec.report.plots import draw, require
from taurec.report.tryit import TryIt
from taurec.studies.files import write_text
from taurec.studies.result import Cell, Column, Figure, Part, Table, Value
from taurec.studies.words import interval

LIMIT = 2_000_000
"""Bytes of a page; more is thinned or refused."""

CUTS = (None, 1000, 300, 100, 30)
"""Rows of a table, tried in turn until the page fits."""

Block = Part | Lists | TryIt


@dataclass(frozen=True)
class Section:
    """A heading and its blocks."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: of the page.
        summary: what was found, in words with the uncertainty in them; it stands on top.
        sections: in this order; the list of contents names them.
        command: what a reader types to repeat it.
        facts: the machine, as :func:`taurec.provenance.facts` gives it.
        config: the settings; nested mappings are written with dots.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    command: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def render(page: Page) -> str:
    """The page as HTML, with every row of every table.

    >>> html = render(Page("Audit", "Nothing <odd> was found.", [Section("Log", [Table("Items", ["n"], [[1682]])])]))
    >>> "&lt;odd&gt;" in html, "1,682" in html, html.count("<h2")
    (True, True, 2)
    """
    return _renderer(page)(cut=None)


def write_page(page: Page, path: str | Path) -> None:
    """Write the page as one file, completely or not at all.

    Where it is larger than :data:`LIMIT`, long tables are cut to their first rows, and say so.
    Raises: ResourceError if the file cannot be written; UsageError if the page is too large for that to help.
    """
    rendered = _renderer(page)
    for cut in CUTS:
        html = rendered(cut=cut)
        if len(html.encode()) <= LIMIT:
            return write_text(Path(path), html, "file")
    raise UsageError(
        f"the page has {len(html.encode()) / 1e6:.1f} MB, at most {LIMIT / 1e6:g} MB are allowed even with tables "
        f"of {CUTS[-1]} rows; give it fewer figures or a smaller try-it panel"
    )


def _renderer(page: Page) -> Callable[..., str]:
    """The template with everything but ``cut``, the number of rows that a table keeps."""
    require("jinja2")
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    blocks = [block for section in page.sections for block in section.blocks]
    panels = sum(isinstance(block, TryIt) for block in blocks)
    if panels > 1:
        raise UsageError(f"a page has room for one try-it panel, got {panels}; one panel takes several models")
    script = _packaged("tryit.js") if panels else ""
    plots = {id(block): Markup(draw(block)) for block in blocks if isinstance(block, Figure)}
    return functools.partial(
        environment.from_string(_packaged("page.html.j2")).render,
        page=page,
        kind=lambda block: type(block).__name__,
        plot=lambda figure: plots[id(figure)],
        columns=_columns,
        paragraphs=lambda given: [p for p in re.split(r"\n\s*\n", given.strip()) if p],
        cell=cell,
        style=Markup(_packaged("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        anchors=_anchors([s.title for s in page.sections]),
        facts=list(_flat(page.facts)),
        config=list(_flat(page.config)),
        markup=Markup,
    )


def _columns(table: Table) -> Iterator[tuple[str, bool, list[str]]]:
    """Heading, whether it holds numbers, and texts of each column; an interval has a column after its values."""
    for n, column in enumerate(table.heads):
        values = [row[n] for row in table.rows]
        yield heading(column), all_numeric(values), [_text(value, column) for value in values]
        if any(isinstance(value, Value) and value.low is not None for value in values):
            yield "95 %", True, [_bounds(value, column) for value in values]


def _text(value: Cell, column: Column) -> str:
    return cell(value.mean) if isinstance(value, Value) and not column.spec else text(value, column, interval=False)


def _bounds(value: Cell, column: Column) -> str:
    low, high = (value.low, value.high) if isinstance(value, Value) else (None, None)
    if low is None or high is None or not column.spec:
        return interval(low, high)
    return f"{formatted(low, column)} to {formatted(high, column)}"


def _packaged(name: str) -> str:
    return (files("taurec.report") / name).read_text(encoding="utf-8")


def _anchors(titles: Sequence[str]) -> list[str]:
    """Names for links, one a title, all different."""
    made: list[str] = []
    for title in titles:
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
        made.append(plain if plain not in made else f"{plain}-{len(made)}")
    return made


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield f"{before}{name}", shown
