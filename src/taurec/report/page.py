"""A self-contained HTML page: the results of a command, its settings, and how to repeat it.

A page is plain data: sections of blocks. It is one HTML file that asks no other machine for anything (its own
Content-Security-Policy forbids it), stays below :data:`LIMIT`, and reads on a phone, on paper, light and dark.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from taurec.errors import ResourceError, UsageError
from taurec.report.cells import all_numeric, cell
from taurec.report.extras import require
from taurec.report.tryit import TryIt, TryItModel

__all__ = [
    "Block", "Details", "Figure", "Lists", "Page", "Person", "Prose", "Section", "Table", "TryIt", "TryItModel",
    "cell", "render", "write_page",
]  # fmt: skip

LIMIT = 2_000_000
"""Bytes of a page; more is thinned or refused."""

CUTS = (None, 1000, 300, 100, 30)
"""Rows of a table, tried in turn until the page fits."""

UNSAFE = re.compile(
    r"""<script|<foreignObject|<style|<[^>]*(\son\w+\s*=|\b(src|href)\s*=\s*["']?\s*[^"'#\s>]|url\(\s*["']?[^"'#)]|@import)""",
    re.IGNORECASE,
)
"""Markup in a figure that runs, styles the page, or asks another place for something."""


@dataclass(frozen=True)
class Prose:
    """Text; an empty line begins a paragraph."""

    text: str
    kind: ClassVar[str] = "prose"

    @property
    def paragraphs(self) -> list[str]:
        return [p for p in re.split(r"\n\s*\n", self.text.strip()) if p]


@dataclass(frozen=True)
class Table:
    """Rows of values under headings; the first column names its row.

    Attributes:
        head: the headings; a unit belongs there.
        rows: cells; numbers are set to the right and rounded by :func:`cell`, None is empty.
        caption: what it shows.
        strong: numbers of rows in bold.
    Raises: UsageError if a row has not one cell a heading.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    strong: Collection[int] = ()
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        for n, row in enumerate(self.rows):
            if len(row) != len(self.head):
                raise UsageError(f"row {n} of a table has {len(row)} cells and there are {len(self.head)} headings")

    @property
    def right(self) -> list[bool]:
        """Whether a column holds numbers, or texts that begin like one, and nothing else."""
        return [all_numeric([row[n] for row in self.rows]) for n in range(len(self.head))]


@dataclass(frozen=True)
class Figure:
    """A plot of :mod:`taurec.report.plots`.

    Attributes:
        svg: one ``<svg>`` element.
        caption: what it shows, under it.
        alt: what somebody who does not see it should know; the finding, not the look.
    Raises: UsageError for what is no plain SVG element.
    """

    svg: str
    caption: str
    alt: str
    kind: ClassVar[str] = "figure"

    def __post_init__(self) -> None:
        if not self.svg.startswith("<svg") or UNSAFE.search(self.svg):
            raise UsageError(
                "a figure takes one <svg> element without scripts, styles and links, such as taurec.report.plots makes"
            )


@dataclass(frozen=True)
class Person:
    """A user's history with the lists of models.

    Attributes:
        name: of the user.
        history: their items, the newest first where times are known.
        lists: by model, its items, the best first.
        hits: items of the lists that the user took later, in the part that was held out.
    """

    name: str
    history: Sequence[str]
    lists: Mapping[str, Sequence[str]]
    hits: Collection[str] = ()


@dataclass(frozen=True)
class Lists:
    """A few users' histories beside their lists; items that turned out right are marked."""

    people: Sequence[Person]
    caption: str = ""
    kind: ClassVar[str] = "lists"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away under a line of text; paper shows them."""

    summary: str
    blocks: Sequence[Block]
    kind: ClassVar[str] = "details"


Block = Prose | Table | Figure | Lists | Details | TryIt


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

    >>> html = render(Page("Audit", "Nothing <odd> was found.", [Section("Log", [Prose("1,682 items")])]))
    >>> "&lt;odd&gt;" in html, html.count("<h2")
    (True, 2)
    """
    return _render(page, None)


def write_page(page: Page, path: str | Path) -> None:
    """Write the page as one file, completely or not at all.

    Where it is larger than :data:`LIMIT`, long tables are cut to their first rows, and say so.
    Raises: ResourceError if the file cannot be written; UsageError if the page is too large for that to help.
    """
    path = Path(path)
    for cut in CUTS:
        html = _render(page, cut)
        if len(html.encode()) <= LIMIT:
            break
    else:
        raise UsageError(
            f"the page has {len(html.encode()) / 1e6:.1f} MB, at most {LIMIT / 1e6:g} MB are allowed even with tables "
            f"of {CUTS[-1]} rows; give it fewer figures or a smaller try-it panel"
        )
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(html)
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error.strerror}); choose another file") from None


def _render(page: Page, cut: int | None) -> str:
    require("jinja2")
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_packaged("page.html.j2"))
    panels = [block for section in page.sections for block in _all(section.blocks) if isinstance(block, TryIt)]
    if len(panels) > 1:
        raise UsageError(f"a page has room for one try-it panel, got {len(panels)}; one panel takes several models")
    scripts = [_packaged("tryit.js")] if panels else []
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    return template.render(
        page=page,
        cut=cut,
        cell=cell,
        style=Markup(_packaged("page.css")),
        scripts=[Markup(s) for s in scripts],
        hashes=hashes,
        anchors=_anchors([s.title for s in page.sections]),
        facts=list(_flat(page.facts)),
        config=list(_flat(page.config)),
        markup=Markup,
    )


def _all(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks and those folded away in them."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _all(block.blocks)


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
            yield (
                f"{before}{name}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str),
            )


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
