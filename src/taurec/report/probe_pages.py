"""A search within a given time as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.people import some_people
from taurec.report.plots import Series, interval_plot, line_plot, scatter_plot
from taurec.report.private import NOTE, Hashed
from taurec.report.probe import STAGES, best_of_each, probe_words
from taurec.report.tables import count, number
from taurec.report.tryit import try_it, without_form

if TYPE_CHECKING:
    from taurec.studies.search import Probe


def probe_page(
    found: Probe,
    make: str,
    command: str = "",
    facts: Mapping[str, Any] | None = None,
    private: Hashed | None = None,
) -> Page:
    """The page of ``taurec compare --budget``.

    Args:
        found: what is shown.
        make: the command that makes the chosen model.
        command: how to repeat the search.
        facts: of the machine.
        private: hashes ids wherever they are shown.
    """
    sections = [Section("What was tried", _tried(found))]
    if found.test:
        sections.append(Section("On the test part", _on_test(found)))
    if len(found.chosen.records) > 1:
        sections.append(Section("Learning curve", _curve(found)))
    model, train = found.chosen, found.chosen.split.train
    ranker = {model.run.label: model.ranker}
    if found.test:
        people = some_people(ranker, model.split, private=private)
        sections.append(Section("A few users", [people, *([Prose(NOTE)] if private else [])]))
    raw = train.items.ids.to_list()
    names = dict(zip(raw, private.items(raw), strict=True)) if private else None
    panel = try_it(ranker, train, names, k=min(10, max(1, train.n_items // 2)))
    sections += [
        Section("Try it", [Prose(without_form(list(ranker))) if panel is None else panel]),
        Section("The command that makes it", [Prose(make)]),
    ]
    words = "\n\n".join(probe_words(found))
    title = f"A model for {found.source}"
    return Page(title, words, sections, command, facts or {}, found.chosen.run.model_dump(mode="json"))


def _tried(found: Probe) -> list[Block]:
    known = [t for t in found.tries if t.valid is not None]
    whole = best_of_each([t for t in known if t.stage != "probe"])
    svg = scatter_plot(
        [t.label for t in whole],
        [max(t.seconds, 1e-3) for t in whole],
        [t.valid or 0.0 for t in whole],
        x_label="seconds",
        y_label=f"{found.metric} on validation",
        log_x=True,
    )
    rows = [[STAGES[t.stage], t.label, t.setting, t.valid, t.epochs or None, t.seconds, t.ended] for t in found.tries]
    users = "" if found.share == 1 else f" Values of the rounds are those of {found.share:.0%} of the users."
    head = ["part", "model", "setting", found.metric, "epochs", "seconds", "came to its end"]
    ranked = sorted(whole, key=lambda t: -(t.valid or 0.0))
    first = [[t.label, t.setting, t.valid, t.epochs or None, t.seconds] for t in ranked]
    best = max(whole, key=lambda t: t.valid or 0.0)
    return [
        Figure(
            svg,
            "Models fitted to the whole log, each with its best setting, and the seconds of that one fit.",
            f"The best is {best.label} with {number(best.valid or 0.0)}",
        ),
        Table(
            ["model", "setting", f"{found.metric} on validation", "epochs", "seconds"], first, "The same, best first."
        ),
        Details(
            f"All {count(len(found.tries), 'setting')} in the order of the work",
            [Table(head, rows, f"{found.metric} on validation.{users}")],
        ),
    ]


def _on_test(found: Probe) -> list[Block]:
    values = {label: metrics[found.metric] for label, metrics in found.test.items()}
    means = [v.mean for v in values.values()]
    low = [v.mean if v.low is None else v.low for v in values.values()]
    high = [v.mean if v.high is None else v.high for v in values.values()]
    svg = interval_plot(list(values), means, low, high, x_label=f"{found.metric} on test")
    alt = ", ".join(f"{label} {number(v.mean)}" for label, v in values.items())
    rows = [[label, name, v.mean, v.low, v.high] for label, of in found.test.items() for name, v in of.items()]
    return [
        Figure(svg, f"Over {count(found.n_users, 'user')}, with 95 % bootstrap intervals over users.", alt),
        Table(["model", "metric", "value", "from", "to"], rows, "Looked at once, after the choice."),
    ]


def _curve(found: Probe) -> list[Block]:
    records = [r for r in found.chosen.records if found.metric in r.metrics]
    series = Series(
        found.chosen.run.label, [float(r.epoch) for r in records], [r.metrics[found.metric] for r in records]
    )
    svg = line_plot([series], x_label="epoch", y_label=f"{found.metric} on validation")
    best = max(records, key=lambda r: r.metrics[found.metric])
    return [Figure(svg, "The chosen model after each epoch.", f"Best in epoch {best.epoch} of {len(records)}")]
