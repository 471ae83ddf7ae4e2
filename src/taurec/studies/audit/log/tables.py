"""The tables, figures and texts of an audit of a log."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from taurec.studies.result import Column, Figure, Part, Series, Table, Text, Value
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval
    from taurec.studies.audit.log.audit import LogAudit
    from taurec.studies.audit.log.recovery import Recovery

IN_TERMINAL, ON_PAGE = 10, 200
"""Suspect rows, and groups of ids, that are shown; the file of --suspects has all."""
BINS = 20
WEIGHT_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, float("inf"))

FOUND, SHARES, RECOVERY, WEIGHTS, SUSPECTS = (
    "Findings", "Share of chance rows", "Injected noise, found again", "Weights of BSL", "Suspect rows",
)  # fmt: skip

SIGN_WORDS = {
    "activity": "far more rows than the others",
    "catalogue": "more than half of the catalogue",
    "regular": "rows at regular intervals",
    "uniform": "items no more popular than random ones",
    "chance": "rows that a model cannot distinguish from random ones",
}

METHOD = (
    "Every row is scored by a model that has not seen it. Its position is the share of the items that its user never "
    "met, of about the same popularity, with a higher score. A random item has a uniform position. So where rows are "
    "fewest, far from the head of the lists, only random ones are left, and their density there is their density "
    "everywhere. Unseen pairs are estimated in the same way from the head, where nearly all are liked. Both are upper "
    "bounds as long as the model is right. A false positive that suits its user cannot be seen, and where false "
    "positives prefer popular items their share comes out too low."
)


def tables(found: LogAudit, shown: int = IN_TERMINAL) -> list[Table]:
    """The tables, with the first ``shown`` groups of ids and suspects."""
    log = found.log
    title = f"{found.name}: {log.n_users:,} users, {log.n_items:,} items, {len(log):,} pairs"
    made = [Table(title, ("check", "result"), _findings(found), section=FOUND), *_alike(found, shown)]
    if found.shares is not None:
        made.append(shares_table(found))
    if found.recovery is not None:
        made.append(_recovery(found.recovery))
    return [*made, *_suspects(found, shown)]


def parts(found: LogAudit) -> list[Part]:
    """What a page shows, by section."""
    made: list[Part] = [*figures(found), *tables(found, ON_PAGE)]
    order = list(dict.fromkeys([FOUND, SHARES, RECOVERY, WEIGHTS, SUSPECTS]))
    said = {
        SHARES: METHOD if found.shares is not None else f"No estimate: {found.no_shares}.",
        WEIGHTS: "A row that scores below its user's other rows weighs less. The model was trained on the rows it "
        "weighs." if found.weights is not None else "",
        SUSPECTS: "Suspicion is the estimated share of meaningless rows at the row's position, an upper bound, "
        "combined with the flags. The column place is its position in the list of a model that has not seen it (0 is "
        "the head; empty where no model could score it).",
    }  # fmt: skip
    made += [Text(text, section) for section, text in said.items() if text]
    return sorted(made, key=lambda part: order.index(part.section))


def figures(found: LogAudit) -> list[Figure]:
    """Positions of the rows, recovery of injected rows, and weights of BSL, where they were measured."""
    made = [] if found.shares is None else [positions_figure(found)]
    if found.recovery is not None:
        methods = [f.method for f in found.recovery.methods]
        best = max(found.recovery.methods, key=lambda f: f.auc.mean)
        bars = [
            Series("AUC", methods, [f.auc.mean for f in found.recovery.methods]),
            Series("precision", methods, [f.precision.mean for f in found.recovery.methods]),
        ]
        caption = "How well each score finds the injected rows."
        alt = f"{best.method} finds injected rows best, with AUC {best.auc.mean:.3f}."
        made.append(Figure("bar", bars, "score", "AUC, precision (0 to 1)", caption, alt, section=RECOVERY))
    if found.weights is not None:
        counts = np.histogram(found.weights, bins=WEIGHT_EDGES)[0] / len(found.weights)
        names = [f"{a:g} to {b:g}" for a, b in pairwise(WEIGHT_EDGES[:-1])] + [f"{WEIGHT_EDGES[-2]:g} and more"]
        low = float((found.weights < 0.5).mean())
        made.append(
            Figure(
                "bar",
                [Series("rows", names, counts.tolist())],
                "weight of a row (1 is SL)",
                "share of rows",
                "The weight BSL gives each row of a user: m softmax(score / tau_pos) over the user's m rows.",
                f"{low:.1%} of the rows weigh less than half of what SL gives them.",
                section=WEIGHTS,
            )
        )
    return made


def shares_table(found: LogAudit) -> Table:
    """The estimates and what they are based on."""
    s = found.shares
    assert s is not None
    rows = [
        ("rows that look like chance (false positives)", *_bounds(s.false_positives)),
        ("unseen pairs that are probably liked", *_bounds(s.hidden)),
        ("uniform negatives that are rows of the log", s.known, None, None),
        ("rows that could be scored", s.judged, None, None),
    ]
    columns: list[Column | str] = [
        "estimate, at most",
        *(Column(name, spec=".1%") for name in ("share", "95 % low", "high")),
    ]
    return Table(f"By {found.fit.folds} folds of {s.judge}", columns, rows, section=SHARES)


def positions_figure(found: LogAudit) -> Figure:
    """The density of the rows' positions among items of about the same popularity."""
    assert found.shares is not None
    density = np.histogram(found.fit.among_peers[found.fit.judged], bins=BINS, range=(0.0, 1.0))[0]
    density = density * (BINS / density.sum())
    middle = [(k + 0.5) / BINS for k in range(BINS)]
    return Figure(
        "line",
        [
            Series("rows of the log", middle, density.tolist()),
            Series("unseen pairs", middle, [1.0] * BINS),
            Series("level of chance", middle, [found.shares.least] * BINS),
        ],
        "position among items about as popular (0 is the head)",
        "density (1 is chance)",
        "Positions of the rows in the lists of models that have not seen them.",
        f"Most rows are at the head; the level far from it says that {found.shares.false_positives.mean:.1%} look "
        "like chance.",
        section=SHARES,
    )


def _findings(found: LogAudit) -> list[tuple[str, str]]:
    log, bots = found.log, found.bots
    rows = [("repeated pairs", f"{log.merged:,} of {found.rows:,} rows, {log.exact:,} of them equal in every column")]
    if found.bursts.skipped:
        rows.append(("bursts", f"not checked: {found.bursts.skipped}"))
    else:
        fast, users = count(int(found.bursts.rows.sum()), "row"), count(found.bursts.users, "user")
        rows.append(("bursts", f"{fast} of {users}; a fullest minute usually has {found.bursts.usual:g}"))
    for sign, who in bots.signs.items():
        value = f"{count(int(who.sum()), 'user')} ({SIGN_WORDS[sign]})"
        rows.append((f"users, {sign}", f"not checked: {bots.skipped[sign]}" if sign in bots.skipped else value))
    of_bots = int(log.user_counts[bots.users].sum())
    rows.append(("bot-like", f"{count(int(bots.users.sum()), 'user')} with {count(of_bots, 'row')}"))
    for what, groups in (("user", found.alike_users), ("item", found.alike_items)):
        rows.append((f"alike {what} ids", f"{count(len(groups), 'group')} of ids that differ only in spelling"))
    return rows


def _alike(found: LogAudit, shown: int) -> list[Table]:
    both = (("user", found.alike_users, found.names.user), ("item", found.alike_items, found.names.item))
    return [
        Table(
            f"{what} ids that differ only in spelling",
            ("differ in", f"{what} ids"),
            [(by, ", ".join(map(name, ids))) for by, ids in groups[:shown]],
            section=FOUND,
        )
        for what, groups, name in both
        if groups
    ]


def _recovery(found: Recovery) -> Table:
    rows = [
        (f.method, Value(f.auc.mean, f.auc.low, f.auc.high), Value(f.precision.mean, f.precision.low, f.precision.high))
        for f in found.methods
    ]
    expected = found.share + found.before * (1 - found.share)
    e = found.estimated
    bounds = "" if e.low is None or e.high is None else f" ({e.low:.1%} to {e.high:.1%} over seeds)"
    note = (
        f"Injected rows pair a user with items drawn uniformly from those the user never met. The estimate of false "
        f"positives went from {found.before:.1%} to {e.mean:.1%}{bounds}; with the injected rows it should be "
        f"{expected:.1%}. A random order has AUC .5 and precision {found.share:.3f}."
    )
    title = f"{found.share:.1%} of the rows injected, {count(found.seeds, 'seed')}: how well each score finds them"
    return Table(title, ("score", "AUC", "precision at the count"), rows, note, section=RECOVERY)


def _suspects(found: LogAudit, shown: int) -> list[Table]:
    frame = found.suspect_rows(shown)
    if not len(frame):
        return []
    specs = {"suspicion": ".3f", "place": ".3f", "bsl_weight": ".3f"}
    columns = [Column(name, spec=specs.get(name, "")) for name in frame.columns]
    title = f"The {len(frame):,} most suspicious of {count(found.suspects.count, 'suspect row')}"
    return [Table(title, columns, frame.rows(), section=SUSPECTS)]


def _bounds(value: Interval) -> tuple[float, float | None, float | None]:
    return value.mean, value.low, value.high
