"""The audit of a log, and what cleaning it wins, as pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from taurec.report.audit import (
    GAIN_HEAD,
    estimates,
    findings,
    gain_rows,
    recovery_sentence,
    signed,
    suspect_frame,
)
from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.plots import Series, bar_plot, interval_plot, line_plot

if TYPE_CHECKING:
    from taurec.studies.audit.fix import Fix
    from taurec.studies.audit.log.audit import LogAudit
    from taurec.studies.audit.log.recovery import Recovery
    from taurec.studies.audit.log.suspects import Name

SUSPECTS = 200
"""Suspect rows on a page; the CSV has all."""

_BINS = 20

_METHOD = (
    "Every row is judged by a model that has not seen it: its place is the share of the items its user never met, of "
    "about the same popularity, that the model puts higher. An item drawn at random stands at every place with equal "
    "chance, so where rows are fewest, far from the head of the lists, none but random ones are left, and their number "
    "there times the width of the scale is their number in all. Unseen pairs are estimated in the same way from the "
    "head, where nearly all are liked. Both are upper bounds as long as the judge is right; a false positive that "
    "suits its user cannot be seen, and where false positives prefer popular items their share comes out too low."
)


def log_page(
    found: LogAudit,
    *,
    user_name: Name = str,
    item_name: Name = str,
    found_again: Recovery | None = None,
    note: str = "",
    command: str = "",
    facts: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Page:
    """The audit of a log.

    Args:
        user_name, item_name: what is written for a raw id.
        found_again: the recovery of injected noise, if it was measured.
        note: what has to be said about the ids.
        command, facts, config: as for :class:`taurec.report.page.Page`.
    """
    log = found.log
    what = f"{log.n_users:,} users, {log.n_items:,} items, {len(log):,} pairs."
    table = Table(["looked for", "found"], findings(found))
    sections = [
        Section("Found", [Prose(what), table, *_alike(found, user_name, item_name)]),
        Section("How much of it is chance", _shares(found)),
    ]
    if found_again is not None:
        sections.append(Section("Injected noise, found again", recovery_blocks(found_again)))
    if found.weights is not None:
        sections.append(Section("What BSL makes of the rows", _weights(found)))
    sections.append(Section("Suspect rows", _suspects(found, user_name, item_name, note)))
    return Page(f"Audit of {found.name}", found.verdict, sections, command, facts or {}, config or {})


def fix_page(
    found: Fix, *, command: str = "", facts: Mapping[str, Any] | None = None, config: Mapping[str, Any] | None = None
) -> Page:
    """What cleaning a log wins; it shows no ids."""
    n = int(found.removed.sum())
    blocks: list[Block] = [
        Prose(
            "Rows were ranked, and their number chosen, on the training part alone. Validation decided whether to "
            "clean at all. The test part was looked at once, after that. Each model was trained on all rows, without "
            f"the suspects, and without as many rows drawn at random ({found.seeds} draws)."
        )
    ]
    if found.clean:
        said = [
            f"{g.model} on validation, without {rows:,} rows: {found.metric} {signed(valid)}"
            for g in found.gains
            for rows, valid in found.tried
        ]
        blocks.append(Prose("; ".join(said) or "No trial was needed."))
    else:
        blocks.append(Table(GAIN_HEAD, gain_rows(found), f"Test part, {found.n_users:,} users, {n:,} rows removed."))
        blocks.append(_gain_figure(found))
    sections = [Section("Gain", blocks), Section("How much of the training part is chance", _shares(found.audit))]
    return Page(f"Cleaning of {found.source}", found.verdict, sections, command, facts or {}, config or {})


def recovery_blocks(found: Recovery) -> list[Block]:
    """A table and a figure of how well injected rows are found."""
    head = ["score", "AUC", "low", "high", "precision at the count", "low", "high"]
    rows = [
        [f.method, f.auc.mean, f.auc.low, f.auc.high, f.precision.mean, f.precision.low, f.precision.high]
        for f in found.methods
    ]
    caption = f"Intervals over {found.seeds} seeds; a random order has AUC .5 and precision {found.share:.3f}."
    best = max(found.methods, key=lambda f: f.auc.mean)
    bars = {"AUC": [f.auc.mean for f in found.methods], "precision": [f.precision.mean for f in found.methods]}
    return [
        Prose(
            f"False positives were injected into the training part, {found.share:.1%} of its rows, drawn uniformly "
            f"from items the user never met; {found.seeds} times. {recovery_sentence(found)}"
        ),
        Table(head, rows, caption),
        Figure(
            bar_plot([f.method for f in found.methods], bars, x_label="score", y_label="AUC, precision (0 to 1)"),
            "How well each score finds the injected rows.",
            f"{best.method} finds injected rows best, with AUC {best.auc.mean:.3f}.",
        ),
    ]


def _alike(found: LogAudit, user_name: Name, item_name: Name) -> list[Block]:
    blocks: list[Block] = []
    for what, groups, name in (("user", found.alike_users, user_name), ("item", found.alike_items, item_name)):
        if groups:
            rows = [[by, ", ".join(map(name, ids))] for by, ids in groups]
            blocks.append(Details(f"{what} ids that differ only in spelling", [Table(["differ in", "ids"], rows)]))
    return blocks


def _shares(found: LogAudit) -> list[Block]:
    if found.shares is None:
        return [Prose(f"No estimate: {found.no_shares}.")]
    density = np.histogram(found.fit.among_peers[found.fit.judged], bins=_BINS, range=(0.0, 1.0))[0]
    density = density * (_BINS / density.sum())
    middle = [(k + 0.5) / _BINS for k in range(_BINS)]
    a = found.shares.false_positives.mean
    svg = line_plot(
        [
            Series("rows of the log", middle, density.tolist()),
            Series("unseen pairs", middle, [1.0] * _BINS),
            Series("level of chance", middle, [found.shares.least] * _BINS),
        ],
        x_label="place among items about as popular (0 is the head)",
        y_label="density (1 is chance)",
    )
    return [
        Table(["estimate, at most", "share", "95 % interval"], estimates(found)),
        Figure(
            svg,
            "Where the rows stand in the lists of models that have not seen them.",
            f"Most rows stand at the head; the level far from it says that {a:.1%} look like chance.",
        ),
        Prose(_METHOD),
    ]


def _weights(found: LogAudit) -> list[Block]:
    assert found.weights is not None
    edges = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, float("inf")]
    counts = np.histogram(found.weights, bins=edges)[0] / len(found.weights)
    names = [f"{a:g} to {b:g}" for a, b in pairwise(edges[:-1])] + [f"{edges[-2]:g} and more"]
    svg = bar_plot(names, {"rows": counts.tolist()}, x_label="weight of a row (1 is SL)", y_label="share of rows")
    low = float((found.weights < 0.5).mean())
    return [
        Figure(
            svg,
            "The weight BSL gives each row of a user: m softmax(score / tau_pos) over the user's m rows.",
            f"{low:.1%} of the rows weigh less than half of what SL gives them.",
        ),
        Prose(
            "A row that scores below its user's other rows weighs less. The model was trained on the rows it weighs."
        ),
    ]


def _suspects(found: LogAudit, user_name: Name, item_name: Name, note: str) -> list[Block]:
    frame = suspect_frame(found, SUSPECTS, user_name, item_name)
    said = (
        f"The {len(frame):,} most suspicious of {found.suspects.count:,} suspects. Suspicion is the estimated "
        "share of meaningless rows at the row's place, an upper bound as above, joined with the flags; place is its "
        "place in the list of a model that has not seen it (0 is the head; empty where none could judge it)."
    )
    head: Sequence[str] = frame.columns
    blocks: list[Block] = [Prose(said), Table(head, [list(row) for row in frame.iter_rows()])]
    return [Prose(note), *blocks] if note else blocks


def _gain_figure(found: Fix) -> Figure:
    labels, mean, low, high = [], [], [], []
    for g in found.gains:
        for word, paired in (
            ("suspects removed", g.gain[found.metric]),
            ("random rows removed", g.control[found.metric]),
        ):
            d = paired.difference
            labels.append(f"{g.model}, {word}")
            mean.append(d.mean)
            low.append(d.mean if d.low is None else d.low)
            high.append(d.mean if d.high is None else d.high)
    svg = interval_plot(labels, mean, low, high, x_label=f"{found.metric}: difference from training on all rows")
    return Figure(svg, "Differences on the test part with 95 % bootstrap intervals over users.", found.verdict)
