"""The figures of a fairness audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taurec.studies.audit.fairness.tables import ITEMS, MODELS, SCORES, short, users_section, value
from taurec.studies.result import Figure, Series

if TYPE_CHECKING:
    from taurec.studies.audit.fairness.audit import FairnessAudit, ModelFairness


def figures(audit: FairnessAudit) -> list[Figure]:
    """All figures, by section."""
    divisions = range(len(audit.best.fairness.users))
    return [_models(audit), *_items(audit), *(f for d in divisions for f in _users(audit, d)), *_scores(audit)]


def _models(audit: FairnessAudit) -> Figure:
    metric, best = f"ndcg@{audit.k}", audit.best
    return Figure(
        "scatter",
        _points(audit.models, [m.fairness.tail_share for m in audit.models], [m.fairness.ndcg.mean for m in
                                                                              audit.models]),
        "tail share of the lists",
        metric,
        f"Accuracy and tail share of each model. Users' held-out items have a tail share of "
        f"{best.fairness.test_tail_share:.3f}.",
        f"{best.label} has the highest {metric}, {best.fairness.ndcg.mean:.4f}; tail shares from "
        f"{_span([m.fairness.tail_share for m in audit.models])}.",
        section=MODELS,
    )  # fmt: skip


def _items(audit: FairnessAudit) -> list[Figure]:
    metric, best = f"ndcg@{audit.k}", audit.best
    groups = range(1, len(best.fairness.items) + 1)
    exposure = [Series(m.label, groups, [g.exposure for g in m.fairness.items]) for m in audit.models]
    exposure.append(Series("held-out items", groups, [g.test_share for g in best.fairness.items]))
    x_label, last = "popularity group, 1 is the least popular", best.fairness.items[-1]
    return [
        Figure(
            "line",
            [Series.of(m.label, groups, [value(g.ndcg) for g in m.fairness.items]) for m in audit.models],
            x_label,
            f"contribution to {metric}",
            f"Contribution of each popularity group to {metric}, with 95 % bootstrap intervals over users.",
            f"{last.ndcg.mean:.4f} of {best.label}'s {metric} of {best.fairness.ndcg.mean:.4f} comes from the most "
            "popular group.",
            section=ITEMS,
        ),
        Figure(
            "line",
            exposure,
            x_label,
            "share",
            "Share of each group in the held-out items, and in the list positions of each model.",
            f"The most popular group has {last.exposure:.1%} of the list positions of {best.label} and "
            f"{last.test_share:.1%} of the held-out items.",
            section=ITEMS,
        ),
    ]


def _users(audit: FairnessAudit, d: int) -> list[Figure]:
    metric, best = f"ndcg@{audit.k}", audit.best
    division = best.fairness.users[d]
    groups = [g for g in division.groups if g.users]
    if not groups:
        return []
    section, names = users_section(division.what), [g.name for g in groups]
    bars = [
        Series(m.label, [short(n) for n in names], [g.ndcg.mean for g in m.fairness.users[d].groups if g.users])
        for m in audit.models
    ]
    return [
        Figure(
            "bar",
            bars,
            f"{division.what} of users",
            metric,
            f"{metric} of each group of users. Active users have more held-out items, which also changes the metric; "
            "compare models within a group first.",
            f"{best.label} has values from {_span([g.ndcg.mean for g in groups])}.",
            section=section,
        ),
        Figure(
            "interval",
            [Series.of(best.label, names, [value(g.ndcg) for g in groups])],
            metric,
            caption=f"{best.label} by group, with 95 % bootstrap intervals over users.",
            alt=f"The gap between the best and the worst group is {division.gap.mean:.4f}.",
            section=section,
        ),
    ]


def _scores(audit: FairnessAudit) -> list[Figure]:
    known = [m for m in audit.models if math.isfinite(m.scores.relative_variance)]
    if not known:
        return []
    spread, c = [m.scores.relative_variance for m in known], audit.between_models()["tail_share"]
    return [
        Figure(
            "scatter",
            _points(known, spread, [m.fairness.tail_share for m in known]),
            "relative variance of a user's negative scores",
            "tail share of the lists",
            f"Spread of scores and tail share of each model; rank correlation {c.rho:.2f}, n = {c.n}.",
            f"Relative variances from {_span(spread)}.",
            section=SCORES,
        )
    ]


def _points(models: Sequence[ModelFairness], x: Sequence[float], y: Sequence[float]) -> list[Series]:
    return [Series(m.label, [a], [b]) for m, a, b in zip(models, x, y, strict=True)]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.4f} to {max(values):.4f}"
