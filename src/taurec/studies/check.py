"""``taurec data check``: the size of a log, the distribution of its activity, and its anomalies."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from taurec.studies.names import Hashed, Names
from taurec.studies.options import Reading, Source
from taurec.studies.result import Cell, Column, Result, Table
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.data.check import CheckResult

QUANTILE_NAMES = {0.0: "least", 0.25: "25 %", 0.5: "half", 0.75: "75 %", 0.9: "90 %", 0.99: "99 %", 1.0: "most"}
LOG, FINDINGS = "The log", "Findings"


@dataclass(frozen=True)
class LogCheck(Result):
    """The content of a log.

    Attributes:
        source: its name.
        notes: remarks of the reader; none where ids are hashed, since they quote ids.
        found: statistics, account of the rows, and findings.
        reading: the options that describe its files.
    """

    schema: ClassVar[str] = "taurec.data.check/1"
    source: str
    notes: tuple[str, ...]
    found: CheckResult
    reading: Mapping[str, Any]

    def title(self) -> str:
        return f"Check of {self.source}"

    def document(self) -> dict[str, Any]:
        return {"source": self.source, "notes": list(self.notes), **self.found.as_dict()}

    def verdict(self) -> list[str]:
        levels = [finding.level for finding in self.found.findings]
        if not levels:
            return ["no anomalies were found"]
        more = "; a warning means that results may be misleading" if "warning" in levels else ""
        return [f"{count(levels.count('warning'), 'warning')}, {count(levels.count('note'), 'note')}{more}"]

    def tables(self) -> list[Table]:
        return [self._sizes(), *self._spread(), *self._findings()]

    def settings(self) -> Mapping[str, Any]:
        return self.reading

    def _sizes(self) -> Table:
        s, report = self.found.statistics, self.found.report
        pairs = f"{s.pairs:,} ({s.density:.3%} of all user-item pairs)"
        rows = [("users", f"{s.users:,}"), ("items", f"{s.items:,}"), ("pairs", pairs)]
        if report is not None:
            account = f"{report.kept:,} kept + {report.merged:,} merged + {report.below_rating:,} rejected"
            columns = ", ".join(f"{role}: {column}" for role, column in report.columns.items())
            rows += [("rows", f"{report.rows:,} read = {account}"), ("columns", columns or "by position")]
        if s.first is not None and s.last is not None:
            rows.append(("times", f"{day(s.first)} to {day(s.last)}"))
        top = f"top 1 % of items: {s.top_1_percent:.0%} of pairs, top 10 %: {s.top_10_percent:.0%}"
        rows += [("popularity", top), ("Gini", f"{s.gini:.2f} (0: all items equal, 1: all pairs on one item)")]
        return Table(self.source, ("quantity", "value"), rows, section=LOG)

    def _spread(self) -> list[Table]:
        s = self.found.statistics
        if not s.per_user:
            return []
        columns: list[Column | str] = ["pairs of", *(Column(QUANTILE_NAMES[q], spec=",.0f") for q in s.per_user)]
        rows: list[Sequence[Cell]] = [("a user", *s.per_user.values()), ("an item", *s.per_item.values())]
        return [Table("Spread of activity and popularity", columns, rows, section=LOG)]

    def _findings(self) -> list[Table]:
        rows = [*(("note", note) for note in self.notes), *((f.level, f.message) for f in self.found.findings)]
        rows.sort(key=lambda row: row[0] != "warning")
        return [Table("Warnings and notes", ("level", "finding"), rows, section=FINDINGS)] if rows else []


def check(source: Source, *, reading: Reading, names: Names | None = None) -> LogCheck:
    """Show size, density, duplicates, times, skew and anomalies of a log."""
    from taurec.data.check import check as look
    from taurec.data.source import open_source

    opened = open_source(source, **reading)
    shown, notes, report = names or Names(), tuple(opened.notes), opened.report
    if isinstance(shown, Hashed):  # the remarks of the reader quote ids
        notes, report = (), None if report is None else dataclasses.replace(report, notes=())
    found = look(opened.everything(), report, lambda kind, raw: shown.user(raw) if kind == "user" else shown.item(raw))
    return LogCheck(opened.name, notes, found, reading)


def day(seconds: float) -> str:
    """The UTC day of a time; the bare number where no calendar has it.

    >>> day(0.0), day(1e18)
    ('1970-01-01', '1e+18')
    """
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
