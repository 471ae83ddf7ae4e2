"""A fairness audit in sentences: who gets the worst recommendations, and how certain that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taurec.studies.words import interval, number

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval
    from taurec.studies.audit.fairness.audit import FairnessAudit
    from taurec.studies.audit.fairness.served import UserDivision

FEW = 4
"""Fewest models whose correlation is reported."""
SMALL = 0.0005
"""Gaps below this are 0 at three digits."""


def verdict(audit: FairnessAudit) -> list[str]:
    """The groups of users, the groups of items, and the spread of scores."""
    users = [line for d in range(len(audit.best.fairness.users)) for line in _users(audit, d)]
    return [*users, _items(audit), _variance(audit)]


def _users(audit: FairnessAudit, d: int) -> list[str]:
    division, label, metric = audit.best.fairness.users[d], audit.best.label, f"ndcg@{audit.k}"
    worst, best = division.worst, division.best
    if worst is None or best is None:
        return [f"By {division.what} there are fewer than two groups with held-out items."]
    if division.gap.mean < SMALL:
        return [f"By {division.what} of users, {label} serves all groups equally well."]
    said = (
        f"By {division.what} of users, {label} serves {worst.name!r} worst: {metric} {_valued(worst.ndcg)}, against "
        f"{_valued(best.ndcg)} for {best.name!r}, a gap of {_valued(division.gap)}; {_certainty(division)}."
    )
    gaps = {m.label: m.fairness.users[d].gap.mean for m in audit.models}
    known = {gap: name for name, gap in gaps.items() if math.isfinite(gap)}
    if len(known) < 2:
        return [said]
    return [
        said,
        f"The gap is smallest for {known[min(known)]} ({number(min(known))}) and largest for {known[max(known)]} "
        f"({number(max(known))}). A small gap at low accuracy helps no group.",
    ]


def _items(audit: FairnessAudit) -> str:
    half = len(audit.best.fairness.items) // 2
    rows = audit.best.fairness.items[:half]
    exposure = {m.label: sum(g.exposure for g in m.fairness.items[:half]) for m in audit.models}
    most, least = max(exposure, key=lambda m: exposure[m]), min(exposure, key=lambda m: exposure[m])
    said = (
        f"The least popular items have {sum(g.train_share for g in rows):.0%} of the training interactions and "
        f"{sum(g.test_share for g in rows):.0%} of the held-out items; {most} gives them {exposure[most]:.1%} of the "
        "list positions"
    )
    return f"{said}, {least} {exposure[least]:.1%}." if most != least else f"{said}."


def _variance(audit: FairnessAudit) -> str:
    between, c = audit.between_models(), audit.best.variance_tail
    over_users = (
        f"Over the users of {audit.best.label}, score variance has rank correlation {c.rho:+.2f} with the tail share "
        f"of the list (n = {c.n:,})."
        if math.isfinite(c.rho)
        else f"Over the users of {audit.best.label}, score variance and tail share do not both vary."
    )
    parts = [
        f"{between[name].rho:+.2f} with the {what} (n = {between[name].n})"
        for name, what in (("tail_share", "tail share of the lists"), ("gap", "gap between groups of activity"))
        if math.isfinite(between[name].rho) and between[name].n >= FEW
    ]
    if not parts:
        return over_users
    return (
        f"Over the models, relative score variance has rank correlation {' and '.join(parts)}; with so few models this "
        f"is a description, not a test. {over_users}"
    )


def _certainty(division: UserDivision) -> str:
    if division.apart:
        return "their 95 % intervals do not overlap"
    return "their 95 % intervals overlap or one is missing, so the order of the two may be chance"


def _valued(found: Interval) -> str:
    bounds = interval(found.low, found.high)
    return number(found.mean) + ("" if bounds == "-" else f" ({bounds})")
