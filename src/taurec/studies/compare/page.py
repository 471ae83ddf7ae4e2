"""What the page of a comparison shows beyond its tables: figures, groups of users and items, and the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from taurec.studies.compare.front import on_front
from taurec.studies.compare.tables import ACCURACY, COST, CURVES, PROTOCOL, SERVED, by_test
from taurec.studies.result import Cell, Column, Figure, Part, Series, Table, Text, Value
from taurec.studies.words import count, number

if TYPE_CHECKING:
    from taurec.studies.audit.fairness.measures import Fairness
    from taurec.studies.compare.results import Comparison

SHOWN = 4
"""Models in the plots of groups."""


def figures(found: Comparison) -> list[Figure]:
    """Accuracy, the learning curves of the trained models, and accuracy against cost."""
    return [_accuracy(found), *_curves(found), *_costs(found)]


def protocol(found: Comparison) -> Text:
    """How the models were fitted, chosen and evaluated."""
    return Text(
        f"One split of the log ({found.split.how}) for all models. The setting and the epoch of a model are those with "
        f"the best {found.metric} on the validation part; they were evaluated once on the test part. Candidates are "
        "all items except those of the user in training and validation.",
        PROTOCOL,
    )


def shown_models(found: Comparison) -> list[str]:
    """The models of most interest: the one to use, the best of the other kind, the best on test, popularity."""
    versus = [] if found.versus is None else [found.versus.trained, found.versus.baseline]
    labels = [found.chosen_label, *versus, found.best.label, "popularity"]
    known = {row.label for row in found.rows}
    return [label for label in dict.fromkeys(labels) if label in known and label in found.models][:SHOWN]


def served(found: Comparison) -> list[Part]:
    """How the lists of :func:`shown_models` serve groups of items and users, computed now."""
    from taurec.evaluation.metrics import parse
    from taurec.studies.audit.fairness.measures import fairness

    parts = found.split
    seen = parts.train.union(parts.valid) if len(parts.valid) else parts.train
    k = min(parse(found.metric).k, parts.train.n_items)
    models = {m: fairness(found.models[m].ranker, parts.test, parts.train, seen, k) for m in shown_models(found)}
    return [*_group_figures(models), _group_table(models)] if models else []


def _accuracy(found: Comparison) -> Figure:
    ranked = by_test(found)
    values = [row.metrics[found.metric] for row in ranked]
    series = Series.of(found.metric, [row.label for row in ranked], [Value(v.mean, v.low, v.high) for v in values])
    alt = ", ".join(f"{row.label} {number(v.mean)}" for row, v in zip(ranked, values, strict=True))
    caption = f"{found.metric} over {count(found.n_users, 'user')} of the test part, with 95 % bootstrap intervals."
    return Figure("interval", [series], f"{found.metric} on test", "", caption, alt, section=ACCURACY)


def _curves(found: Comparison) -> list[Figure]:
    series, alt = [], []
    for row in found.rows:
        model = found.models.get(row.label)
        records = [r for r in model.records if found.metric in r.metrics] if row.trained and model else []
        if model is None or not records:
            continue
        series.append(Series(row.label, [float(r.epoch) for r in records], [r.metrics[found.metric] for r in records]))
        alt.append(f"{row.label} is best in epoch {row.epochs} of {len(model.records)}")
    if not series:
        return []
    caption = "Validation after each epoch, first seed; the best epoch of each model is evaluated."
    label = f"{found.metric} on validation"
    return [Figure("line", series, "epoch", label, caption, ", ".join(alt), section=CURVES)]


def _costs(found: Comparison) -> list[Figure]:
    made = []
    for cost, name in (("seconds", "seconds of one fit"), ("tune_seconds", "seconds of all settings and seeds")):
        front = ", ".join(on_front(found.rows, found.metric, (cost,)))
        points = [
            Series(row.label, [max(float(getattr(row, cost)), 1e-3)], [row.metrics[found.metric].mean])
            for row in found.rows
        ]
        alt = f"No other model is both better and cheaper: {front}"
        caption = f"Accuracy against {name}. {alt}."
        made.append(Figure("scatter", points, name, f"{found.metric} on test", caption, alt, log_x=True, section=COST))
    return made


def _group_figures(models: Mapping[str, Fairness]) -> list[Figure]:
    label, first = next(iter(models.items()))
    metric, groups = f"ndcg@{first.k}", [group.name for group in first.items]
    items = Figure(
        "bar",
        [Series(m, groups, [group.ndcg.mean for group in f.items]) for m, f in models.items()],
        "items by popularity, groups with equally many interactions",
        f"contribution to {metric}",
        f"What each popularity group of items contributes to {metric}; a model's bars add up to its value.",
        f"Contributions of {count(len(groups), 'popularity group')} of items to {metric}",
        section=SERVED,
    )
    users = []
    for n, division in enumerate(first.users):
        names = [group.name for group in division.groups]
        bars = [Series(m, names, [g.ndcg.mean for g in f.users[n].groups]) for m, f in models.items()]
        caption = f"How well users are served, by {division.what}."
        alt = f"{label} serves {division.worst.name if division.worst else 'no group'} worst"
        users.append(Figure("bar", bars, f"users by {division.what}", metric, caption, alt, section=SERVED))
    return [items, *users]


def _group_table(models: Mapping[str, Fairness]) -> Table:
    first = next(iter(models.values()))
    metric = Column(f"ndcg@{first.k}", better="higher")
    rows: list[list[Cell]] = [
        [m, f.ndcg.mean, f.coverage, f.gini, f.average_popularity, f.tail_share] for m, f in models.items()
    ]
    note = (
        "Coverage: share of the catalogue in any list. Gini: inequality of exposure. Average popularity: training "
        "count of a listed item. Tail share: of the lists; of the held-out items it is "
        f"{number(first.test_tail_share, 3)}."
    )
    head: list[Column | str] = ["model", metric, "coverage", "Gini", "average popularity", "tail share"]
    return Table("Lists of the first seed", head, rows, note, section=SERVED)
