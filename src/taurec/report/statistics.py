"""The figures of a log and what is odd about it, for people."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from taurec.report.tables import count, pairs, table

if TYPE_CHECKING:
    from taurec.data.check import CheckResult

QUANTILE_NAMES = {0.0: "least", 0.25: "25 %", 0.5: "half", 0.75: "75 %", 0.9: "90 %", 0.99: "99 %", 1.0: "most"}


def statistics_tables(result: CheckResult, name: str) -> Iterator[Table]:
    """Sizes and popularity, then how many pairs a user and an item have."""
    s = result.statistics
    rows = [
        ("users", f"{s.users:,}"),
        ("items", f"{s.items:,}"),
        ("pairs", f"{s.pairs:,} ({s.density:.3%} of all user-item pairs)"),
    ]
    if result.report is not None:
        r = result.report
        rows.append(("rows", f"{r.rows:,} read = {r.kept:,} kept + {r.merged:,} merged + {r.below_rating:,} rejected"))
        rows.append(("columns", ", ".join(f"{role}: {column}" for role, column in r.columns.items()) or "by position"))
    if s.first is not None and s.last is not None:
        rows.append(("times", f"{day(s.first)} to {day(s.last)}"))
    rows.append(("popularity", f"top 1 % of items hold {s.top_1_percent:.0%}, top 10 % {s.top_10_percent:.0%}"))
    rows.append(("", f"of the pairs; Gini {s.gini:.2f} (0 all equal, 1 all on one item)"))
    yield pairs(rows, name)
    if s.per_user:
        columns = ["pairs of", *(QUANTILE_NAMES[q] for q in s.per_user)]
        spread = [
            [who, *(f"{v:,.0f}" for v in of.values())] for who, of in (("a user", s.per_user), ("an item", s.per_item))
        ]
        yield table(columns, spread, right=columns[1:])


def finding_lines(result: CheckResult) -> Iterator[str]:
    """One line a finding, warnings first."""
    for finding in sorted(result.findings, key=lambda f: f.level != "warning"):
        yield f"{finding.level:8s} {finding.message}"
    warnings = sum(finding.level == "warning" for finding in result.findings)
    yield "nothing odd was found" if not result.findings else f"{count(warnings, 'warning')} in all"


def day(seconds: float) -> str:
    """The UTC day of a time; the bare number where no calendar has it.

    >>> day(0.0), day(1e18)
    ('1970-01-01', '1e+18')
    """
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
