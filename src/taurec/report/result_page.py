"""The page of a result: the verdict on top, its parts by section, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taurec.report.page import Block, Page, Section
from taurec.report.people import some_people
from taurec.report.tryit import try_it, without_form
from taurec.studies.names import NOTE, Hashed, Names
from taurec.studies.result import Result, Text

SECTION = "Results"
"""The heading of parts that name none."""


def result_page(
    result: Result, command: str = "", facts: Mapping[str, Any] | None = None, names: Names | None = None
) -> Page:
    """The page of a result.

    Args:
        result: what is shown.
        command: what a reader types to repeat it.
        facts: of the machine, as :func:`taurec.provenance.facts` gives them.
        names: what to write for ids; hashes of them add a note.
    """
    sections: dict[str, list[Block]] = {}
    for part in result.parts():
        sections.setdefault(part.section or SECTION, []).append(part)
    hashed = names if isinstance(names, Hashed) else None
    note = [Text(NOTE)] if hashed else []
    models = result.rankers()
    if models is not None and models.rankers:
        rankers, train = dict(list(models.rankers.items())[:2]), models.split.train
        tested = bool(len(models.split.test))
        if tested:
            sections["A few users"] = [some_people(rankers, models.split, private=hashed), *note]
        raw = train.items.ids.to_list()
        shown = dict(zip(raw, hashed.items(raw), strict=True)) if hashed else None
        panel = try_it(rankers, train, shown, k=min(10, max(1, train.n_items // 2)))
        sections["Try it"] = [panel or Text(without_form(list(rankers))), *([] if tested else note)]
    elif hashed:
        sections["Hashed ids"] = [*note]
    if result.commands():
        sections["Next"] = [Text("\n\n".join(result.commands()))]
    return Page(
        result.title(),
        "\n\n".join(result.verdict()),
        [Section(title, blocks) for title, blocks in sections.items()],
        command,
        facts or {},
        result.settings(),
    )
