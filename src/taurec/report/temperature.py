"""What a temperature stands for, as tables and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from taurec.studies.audit.temperature.audit import OverUsers, TemperatureAudit, View

HEAD = ("tau", "effective", "of all", "radius", "mean", "+ variance", "+ rest", "own")
"""Columns of a view; all are medians over users."""

MEANINGS = (
    ("effective", "how many negatives the gradient is spread over: exp of the entropy of the weights"),
    ("of all", "the same as a share of the negatives there are: of N sampled ones about so many times N count"),
    ("radius", "KL divergence, in nats, of the weights from the distribution negatives are drawn from"),
    ("mean, + variance, + rest", "tau log mean exp(f / tau) = mean f + Var f / (2 tau) + the rest, in score units"),
    ("own", "share of the weight on items of the user's own training pairs, which are no true negatives"),
)


def sentence(found: TemperatureAudit) -> str:
    """What was found, in words.

    The numbers are medians over the users looked at, with the range of the middle 80 % of them.
    """
    users = f"{found.users:,} of {found.of_users:,} users" if found.users < found.of_users else f"{found.users:,} users"
    if found.negatives is None:
        return f"{found.run.label} has no temperature of its own; {users} were looked at."
    n, count = found.negatives, found.negatives.count.median
    said = (
        f"With tau {n.tau:g} a user's gradient is spread over {_number(n.effective)} of {count:,.0f} negatives "
        f"({_range(n.effective)} for 80 % of {users}), a KL radius of {n.radius.median:.2f} nats ({_range(n.radius)})."
    )
    if n.own is not None and n.own.median >= 0.005:
        said += f" {100 * n.own.median:.0f} % of the weight lies on the user's own training items."
    if found.positives is not None:
        p = found.positives
        said += f" With tau_pos {p.tau:g}, {_number(p.effective)} of {p.count.median:,.0f} positives count."
    return said


def rows(views: Sequence[View]) -> list[list[str]]:
    """Cells under :data:`HEAD`."""
    return [
        [
            f"{v.tau:g}",
            _number(v.effective),
            f"{v.share.median:.1%}",
            f"{v.radius.median:.3f}",
            f"{v.mean.median:.3f}",
            f"{v.variance_term.median:.3f}",
            f"{v.remainder.median:.3f}",
            "-" if v.own is None else f"{v.own.median:.1%}",
        ]
        for v in views
    ]


def by_tau(found: TemperatureAudit) -> list[View]:
    """The negative side at the model's temperature and at the others, ascending."""
    return sorted([*found.others, *([] if found.negatives is None else [found.negatives])], key=lambda v: v.tau)


def curve_head(found: TemperatureAudit) -> list[str]:
    """Columns of :func:`curve_rows`."""
    metrics = list(found.curve[0].metrics) if found.curve else []
    positives = ["positives"] if found.curve and found.curve[0].positives is not None else []
    return ["epoch", *metrics, "effective", "radius", "variance", "own", *positives]


def curve_rows(found: TemperatureAudit) -> list[list[str]]:
    """One row an epoch."""
    return [
        [
            f"{e.epoch}",
            *(f"{value:.4f}" for value in e.metrics.values()),
            _number(e.negatives.effective),
            f"{e.negatives.radius.median:.3f}",
            f"{e.negatives.variance.median:.4f}",
            "-" if e.negatives.own is None else f"{e.negatives.own.median:.1%}",
            *([] if e.positives is None else [_number(e.positives.effective)]),
        ]
        for e in found.curve
    ]


def temperature_tables(found: TemperatureAudit) -> list[Table]:
    """The views by temperature, the positive side, and the curve along training, where they are there."""
    views = by_tau(found)
    own = [number for number, view in enumerate(views) if view is found.negatives]
    title = f"{found.run.label} on {found.source}: negatives ({found.base})"
    tables = [table(HEAD, rows(views), title=title, right=HEAD, strong=own)]
    if found.positives is not None:
        tables.append(table(HEAD[:-1], [r[:-1] for r in rows([found.positives])], title="positives", right=HEAD[:-1]))
    if found.curve:
        head = curve_head(found)
        tables.append(table(head, curve_rows(found), title="along training", right=head))
    return tables


def _number(of: OverUsers) -> str:
    return f"{of.median:,.0f}" if of.median >= 100 else f"{of.median:.3g}"


def _range(of: OverUsers) -> str:
    low, high = of.quantiles[0], of.quantiles[-1]
    return f"{low:,.0f} to {high:,.0f}" if high >= 100 else f"{low:.3g} to {high:.3g}"
