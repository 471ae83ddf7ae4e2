"""An audit of fairness as tables and sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from taurec.report.tables import count, interval, number, table

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval
    from taurec.studies.audit.fairness.audit import Correlation, FairnessAudit
    from taurec.studies.audit.fairness.served import UserDivision, UserGroup

FEW = 4
"""Models that a correlation over models needs to be worth a sentence."""
SMALL = 0.0005
"""Gaps below this are none at four digits."""


def global_table(audit: FairnessAudit) -> Table:
    """One row a model: accuracy and how the lists are spread."""
    name = f"ndcg@{audit.k}"
    head = [name, "coverage", "Gini", "ARP", "tail", "corr", "REO", "RSP"]
    rows = []
    for m in audit.models:
        f = m.fairness
        values = [
            number(f.ndcg.mean), number(f.coverage, 3), number(f.gini, 3),
            number(f.average_popularity, 1), number(f.tail_share, 3), number(f.popularity_exposure, 2),
            number(f.reo, 2), number(f.rsp, 2),
        ]  # fmt: skip
        rows.append([m.label, *values])
    title = f"{audit.source}: lists of {audit.k} for {count(audit.best.fairness.n_users, 'user')}, test part"
    return table(["model", *head], rows, title=title, right=head, whole=["model"])


def item_table(audit: FairnessAudit) -> Table:
    """One row a popularity group: what it holds, and per model its contribution to NDCG."""
    labels = [m.label for m in audit.models]
    rows = []
    for g, group in enumerate(audit.best.fairness.items):
        own = [number(m.fairness.items[g].ndcg.mean) for m in audit.models]
        rows.append([short(group.name), f"{group.items:,}", number(group.test_share, 3), *own])
    rows.append(["sum", "", number(1, 3), *(number(m.fairness.ndcg.mean) for m in audit.models)])
    title = f"Contribution to ndcg@{audit.k} by popularity group, 1 the least popular"
    right = ["items", "held out", *labels]
    return table(["group", *right], rows, title=title, right=right, strong=[len(rows) - 1])


def exposure_table(audit: FairnessAudit) -> Table:
    """One row a popularity group: its share of held-out items and of each model's list slots."""
    labels = [m.label for m in audit.models]
    rows = [
        [short(group.name), number(group.train_share, 3), number(group.test_share, 3)]
        + [number(m.fairness.items[g].exposure, 3) for m in audit.models]
        for g, group in enumerate(audit.best.fairness.items)
    ]
    right = ["training", "held out", *labels]
    title = "Share of training, held-out items and list slots by popularity group"
    return table(["group", *right], rows, title=title, right=right)


def user_table(audit: FairnessAudit, number_of: int) -> Table:
    """One row a group of users: NDCG of each model; the worst group's values, and the gap."""
    divisions = [m.fairness.users[number_of] for m in audit.models]
    labels = [m.label for m in audit.models]
    rows = [
        [short(group.name), f"{group.users:,}", *(number(d.groups[g].ndcg.mean) for d in divisions)]
        for g, group in enumerate(divisions[0].groups)
    ]
    rows.append(["gap", "", *(number(d.gap.mean) + ("!" if d.apart else "") for d in divisions)])
    title = f"ndcg@{audit.k} by {divisions[0].what} of users; ! if the intervals of worst and best do not meet"
    return table(["group", "users", *labels], rows, title=title, right=["users", *labels], strong=[len(rows) - 1])


def score_table(audit: FairnessAudit) -> Table:
    """One row a model: mean and variance of a user's scores."""
    head = ["neg mean", "neg var", "pos mean", "pos var", "rel var", "pop"]
    rows = [
        [
            m.label, f"{m.scores.negative_mean:.3g}", f"{m.scores.negative_variance:.3g}",
            f"{m.scores.positive_mean:.3g}", f"{m.scores.positive_variance:.3g}",
            f"{m.scores.relative_variance:.3g}", number(m.scores.popularity_score, 2),
        ]
        for m in audit.models
    ]  # fmt: skip
    users = count(audit.best.scores.n_users, "user")
    return table(
        ["model", *head], rows, title=f"Scores of {users}, in units of each model", right=head, whole=["model"]
    )


def short(name: str) -> str:
    """A group's number without what it stands for; any other name whole.

    >>> short("10 most popular"), short("fi")
    ('10', 'fi')
    """
    first = name.split()[0]
    return first if first.isdigit() else name


def verdict(audit: FairnessAudit) -> list[str]:
    """Who is served badly, in sentences with the uncertainty in them."""
    return [*_users(audit), *_items(audit), _variance(audit)]


def _users(audit: FairnessAudit) -> list[str]:
    said = []
    for d, division in enumerate(audit.best.fairness.users):
        worst, best = division.worst, division.best
        if worst is None or best is None:
            said.append(f"By {division.what} there are fewer than two groups with held-out items.")
            continue
        if division.gap.mean < SMALL:
            said.append(f"By {division.what} of users, {audit.best.label} serves all groups alike.")
            continue
        metric = f"ndcg@{audit.k}"
        sure = _sure(division)
        said.append(
            f"By {division.what} of users, {audit.best.label} serves {worst.name!r} worst: {metric} {_shown(worst)}, "
            f"against {_shown(best)} for {best.name!r}, a gap of {_valued(division.gap)}; {sure}."
        )
        gaps = {m.label: m.fairness.users[d].gap.mean for m in audit.models}
        known = {label: gap for label, gap in gaps.items() if math.isfinite(gap)}
        if len(known) > 1:
            low, high = min(known, key=lambda label: known[label]), max(known, key=lambda label: known[label])
            said.append(
                f"The gap is smallest for {low} ({number(known[low])}) and largest for {high} ({number(known[high])}); "
                "a small gap at low accuracy is no service to anybody."
            )
    return said


def _items(audit: FairnessAudit) -> list[str]:
    half = len(audit.best.fairness.items) // 2
    rows = {m.label: m.fairness.items[:half] for m in audit.models}
    held = sum(g.test_share for g in next(iter(rows.values())))
    share = sum(g.train_share for g in next(iter(rows.values())))
    slots = {label: sum(g.exposure for g in groups) for label, groups in rows.items()}
    most, least = max(slots, key=lambda label: slots[label]), min(slots, key=lambda label: slots[label])
    said = (
        f"The least popular items, with {share:.0%} of the training interactions, are {held:.0%} of what users went "
        f"for later; they get {slots[most]:.1%} of the list slots from {most}"
    )
    return [f"{said} and {slots[least]:.1%} from {least}." if most != least else f"{said}."]


def _variance(audit: FairnessAudit) -> str:
    parts = []
    for name, what in (("tail_share", "tail share of the lists"), ("gap", "gap between groups of activity")):
        c = audit.between_models()[name]
        if math.isfinite(c.rho) and c.n >= FEW:
            parts.append(f"{c.rho:+.2f} with the {what} (n = {c.n})")
    best = audit.best
    inside = f"Over the users of {best.label}, {_over_users(best.variance_tail)}."
    if not parts:
        return inside
    return (
        f"Relative score variance, over the models, has rank correlation {' and '.join(parts)}: a description of these "
        f"few models, no test. {inside}"
    )


def _over_users(c: Correlation) -> str:
    if not math.isfinite(c.rho):
        return "score variance and tail share do not both vary"
    return f"score variance has rank correlation {c.rho:+.2f} with the tail share of the list (n = {c.n:,})"


def _sure(division: UserDivision) -> str:
    if division.apart:
        return "their 95 % intervals do not meet"
    return "their 95 % intervals meet or one is missing, so the order of the two may be chance"


def _shown(group: UserGroup) -> str:
    return _valued(group.ndcg)


def _valued(found: Interval) -> str:
    bounds = interval(found.low, found.high)
    return number(found.mean) + ("" if bounds == "-" else f" ({bounds})")
