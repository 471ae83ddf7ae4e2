"""The tables, figures and texts of an audit of a log."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from taurec.studies.audit.log.flags import SIGNS
from taurec.studies.result import Column, Figure, Part, Series, Table, Text
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.studies.audit.log.audit import LogAudit
    from taurec.studies.audit.log.crossfit import CrossFit
    from taurec.studies.audit.log.recovery import Recovery
    from taurec.studies.audit.log.shares import Shares

IN_TERMINAL, ON_PAGE = 10, 200
"""Suspect rows, and groups of ids, that are shown; the file of --suspects has all."""
BINS = 20
WEIGHT_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, float("inf"))

FOUND, SHARES, RECOVERY, WEIGHTS, SUSPECTS = (
    "Findings", "Share of chance rows", "Recovery of injected noise", "Weights of BSL", "Suspect rows",
)  # fmt: skip

SUSPICION = (
    "Suspicion combines the flags of a row with the estimated share of meaningless rows at its percentile, an upper "
    "bound. The percentile is the position of the row's item in the list of a model that has not seen the row (0 is "
    "the head of the list; empty where no model could score it)."
)

METHOD = (
    "Every row is scored by a model that has not seen it. Its position is the share of the user's unseen items of "
    "about the same popularity that have a higher score. A random item has a uniformly distributed position. So where "
    "rows are rarest, far from the head of the lists, only random rows are left, and their density is the same at all "
    "positions. The share of liked pairs among the unseen is estimated in the same way from the head, where nearly all "
    "are liked. Both estimates are upper bounds if the assumptions of the model hold. A false positive that fits the "
    "taste of its user cannot be detected, and if false positives prefer popular items, their estimated share is too "
    "low."
)


def tables(found: LogAudit, shown: int = IN_TERMINAL) -> list[Table]:
    """The tables, with the first ``shown`` groups of ids and suspects."""
    log = found.log
    title = f"{found.name}: {log.n_users:,} users, {log.n_items:,} items, {len(log):,} pairs"
    made = [Table(title, ("check", "result"), _findings(found), section=FOUND)]
    for what, groups, name in found.alike:
        if groups:
            rows = [(by, ", ".join(map(name, ids))) for by, ids in groups[:shown]]
            title = f"{what} ids that differ only in spelling"
            made.append(Table(title, ("differ in", f"{what} ids"), rows, section=FOUND))
    if found.shares is not None:
        made.append(shares_table(found.shares, found.fit.folds))
    if found.recovery is not None:
        made.append(_recovery(found.recovery))
    frame = found.suspect_rows(shown)
    if len(frame):
        columns = [Column(name, spec="" if kind == pl.String else ".3f") for name, kind in frame.schema.items()]
        title = f"The {len(frame):,} most suspicious of {count(found.suspects.count, 'suspect row')}"
        made.append(Table(title, columns, frame.rows(), section=SUSPECTS))
    return made


def parts(found: LogAudit) -> list[Part]:
    """What a page shows, by section."""
    said = {SHARES: METHOD if found.shares is not None else f"No estimate: {found.no_shares}.", SUSPECTS: SUSPICION}
    if found.weights is not None:
        said[WEIGHTS] = (
            "A row that scores below its user's other rows has a smaller weight. The model was trained on these rows."
        )
    made: list[Part] = [*figures(found), *tables(found, ON_PAGE), *(Text(text, part) for part, text in said.items())]
    order = (FOUND, SHARES, RECOVERY, WEIGHTS, SUSPECTS)
    return sorted(made, key=lambda part: order.index(part.section))


def figures(found: LogAudit) -> list[Figure]:
    """Positions of the rows, recovery of injected rows, and weights of BSL, where they were measured."""
    made = [] if found.shares is None else [positions_figure(found.shares, found.fit)]
    if found.recovery is not None:
        tried = found.recovery.methods
        best, methods = max(tried, key=lambda one: one.auc.mean), [one.method for one in tried]
        bars = [
            Series("AUC", methods, [one.auc.mean for one in tried]),
            Series("precision", methods, [one.precision.mean for one in tried]),
        ]
        caption = "Accuracy of each score in finding the injected rows."
        alt = f"{best.method} finds injected rows best, with AUC {best.auc.mean:.3f}."
        made.append(Figure("bar", bars, "score", "AUC, precision (0 to 1)", caption, alt, section=RECOVERY))
    if found.weights is not None:
        counts = np.histogram(found.weights, bins=WEIGHT_EDGES)[0] / len(found.weights)
        names = [f"{a:g} to {b:g}" for a, b in pairwise(WEIGHT_EDGES[:-1])] + [f"{WEIGHT_EDGES[-2]:g} and more"]
        bars = [Series("rows", names, counts.tolist())]
        caption = "The weight BSL gives each row of a user: m softmax(score / tau_pos) over the user's m rows."
        low = float((found.weights < 0.5).mean())
        alt = f"{low:.1%} of the rows have less than half of their weight in SL."
        made.append(Figure("bar", bars, "weight of a row (1 is SL)", "share of rows", caption, alt, section=WEIGHTS))
    return made


def shares_table(shares: Shares, folds: int, section: str = SHARES) -> Table:
    """The estimates and what they are based on."""
    rows = [
        ("rows that look like chance (false positives)", *vars(shares.false_positives).values()),
        ("unseen pairs that are probably liked", *vars(shares.hidden_positives).values()),
        ("uniform negatives that are rows of the log", shares.known_positives, None, None),
        ("rows that could be scored", shares.scored, None, None),
    ]
    columns = [Column("estimate, at most"), *(Column(name, spec=".1%") for name in ("share", "95 % low", "high"))]
    return Table(f"By {folds} folds of {shares.judge}", columns, rows, section=section)


def positions_figure(shares: Shares, fit: CrossFit, section: str = SHARES) -> Figure:
    """The density of the rows' positions among items of about the same popularity."""
    density = np.histogram(fit.among_peers[fit.scored], bins=BINS, range=(0.0, 1.0))[0]
    density = density * (BINS / density.sum())
    middle = [(k + 0.5) / BINS for k in range(BINS)]
    return Figure(
        "line",
        [
            Series("rows of the log", middle, density.tolist()),
            Series("unseen pairs", middle, [1.0] * BINS),
            Series("level of chance", middle, [shares.least_density] * BINS),
        ],
        "position among items about as popular (0 is the head)",
        "density (1 is chance)",
        "Positions of the rows in the lists of models that have not seen them.",
        f"Most rows are at the head; by the level far from it, {shares.false_positives.mean:.1%} look like chance.",
        section=section,
    )


def _findings(found: LogAudit) -> list[tuple[str, str]]:
    log, bots, bursts = found.log, found.bots, found.bursts
    fast = f"{count(int(bursts.rows.sum()), 'row')} of {count(bursts.users, 'user')}"
    checks = {
        "repeated pairs": f"{log.merged:,} of {found.rows:,} rows, {log.exact:,} of them equal in every column",
        "bursts": f"not checked: {bursts.skipped}"
        if bursts.skipped
        else f"{fast}; the median of the users' busiest minutes is {bursts.usual:g} rows",
    }
    for sign, who in bots.signs.items():
        value = f"{count(int(who.sum()), 'user')} ({SIGNS[sign]})"
        checks[f"users, {sign}"] = f"not checked: {bots.skipped[sign]}" if sign in bots.skipped else value
    checks["bot-like"] = f"{count(int(bots.users.sum()), 'user')} with {count(found.bot_rows, 'row')}"
    for what, groups, _ in found.alike:
        checks[f"alike {what} ids"] = f"{count(len(groups), 'group')} of ids that differ only in spelling"
    return list(checks.items())


def _recovery(found: Recovery) -> Table:
    share, before, after = found.injected_share, found.estimated_before, found.estimated
    expected = share + before * (1 - share)
    bounds = "" if after.low is None or after.high is None else f" ({after.low:.1%} to {after.high:.1%} over seeds)"
    note = (
        f"Injected rows pair a user with items drawn uniformly from the user's unseen items. The estimated share of "
        f"false positives rose from {before:.1%} to {after.mean:.1%}{bounds}; with the injected rows it should be "
        f"{expected:.1%}. A random order has AUC .5 and precision {share:.3f}."
    )
    title = (
        f"{share:.1%} of the rows are injected, {count(found.seeds, 'seed')}: accuracy of each score in finding them"
    )
    rows = [(one.method, one.auc, one.precision) for one in found.methods]
    return Table(title, ("score", "AUC", "precision at the count"), rows, note, section=RECOVERY)
