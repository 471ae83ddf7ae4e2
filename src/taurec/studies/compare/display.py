"""The tables and figures of a comparison, and the Pareto front of quality against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taurec.studies import warm_cold
from taurec.studies.evidence import learning_curve, metric_cells, metric_columns, metric_figure
from taurec.studies.result import Cell, Column, Figure, Part, Series, Table, Text
from taurec.studies.words import LEVEL, count, number

if TYPE_CHECKING:
    from taurec.studies.compare.results import Comparison, Row

ACCURACY, CURVES, COST, SERVED = "Accuracy", "Learning curves", "Quality and cost", "Who is served"
PROTOCOL = "How it was evaluated"
SHOWN = 4
"""Models in the plots of groups."""
_SPENT = {"seconds": "seconds of one fit", "tune_seconds": "seconds of all settings and seeds"}
COSTS = {"seconds": "fit", "tune_seconds": "tuning", "peak_mb": "memory"}
"""Fields of a row that are costs: seconds of one fit, seconds of choosing its setting, memory; each with its name."""


def ranking(found: Comparison, metrics: Sequence[str]) -> Table:
    """One row per model, the failed ones last; ``*`` marks the best, ``=`` what does not differ significantly from it.

    With several seeds a column has the standard deviation over seeds of the metric that chose. A narrow terminal first
    leaves out the intervals of the other metrics, then memory and epochs, then the last interval, then that column.
    """
    over_seeds = [Column("sd of seeds", spec=".4f")] if found.seeds > 1 else []
    costs = [Column("epochs"), Column("fit", "s"), Column("memory", whole=True)]
    columns = [Column(""), Column("model", whole=True), *metric_columns(metrics), *over_seeds, *costs]
    rows: list[list[Cell]] = [
        [
            mark(found, row), row.label, *metric_cells(row.metrics, metrics),
            *(["-" if (sd := _deviation(found, row)) is None else sd] if over_seeds else []),
            row.epochs or "-", row.seconds, "-" if row.peak_mb is None else f"{row.peak_mb:,.0f} MB",
        ]
        for row in found.rows
    ]  # fmt: skip
    for one in found.failed:
        rows.append(["", one.label, "failed", *["-"] * (len(columns) - 3)])
    others = [m for m in reversed(metrics) if m != found.metric]
    narrow = [*([f"± {m}"] for m in others), ["epochs", "memory"], [f"± {found.metric}"], ["sd of seeds"]]
    best = [n for n, row in enumerate(found.rows) if row is found.best]
    seeds = f", {count(found.seeds, 'seed')}" if found.seeds > 1 else ""
    title = f"{found.source}: test part, {count(found.n_users, 'user')}{seeds}"
    return Table(title, columns, rows, strong=best, section=ACCURACY, narrow=narrow)


def warm_and_cold(found: Comparison, metrics: Sequence[str]) -> list[Table]:
    """Users with and without training rows apart, if the test part has both."""
    apart = {row.label: row.apart for row in found.rows if row.apart is not None}
    return [warm_cold.table(apart, metrics, ACCURACY)] if apart else []


def page_tables(found: Comparison) -> list[Table]:
    """The tables of the page: accuracy with its tests, costs, and the models that failed."""
    ranked = by_test(found)
    metrics = list(ranked[0].metrics)
    accuracy: list[list[Cell]] = [
        [row.label, *metric_cells(row.metrics, metrics), row.p_value, _deviation(found, row)] for row in ranked
    ]
    note = (
        "p: paired sign-flip test against the best row, corrected by Holm. sd of seeds: standard deviation of "
        f"{found.metric} over {count(found.seeds, 'seed')}; empty for one seed or a model without random draws."
    )
    best = [n for n, row in enumerate(ranked) if row is found.best]
    columns: list[Column | str] = ["model", *metric_columns(metrics), "p (Holm)", "sd of seeds"]
    test_part = Table("Test part", columns, accuracy, note, strong=best, section=ACCURACY)
    fronts = {name: on_front(found.rows, found.metric, (cost,)) for cost, name in COSTS.items()}
    costs: list[list[Cell]] = [
        [
            row.label, row.metrics[found.metric].mean, row.seconds, row.tune_seconds, row.tried, row.peak_mb,
            ", ".join(name for name, front in fronts.items() if row.label in front),
        ]
        for row in ranked
    ]  # fmt: skip
    columns = [
        "model", Column(found.metric, better="higher"), Column("fit", "s"), Column("tuning", "s"), "settings tried",
        Column("memory", "MB", spec=",.0f"), "on the front of",
    ]  # fmt: skip
    note = "Memory is the growth of the process's memory during a fit."
    tables = [test_part, *warm_and_cold(found, metrics)]
    tables.append(Table("Number of settings and cost of each model", columns, costs, note, section=COST))
    if found.failed:
        reasons: list[list[Cell]] = [[one.label, f"failed: {one.reason}"] for one in found.failed]
        tables.insert(1, Table("Models that failed", ["model", "reason"], reasons, section=ACCURACY))
    return tables


def settings_table(found: Comparison) -> Table:
    """The setting that validation chose for each model."""
    rows: list[list[Cell]] = [[row.label, row.tried, row.tune_seconds, row.valid, _setting(row)] for row in found.rows]
    times, valid = Column("time for them", "s"), Column("on validation", spec=".4f")
    head: list[Column | str] = ["model", "settings tried", times, valid, "chosen"]
    return Table("The settings that validation chose", head, rows, section=PROTOCOL, folded=True)


def undominated(quality: Sequence[float], *costs: Sequence[float]) -> list[bool]:
    """Which of n points are on the Pareto front: quality is better high, every cost better low.

    A point is off the front if another is at least as good in everything and better in something; of two that are
    equal in everything both are on it.

    >>> undominated([0.5, 0.4, 0.3], [9.0, 1.0, 2.0])
    [True, True, False]
    """
    points = list(zip(quality, *([-c for c in cost] for cost in costs), strict=True))
    return [not any(q != p and all(b >= a for a, b in zip(p, q, strict=True)) for q in points) for p in points]


def on_front(rows: Sequence[Row], metric: str, costs: Sequence[str] = ("seconds",)) -> list[str]:
    """The labels of the rows on the Pareto front of a test metric against some of :data:`COSTS`, the cheapest first.

    If the memory of some row could not be read, memory is left out for all rows. Differences in quality count whether
    they are significant or not, since a front describes what was measured.
    """
    read = [cost for cost in costs if all(getattr(row, cost) is not None for row in rows)]
    kept = undominated(
        [row.metrics[metric].mean for row in rows], *([float(getattr(row, cost)) for row in rows] for cost in read)
    )
    found = [row for row, keep in zip(rows, kept, strict=True) if keep]
    return [row.label for row in sorted(found, key=lambda row: getattr(row, costs[0]) or 0.0)]


def by_test(found: Comparison) -> list[Row]:
    """The rows by their test value, the best first."""
    return sorted(found.rows, key=lambda row: -row.metrics[found.metric].mean)


def mark(found: Comparison, row: Row) -> str:
    """``*`` for the best row, ``=`` for a row that does not differ significantly from it, else empty."""
    if row is found.best:
        return "*"
    return "=" if row.p_value is not None and row.p_value >= LEVEL else ""


def _deviation(found: Comparison, row: Row) -> Cell:
    """The standard deviation of the choosing metric over seeds; None for a model without random draws."""
    spread = row.spread.get(found.metric)
    return None if spread is None else spread.std


def _setting(row: Row) -> str:
    run = row.run
    if run.model is not None:
        return run.text
    numbers = f"lr {run.lr:g}, l2 {run.l2:g}, batch {run.batch_size}"
    return f"{run.backbone.text}, {run.loss.text}, {run.negatives.text}, {numbers}"


def figures(found: Comparison) -> list[Figure]:
    """Accuracy, the learning curves of the trained models, and accuracy against cost."""
    values = {row.label: row.metrics[found.metric] for row in by_test(found)}
    caption = f"{found.metric} over {count(found.n_users, 'user')} of the test part, with 95 % bootstrap intervals."
    costs = [_against(found, cost, name) for cost, name in _SPENT.items()]
    return [metric_figure(values, found.metric, caption, ACCURACY), *_curves(found), *costs]


def protocol(found: Comparison) -> Text:
    """How the models were fitted, chosen and evaluated."""
    held_out = found.split.given is not None
    users = (
        " No row of the test and validation users is trained on; they are ranked from their given rows, four of five."
    )
    hidden = "training, validation and given rows" if held_out else "training and validation"
    return Text(
        f"One split of the log ({found.split.how}) for all models.{users if held_out else ''} The setting and epoch "
        f"of a model are those with the best {found.metric} on the validation part; they were evaluated once on the "
        f"test part. Candidates are all items except those of the user in {hidden}.",
        PROTOCOL,
    )


def shown_models(found: Comparison) -> list[str]:
    """The most important models: the chosen one, the best of the other kind, the best on test, and popularity."""
    versus = [] if found.versus is None else [found.versus.trained, found.versus.baseline]
    labels = [found.chosen_label, *versus, found.best.label, "popularity"]
    known = {row.label for row in found.rows}
    return [label for label in dict.fromkeys(labels) if label in known and label in found.models][:SHOWN]


def group_results(found: Comparison) -> list[Part]:
    """The results of :func:`shown_models` in groups of items and of users, computed by this call."""
    from taurec.evaluation.metrics import parse
    from taurec.evaluation.users import UserScorer
    from taurec.studies.audit.fairness.groups import activity_groups
    from taurec.studies.audit.fairness.measures import fairness

    parts, labels = found.split, shown_models(found)
    if not labels:
        return []
    seen = parts.known("test")
    k = min(parse(found.metric).k, parts.train.n_items)
    scorers = {m: UserScorer.of_part(found.models[m].ranker, parts, "test") for m in labels}
    activity = (activity_groups(parts.known("valid")),)
    models = {m: fairness(scorer, parts.test, parts.train, seen, k, users=activity) for m, scorer in scorers.items()}
    first, metric = models[labels[0]], f"ndcg@{k}"
    by_popularity = Figure(
        "bar",
        [Series(m, [g.name for g in first.items], [g.ndcg.mean for g in f.items]) for m, f in models.items()],
        "items by popularity, groups with equally many interactions",
        f"contribution to {metric}",
        f"Contribution of each popularity group of items to {metric}; a model's bars add up to its {metric}.",
        f"Contributions of {count(len(first.items), 'popularity group')} of items to {metric}",
        section=SERVED,
    )
    by_user = []
    for n, division in enumerate(first.users):
        names = [group.name for group in division.groups]
        bars = [Series(m, names, [g.ndcg.mean for g in f.users[n].groups]) for m, f in models.items()]
        caption = f"{metric} by {division.what} of users."
        alt = f"{labels[0]} serves {division.worst.name if division.worst else 'no group'} worst"
        by_user.append(Figure("bar", bars, f"users by {division.what}", metric, caption, alt, section=SERVED))
    rows: list[list[Cell]] = [
        [m, f.ndcg.mean, f.coverage, f.gini, f.average_popularity, f.tail_share] for m, f in models.items()
    ]
    note = (
        "Coverage: share of the catalogue in any list. Gini: inequality of exposure. Average popularity: mean training "
        "count of the listed items. Tail share: share of tail items in the lists; in the held-out items it is "
        f"{number(first.test_tail_share, 3)}."
    )
    others = ["coverage", "Gini", "average popularity", "tail share"]
    columns: list[Column | str] = ["model", Column(metric, better="higher"), *others]
    return [by_popularity, *by_user, Table("Lists of the first seed", columns, rows, note, section=SERVED)]


def _curves(found: Comparison) -> list[Figure]:
    trained = [row for row in found.rows if row.run.model is None and found.models[row.label].records]
    if not trained:
        return []
    curves = [learning_curve(row.label, found.models[row.label], found.metric) for row in trained]
    best = [f"{row.label} is best in epoch {row.epochs} of {len(found.models[row.label].records)}" for row in trained]
    caption = "Validation after each epoch, first seed; the best epoch of each model is evaluated."
    return [Figure("line", curves, "epoch", f"{found.metric} on validation", caption, ", ".join(best), section=CURVES)]


def _against(found: Comparison, cost: str, name: str) -> Figure:
    points = [
        Series(row.label, [max(float(getattr(row, cost)), 1e-3)], [row.metrics[found.metric].mean])
        for row in found.rows
    ]
    front = ", ".join(on_front(found.rows, found.metric, (cost,)))
    alt = f"On the Pareto front (no other model is both better and cheaper): {front}"
    caption = f"Accuracy against {name}. {alt}."
    return Figure("scatter", points, name, f"{found.metric} on test", caption, alt, log_x=True, section=COST)
