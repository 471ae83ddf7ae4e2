"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taurec.studies.compare.front import COSTS, on_front
from taurec.studies.result import Cell, Column, Table, Value
from taurec.studies.words import LEVEL, count

if TYPE_CHECKING:
    from taurec.studies.compare.results import Comparison, Row

ACCURACY, CURVES, COST, SERVED = "Accuracy", "Learning curves", "Quality and cost", "Who is served"
PROTOCOL = "How it was evaluated"


def ranking(found: Comparison, metrics: Sequence[str]) -> Table:
    """One row per model; ``*`` marks the best, ``=`` those that do not differ significantly from it.

    With several seeds a column has the standard deviation of the choosing metric over them. In a narrow terminal the
    intervals of the other metrics go first, then memory and epochs, then the last interval, then that column.
    """
    over_seeds = [Column("sd of seeds", spec=".4f")] if found.seeds > 1 else []
    costs = [Column("epochs"), Column("fit", "s"), Column("memory", whole=True)]
    columns = [Column(""), Column("model", whole=True), *_metric_columns(metrics), *over_seeds, *costs]
    rows: list[list[Cell]] = [
        [
            mark(found, row),
            row.label,
            *_values(row, metrics),
            *(["-" if (sd := _deviation(found, row)) is None else sd] if over_seeds else []),
            row.epochs or "-",
            row.seconds,
            "-" if row.peak_mb is None else f"{row.peak_mb:,.0f} MB",
        ]
        for row in found.rows
    ]
    others = [m for m in reversed(metrics) if m != found.metric]
    narrow = [*([f"± {m}"] for m in others), ["epochs", "memory"], [f"± {found.metric}"], ["sd of seeds"]]
    best = [n for n, row in enumerate(found.rows) if row is found.best]
    seeds = f", {count(found.seeds, 'seed')}" if found.seeds > 1 else ""
    title = f"{found.source}: test part, {count(found.n_users, 'user')}{seeds}"
    return Table(title, columns, rows, strong=best, section=ACCURACY, narrow=narrow)


def page_tables(found: Comparison) -> list[Table]:
    """The tables of the page: accuracy with its tests, and costs."""
    ranked = by_test(found)
    metrics = list(ranked[0].metrics)
    accuracy: list[list[Cell]] = [
        [row.label, *_values(row, metrics), row.p_value, _deviation(found, row)] for row in ranked
    ]
    fronts = {cost: on_front(found.rows, found.metric, (cost,)) for cost in COSTS}
    names = dict(zip(COSTS, ("fit", "tuning", "memory"), strict=True))
    costs: list[list[Cell]] = [
        [
            row.label,
            row.metrics[found.metric].mean,
            row.seconds,
            row.tune_seconds,
            row.tried,
            row.peak_mb,
            ", ".join(name for cost, name in names.items() if row.label in fronts[cost]),
        ]
        for row in ranked
    ]
    metric, fit, tuning = Column(found.metric, better="higher"), Column("fit", "s"), Column("tuning", "s")
    memory = Column("memory", "MB", spec=",.0f")
    return [
        Table(
            "Test part",
            ["model", *_metric_columns(metrics), "p (Holm)", "sd of seeds"],
            accuracy,
            "p: paired sign-flip test against the best row, corrected by Holm. sd of seeds: standard deviation of "
            f"{found.metric} over {count(found.seeds, 'seed')}; empty for one seed or a model without random draws.",
            strong=[n for n, row in enumerate(ranked) if row is found.best],
            section=ACCURACY,
        ),
        Table(
            "What each model was allowed and what it took",
            ["model", metric, fit, tuning, "settings tried", memory, "on the front of"],
            costs,
            "Memory is the growth of the process.",
            section=COST,
        ),
    ]


def settings_table(found: Comparison) -> Table:
    """The setting that validation chose for each model."""
    rows: list[list[Cell]] = [[row.label, row.tried, row.tune_seconds, row.valid, _setting(row)] for row in found.rows]
    times, valid = Column("time for them", "s"), Column("on validation", spec=".4f")
    head: list[Column | str] = ["model", "settings tried", times, valid, "chosen"]
    return Table("The settings that validation chose", head, rows, section=PROTOCOL, folded=True)


def by_test(found: Comparison) -> list[Row]:
    """The rows by their test value, the best first."""
    return sorted(found.rows, key=lambda row: -row.metrics[found.metric].mean)


def mark(found: Comparison, row: Row) -> str:
    """``*`` for the best row, ``=`` for one that the test does not separate from it."""
    if row is found.best:
        return "*"
    return "=" if row.p_value is not None and row.p_value >= LEVEL else ""


def _metric_columns(metrics: Sequence[str]) -> list[Column]:
    return [Column(name, better="higher") for name in metrics]


def _values(row: Row, metrics: Sequence[str]) -> list[Cell]:
    return [Value(v.mean, v.low, v.high) for v in (row.metrics[m] for m in metrics)]


def _deviation(found: Comparison, row: Row) -> Cell:
    """The standard deviation of the choosing metric over seeds; None for a model without random draws."""
    spread = row.spread.get(found.metric)
    return None if spread is None else spread.std


def _setting(row: Row) -> str:
    run = row.run
    if run.model is not None:
        return run.model.text
    numbers = f"lr {run.lr:g}, l2 {run.l2:g}, batch {run.batch_size}"
    return f"{run.backbone.text}, {run.loss.text}, {run.negatives.text}, {numbers}"
