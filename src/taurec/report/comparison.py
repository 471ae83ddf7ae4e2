"""A comparison of models as a table and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from taurec.report.tables import count, number, plus_minus, seconds, table

if TYPE_CHECKING:
    from taurec.studies.compare import Comparison, Row

LEVEL = 0.05
"""Of the paired test, after correction for the number of rows."""


def comparison_table(found: Comparison, metrics: list[str], width: int = 80) -> Table:
    """One row a model; ``*`` marks the best and ``=`` what the test does not tell from it.

    With several seeds a column has the standard deviation of the choosing metric over them. Where it is narrow, the
    intervals of the other metrics go first, then memory and epochs, then the last interval, then that column.
    """
    by_worth = sorted(metrics, key=lambda m: m != found.metric)
    seeds = found.seeds > 1
    forms = [(by_worth[:n], True, seeds) for n in range(len(metrics), 0, -1)]
    for intervals, extras, spread in [*forms, (by_worth[:1], False, seeds), ([], False, seeds), ([], False, False)]:
        made = _table(found, metrics, set(intervals), extras, spread)
        if _natural_width(made) <= width:
            break
    return made


def verdict(found: Comparison) -> str:
    """What the table says, with what it rests on."""
    best = found.best
    equal = [row.label for row in found.rows if _mark(found, row) == "="]
    said = f"Best by {found.metric}: {best.label}"
    if equal:
        said += f"; not told from it by the paired test (p >= {LEVEL:g}, Holm): {', '.join(equal)}"
    elif len(found.rows) > 1:
        said += f", ahead of every other model (paired test, p < {LEVEL:g}, Holm)"
    tuned = [row.label for row in found.rows if row.tried > 1]
    settings = f"Settings of {', '.join(tuned)} and all epochs" if tuned else "Epochs"
    if tuned and len(tuned) == sum(row.label != "popularity" for row in found.rows):
        settings = "Settings and epochs"
    return f"{said}. {settings} were chosen on validation; ± is half of the 95 % bootstrap interval over users."


def _table(found: Comparison, metrics: list[str], intervals: set[str], extras: bool, spread: bool) -> Table:
    rows = []
    for row in found.rows:
        values = [
            plus_minus(v.mean, v.low, v.high) if m in intervals else number(v.mean)
            for m, v in ((m, row.metrics[m]) for m in metrics)
        ]
        memory = "-" if row.peak_mb is None else f"{row.peak_mb:,.0f} MB"
        more = [row.epochs or "-", seconds(row.seconds), memory] if extras else [seconds(row.seconds)]
        over = [_deviation(row, found.metric)] if spread else []
        rows.append([_mark(found, row), row.label, *values, *over, *more])
    of_seeds = ["sd of seeds"] if spread else []
    right = [*metrics, *of_seeds, *(["epochs", "fit", "memory"] if extras else ["fit"])]
    best = [n for n, row in enumerate(found.rows) if row is found.best]
    seeds = f", {count(found.seeds, 'seed')}" if found.seeds > 1 else ""
    title = f"{found.source}: test part, {count(found.n_users, 'user')}{seeds}"
    return table(["", "model", *right], rows, title=title, right=right, whole=["model"], strong=best)


def _deviation(row: Row, metric: str) -> str:
    """The standard deviation of the choosing metric over seeds; a dash for a model without random draws."""
    spread = row.spread.get(metric)
    return "-" if spread is None or spread.std is None else number(spread.std)


def _natural_width(made: Table) -> int:
    wide = Console(width=1000)
    return made.__rich_measure__(wide, wide.options).maximum


def _mark(found: Comparison, row: Row) -> str:
    if row is found.best:
        return "*"
    return "=" if row.p_value is not None and row.p_value >= LEVEL else ""
