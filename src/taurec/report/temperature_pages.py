"""What a temperature stands for, as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.plots import Series, line_plot
from taurec.report.temperature import HEAD, MEANINGS, by_tau, curve_head, curve_rows, rows, sentence

if TYPE_CHECKING:
    from taurec.studies.audit.temperature.audit import OverUsers, TemperatureAudit

BAND = "median over users, with the range of the middle 80 % of them"


def temperature_page(found: TemperatureAudit, command: str = "", facts: Mapping[str, Any] | None = None) -> Page:
    """The page of ``taurec audit temperature``.

    Args:
        found: what is shown.
        command: how to repeat it.
        facts: of the machine.
    """
    sections = [Section("What the temperature stands for", _by_tau(found))]
    if found.positives is not None:
        sections.append(Section("The positive side", _positives(found)))
    if found.curve:
        sections.append(Section("Along training", _along(found)))
    sections.append(Section("How to read it", _reading(found)))
    title = f"Temperature of {found.run.label} on {found.source}"
    return Page(title, sentence(found), sections, command, facts or {}, found.run.model_dump(mode="json"))


def _by_tau(found: TemperatureAudit) -> list[Block]:
    views = by_tau(found)
    own = [number for number, view in enumerate(views) if view is found.negatives]
    said = f"Medians over users; weights are compared with: {found.base}."
    blocks: list[Block] = [Table(HEAD, rows(views), caption=said, strong=own)]
    if len(views) > 1:
        taus = [view.tau for view in views]
        for name, label in (
            ("effective", "effective number of negatives"),
            ("radius", "KL radius (nats)"),
            ("own", "share of weight on own items"),
        ):
            values = [getattr(view, name) for view in views]
            if any(value is None for value in values) or not any(value.mean for value in values):
                continue
            svg = line_plot([_band(label, taus, values)], x_label="tau (score units)", y_label=label, log_x=True)
            blocks.append(
                Figure(svg, f"{label[0].upper()}{label[1:]} by temperature: {BAND}.", _alt(label, "tau", taus, values))
            )
    return blocks


def _positives(found: TemperatureAudit) -> list[Block]:
    assert found.positives is not None
    said = "Medians over users, over all their training positives; a batch pools those that it holds."
    return [Table(HEAD[:-1], [row[:-1] for row in rows([found.positives])], caption=said)]


def _along(found: TemperatureAudit) -> list[Block]:
    epochs = [float(view.epoch) for view in found.curve]
    blocks: list[Block] = []
    for name, label in (
        ("effective", "effective number of negatives"),
        ("radius", "KL radius (nats)"),
        ("variance", "variance of the scores of negatives"),
    ):
        values = [getattr(view.negatives, name) for view in found.curve]
        svg = line_plot([_band(label, epochs, values)], x_label="epoch", y_label=label)
        blocks.append(
            Figure(
                svg, f"{label[0].upper()}{label[1:]} after each epoch: {BAND}.", _alt(label, "epoch", epochs, values)
            )
        )
    blocks.append(Details("The values", [Table(curve_head(found), curve_rows(found), caption="Medians over users.")]))
    return blocks


def _reading(found: TemperatureAudit) -> list[Block]:
    blocks: list[Block] = [
        Prose(
            "A softmax loss with temperature tau trains against the worst distribution of negatives within some "
            "distance of the one they are drawn from. A small tau allows a large distance: few hard negatives carry "
            "the gradient. A large tau comes near the plain mean, with a penalty on the variance of the scores."
        ),
        Table(("column", "what it is"), MEANINGS),
    ]
    return [*blocks, *(Prose(note) for note in found.notes)]


def _band(label: str, x: Sequence[float], values: Sequence[OverUsers]) -> Series:
    low, high = [v.quantiles[0] for v in values], [v.quantiles[-1] for v in values]
    return Series(label, x, [v.median for v in values], low, high)


def _alt(label: str, what: str, x: Sequence[float], values: Sequence[OverUsers]) -> str:
    pairs = [(a, v.median) for a, v in zip(x, values, strict=True) if math.isfinite(v.median)]
    (first, low), (last, high) = pairs[0], pairs[-1]
    return f"{label}: median {low:.3g} at {what} {first:g}, {high:.3g} at {what} {last:g}"
