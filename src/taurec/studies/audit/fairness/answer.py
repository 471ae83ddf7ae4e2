"""The verdict, tables and figures of a fairness audit: which users get the worst recommendations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from taurec.evaluation.significance import Interval
from taurec.studies.result import Cell, Column, Figure, Part, Series, Table, Text, Value
from taurec.studies.words import count, interval, number

if TYPE_CHECKING:
    from taurec.studies.audit.fairness.audit import FairnessAudit, ModelFairness
    from taurec.studies.audit.fairness.measures import ItemGroup, UserGroup

DEFINITIONS = (
    ("ndcg, recall", "0 to 1", "mean over users with held-out items; the contributions of the groups add up to it"),
    ("held out", "0 to 1", "contribution of a group to a recall of 1: mean over users of its share"),
    ("exposure", "0 to 1", "share of all list positions; discounted: position r counts 1 / log2(r + 1)"),
    ("coverage", "0 to 1", "share of the catalogue that is in at least one list"),
    ("Gini", "0 to 1", "inequality of how often items are listed; 0 is equal"),
    ("entropy", "bits", "of the exposure shares; log2 of the number of items means equal exposure"),
    ("ARP", "interactions", "mean over users of the mean training count of the listed items"),
    ("tail (APLT)", "0 to 1", "mean over users of the share of their list outside the items that hold 80 % of "
     "training"),
    ("corr", "-1 to 1", "rank correlation over items of training count and number of lists"),
    ("REO, RSP", "0 or more", "spread over mean of the groups' chance to be listed; REO: of held-out items only"),
    ("rel var", "0 or more", "variance of a user's negative scores over the squared distance between the means of "
     "positive and negative scores"),
    ("pop", "-1 to 1", "rank correlation over items of training count and mean score among users without the item"),
    ("var-tail", "-1 to 1", "rank correlation over users of score variance and tail share of the list"),
)  # fmt: skip


MIN_MODELS = 4
"""Minimum number of models for a correlation over models to be reported."""
NO_GAP = 0.0005
"""Gaps below this are 0 at three digits."""


def verdict(audit: FairnessAudit) -> list[str]:
    """The groups of users, the groups of items, and the spread of scores."""
    users = [line for d in range(len(audit.best.fairness.users)) for line in _users_served(audit, d)]
    return [*users, _items_shown(audit), _variance(audit)]


def _users_served(audit: FairnessAudit, d: int) -> list[str]:
    division, label = audit.best.fairness.users[d], audit.best.label
    worst, best = division.worst, division.best
    if worst is None or best is None:
        return [f"By {division.what} of users, fewer than two groups have held-out items."]
    if division.gap.mean < NO_GAP:
        return [f"By {division.what} of users, {label} serves all groups equally well."]
    overlap = "overlap or one is missing, so the difference may be chance"
    said = (
        f"By {division.what} of users, {label} serves {worst.name!r} worst: ndcg@{audit.k} "
        f"{_with_interval(worst.ndcg)}, against {_with_interval(best.ndcg)} for {best.name!r}, a gap of "
        f"{_with_interval(division.gap)}; the 95 % intervals of the two groups "
        f"{'do not overlap' if division.apart else overlap}."
    )
    gaps = {m.fairness.users[d].gap.mean: m.label for m in audit.models}
    low, high = min(filter(math.isfinite, gaps)), max(filter(math.isfinite, gaps))
    if low == high:
        return [said]
    return [
        said,
        f"The gap is smallest for {gaps[low]} ({number(low)}) and largest for {gaps[high]} ({number(high)}). "
        "A small gap is of no use if all groups have low accuracy.",
    ]


def _items_shown(audit: FairnessAudit) -> str:
    half = len(audit.best.fairness.items) // 2
    rows = audit.best.fairness.items[:half]
    exposure = {m.label: sum(g.exposure for g in m.fairness.items[:half]) for m in audit.models}
    most, least = max(exposure, key=exposure.__getitem__), min(exposure, key=exposure.__getitem__)
    said = (
        f"The least popular items have {sum(g.train_share for g in rows):.0%} of the training interactions and "
        f"{sum(g.test_share for g in rows):.0%} of the held-out items; {most} gives them {exposure[most]:.1%} of the "
        "list positions"
    )
    return f"{said}, {least} {exposure[least]:.1%}." if most != least else f"{said}."


def _variance(audit: FairnessAudit) -> str:
    between, c = audit.between_models(), audit.best.variance_tail
    both = f"has rank correlation {c.rho:+.2f} with the tail share of the list (n = {c.n:,})"
    neither = "or tail share is constant"
    over_users = f"Over the users of {audit.best.label}, score variance {both if math.isfinite(c.rho) else neither}."
    parts = [
        f"{between[name].rho:+.2f} with the {what} (n = {between[name].n})"
        for name, what in (("tail_share", "tail share of the lists"), ("gap", "gap between groups of activity"))
        if math.isfinite(between[name].rho) and between[name].n >= MIN_MODELS
    ]
    if not parts:
        return over_users
    return (
        f"Over the models, relative score variance has rank correlation {' and '.join(parts)}; with this few models it "
        f"is a description, not a test. {over_users}"
    )


def _with_interval(found: Interval) -> str:
    bounds = interval(found.low, found.high)
    return number(found.mean) + ("" if bounds == "-" else f" ({bounds})")


def sections(audit: FairnessAudit) -> list[Part]:
    """The parts of the page, in order."""
    divisions = [(f"Users by {users.what}", _users(audit, d)) for d, users in enumerate(audit.best.fairness.users)]
    definitions = Table("Definitions of the measures", ("measure", "range", "what it is"), DEFINITIONS, folded=True)
    made: list[tuple[str, list[Part]]] = [
        ("Models", _models(audit)),
        ("Items by popularity", _items(audit)),
        *divisions,
        ("Spread of scores", _scores(audit)),
        ("Most listed items", [_most_listed(audit)]),
        ("Definitions", [definitions]),
    ]
    return [replace(part, section=section) for section, parts in made for part in parts]


def _models(audit: FairnessAudit) -> list[Part]:
    recall, ndcg, best = f"recall@{audit.k}", f"ndcg@{audit.k}", audit.best.fairness
    tails = _values(audit.models, "fairness.tail_share")
    figure = Figure(
        "scatter",
        _points(audit.models, tails, _values(audit.models, "fairness.ndcg.mean")),
        "tail share of the lists",
        ndcg,
        "Accuracy and tail share of each model. Users' held-out items have a tail share of "
        f"{best.test_tail_share:.3f}.",
        f"{audit.best.label} has the highest {ndcg}, {best.ndcg.mean:.4f}; tail shares from {_span(tails)}.",
    )
    columns = [
        Column("model", whole=True), Column(ndcg, better="higher"), Column(recall, better="higher"),
        Column("coverage", spec=".3f"), Column("Gini", spec=".3f"), Column("entropy", "bits", spec=".2f"),
        Column("ARP", spec=".1f"), Column("tail", spec=".3f"), Column("corr", spec=".2f"),
        Column("REO", spec=".2f"), Column("RSP", spec=".2f"),
    ]  # fmt: skip
    measures = attrgetter(
        "recall.mean", "coverage", "gini", "entropy", "average_popularity", "tail_share", "popularity_exposure",
        "reo", "rsp",
    )  # fmt: skip
    rows = [(m.label, _value(m.fairness.ndcg), *measures(m.fairness)) for m in audit.models]
    title = f"{audit.source}: lists of {audit.k} for {count(best.n_users, 'user')}, test part"
    strong = [n for n, m in enumerate(audit.models) if m is audit.best]
    return [figure, Table(title, columns, rows, strong=strong, narrow=[[f"± {ndcg}"], [recall], ["entropy"]])]


def _items(audit: FairnessAudit) -> list[Part]:
    metric, best, models = f"ndcg@{audit.k}", audit.best, audit.models
    groups, x_label = best.fairness.items, "popularity group, 1 is the least popular"
    numbers, total, last = range(1, len(groups) + 1), best.fairness.ndcg.mean, groups[-1]
    exposure = [Series(m.label, numbers, _values(m.fairness.items, "exposure")) for m in models]
    return [
        Text(
            "Items are divided by popularity into groups with about the same number of training interactions. The "
            "contribution of a group is the part of the metric that comes from its hits; the contributions add up to "
            "the metric."
        ),
        Figure(
            "line",
            [Series.of(m.label, numbers, [_value(g.ndcg) for g in m.fairness.items]) for m in models],
            x_label,
            f"contribution to {metric}",
            f"Contribution of each popularity group to {metric}, with 95 % bootstrap intervals over users.",
            f"{last.ndcg.mean:.4f} of {best.label}'s {metric} of {total:.4f} comes from the most popular group.",
        ),
        Figure(
            "line",
            [*exposure, Series("held-out items", numbers, _values(groups, "test_share"))],
            x_label,
            "share",
            "Share of each group in the held-out items, and in the list positions of each model.",
            f"The most popular group has {last.exposure:.1%} of the list positions of {best.label} and "
            f"{last.test_share:.1%} of the held-out items.",
        ),
        _by_group(
            f"Contribution to {metric} by popularity group, 1 the least popular",
            ["group", "items", Column("held out", spec=".3f"), *_labels(audit, ".4f")],
            [(short(g.name), g.items, g.test_share) for g in groups],
            [_values(m.fairness.items, "ndcg.mean") for m in models],
            ("sum", sum(g.items for g in groups), 1.0, *_values(models, "fairness.ndcg.mean")),
        ),
        _by_group(
            "Share of training, held-out items and list positions by popularity group",
            ["group", Column("training", spec=".3f"), Column("held out", spec=".3f"), *_labels(audit, ".3f")],
            [(short(g.name), g.train_share, g.test_share) for g in groups],
            [_values(m.fairness.items, "exposure") for m in models],
        ),
        _all_figures(
            "popularity group",
            ("items", "training", "held out", "recall", "ndcg", "exposure", "discounted exposure",
             "P(listed | held out)", "P(listed)"),
            [(m.label, group) for m in models for group in m.fairness.items],
        ),
    ]  # fmt: skip


def _users(audit: FairnessAudit, d: int) -> list[Part]:
    metric, best, of_best = f"ndcg@{audit.k}", audit.best.label, audit.best.fairness.users[d]
    divisions = [(m.label, m.fairness.users[d]) for m in audit.models]
    what, groups = of_best.what, [g for g in of_best.groups if g.users]
    names = [g.name for g in groups]
    figures: list[Part] = []
    if groups:
        shorts = [short(n) for n in names]
        figures = [
            Figure(
                "bar",
                [Series(label, shorts, [g.ndcg.mean for g in of.groups if g.users]) for label, of in divisions],
                f"{what} of users",
                metric,
                f"{metric} of each group of users. Active users have more held-out items, which also changes the "
                "metric; compare models within a group first.",
                f"{best} has values from {_span(_values(groups, 'ndcg.mean'))}.",
            ),
            Figure(
                "interval",
                [Series.of(best, names, [_value(g.ndcg) for g in groups])],
                metric,
                caption=f"{best} by group, with 95 % bootstrap intervals over users.",
                alt=f"The gap between the best and the worst group is {of_best.gap.mean:.4f}.",
            ),
        ]
    apart, without = ", ".join(label for label, of in divisions if of.apart), of_best.n_without
    notes = [
        f"The 95 % intervals of the worst and the best group do not overlap for {apart}." if apart else "",
        f"{without:,} users with held-out items have no value and are in no group." if without else "",
    ]
    table = _by_group(
        f"{metric} by {what} of users",
        ["group", "users", *_labels(audit, ".4f")],
        [(short(g.name), g.users) for g in of_best.groups],
        [_values(of.groups, "ndcg.mean") for _, of in divisions],
        ("gap", None, *(of.gap.mean for _, of in divisions)),
    )
    groups_of_models = [(label, group) for label, of in divisions for group in of.groups]
    everything = _all_figures(what, ("users", f"recall@{audit.k}", metric), groups_of_models)
    return [*figures, replace(table, note=" ".join(filter(None, notes))), everything]


def _scores(audit: FairnessAudit) -> list[Part]:
    known = [m for m in audit.models if math.isfinite(m.scores.relative_variance)]
    spread, c = _values(known, "scores.relative_variance"), audit.between_models()["tail_share"]
    made: list[Part] = [
        Text(
            "For large tau the softmax loss penalises the mean and the variance of a user's negative scores, which "
            "should keep popular items from ranking above the others for all users. Scores of different models have "
            "different scales; the relative variance does not depend on the scale. A correlation over a few models is "
            "a description, not a proof."
        )
    ]
    if known:
        made.append(
            Figure(
                "scatter",
                _points(known, spread, _values(known, "fairness.tail_share")),
                "relative variance of a user's negative scores",
                "tail share of the lists",
                f"Spread of scores and tail share of each model; rank correlation {c.rho:.2f}, n = {c.n}.",
                f"Relative variances from {_span(spread)}.",
            )
        )
    heads = ("neg mean", "neg var", "pos mean", "pos var", "rel var")
    columns = [Column("model", whole=True), *(Column(name, spec=".3g") for name in heads)]
    columns += [Column("pop", spec=".2f"), Column("var-tail", spec=".2f")]
    measures = attrgetter(
        "negative_mean", "negative_variance", "positive_mean", "positive_variance", "relative_variance",
        "popularity_score",
    )  # fmt: skip
    rows = [(m.label, *measures(m.scores), m.variance_tail.rho) for m in audit.models]
    title = f"Scores of {count(audit.best.scores.n_users, 'user')}, in units of each model"
    return [*made, Table(title, columns, rows, narrow=[["var-tail"]])]


def _most_listed(audit: FairnessAudit) -> Table:
    ids, name = audit.split.train.items.ids, audit.names.item
    rows = [(m.label, name(ids[i]), lists, training) for m in audit.models for i, lists, training in m.most_exposed]
    head = ("model", "item", "share of lists", "share of training")
    return Table("The ten items in the most lists of each model", head, rows, folded=True)


def _by_group(
    title: str,
    columns: Sequence[Column | str],
    groups: Iterable[Sequence[Cell]],
    of_models: Iterable[Iterable[float]],
    last: Sequence[Cell] = (),
) -> Table:
    """A table with a row per group, with facts about the group and a measure of each model; ``last`` is emphasised."""
    rows = [(*group, *values) for group, *values in zip(groups, *of_models, strict=True)]
    return Table(title, columns, [*rows, last], strong=[len(rows)]) if last else Table(title, columns, rows)


def _all_figures(what: str, heads: Iterable[str], groups: Iterable[tuple[str, ItemGroup | UserGroup]]) -> Table:
    """A table with a row per model and group, with all fields of the group."""
    rows = [
        [label, *(_value(v) if isinstance(v, Interval) else v for v in vars(group).values())] for label, group in groups
    ]
    return Table(f"All figures by {what}", ("model", "group", *heads), rows, folded=True)


def _labels(audit: FairnessAudit, spec: str) -> list[Column]:
    return [Column(m.label, spec=spec) for m in audit.models]


def _values(cases: Iterable[object], name: str) -> list[float]:
    return [attrgetter(name)(case) for case in cases]


def _value(found: Interval) -> Value:
    return Value(found.mean, found.low, found.high)


def _points(models: Sequence[ModelFairness], x: Sequence[float], y: Sequence[float]) -> list[Series]:
    return [Series(m.label, [a], [b]) for m, a, b in zip(models, x, y, strict=True)]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.4f} to {max(values):.4f}"


def short(name: str) -> str:
    """The number at the start of a group's name; a name without one is unchanged.

    >>> short("10 most popular"), short("fi")
    ('10', 'fi')
    """
    first = name.split()[0]
    return first if first.isdigit() else name
