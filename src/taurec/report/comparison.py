"""A comparison of models as a table and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from taurec.report.tables import count, number, plus_minus, seconds, table

if TYPE_CHECKING:
    from taurec.comparison import Comparison, Row

LEVEL = 0.05
"""Of the paired test, after correction for the number of rows."""


def comparison_table(found: Comparison, metrics: list[str], width: int = 80) -> Table:
    """One row a model; ``*`` marks the best and ``=`` what the test does not tell from it.

    Where it is narrow the interval of all metrics but the one that chose is left out.
    """
    first = found.metric if found.metric in metrics else metrics[0]
    columns = ["", "model", *metrics, "epochs", "fit", "memory"]
    room = width - 60
    wide = {m for n, m in enumerate([first, *(m for m in metrics if m != first)]) if n == 0 or n * 17 <= room}
    rows = []
    for row in found.rows:
        values = [
            plus_minus(i.mean, i.low, i.high) if m in wide else number(i.mean)
            for m, i in ((m, row.metrics[m]) for m in metrics)
        ]
        memory = "-" if row.peak_mb is None else f"{row.peak_mb:,.0f} MB"
        rows.append([_mark(found, row), row.label, *values, row.epochs or "-", seconds(row.seconds), memory])
    best = [n for n, row in enumerate(found.rows) if row is found.best]
    right = [*metrics, "epochs", "fit", "memory"]
    title = f"{found.source}: test part, {count(found.n_users, 'user')}, {count(found.seeds, 'seed')}"
    return table(columns, rows, title=title, right=right, whole=["model"], strong=best)


def verdict(found: Comparison) -> str:
    """What the table says, with what it rests on."""
    best = found.best
    equal = [row.label for row in found.rows if _mark(found, row) == "="]
    said = f"Best by {found.metric}: {best.label}"
    if equal:
        said += f"; not told from it by the paired test (p >= {LEVEL:g}, Holm): {', '.join(equal)}"
    else:
        said += ", ahead of every other model (paired test, p < 0.05, Holm)"
    return (
        f"{said}. Settings and epochs were chosen on validation; ± is half of the 95 % bootstrap interval over users."
    )


def _mark(found: Comparison, row: Row) -> str:
    if row is found.best:
        return "*"
    return "=" if row.p_value is not None and row.p_value >= LEVEL else ""
