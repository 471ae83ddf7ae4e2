"""The effect of cleaning a log: its verdict, tables, figures and document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.evaluation.significance import Paired
from taurec.studies.audit.log import tables as log_tables
from taurec.studies.audit.log.audit import LogAudit
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text, Value

ARMS = ("all rows", "cleaned", "random rows removed")

GAIN, CHANCE = "Gain", "Share of chance rows in the training part"


@dataclass(frozen=True)
class Gain:
    """One model trained on all rows, on the cleaned ones, and with the same number of rows removed at random.

    Attributes:
        model: its label.
        valid: cleaned minus all rows on validation, by the choosing metric; the decision is based on it.
        test: arm of :data:`ARMS` -> metric -> value on the test part; empty if the log was found clean.
        gain: metric -> cleaned minus all rows on the test part.
        control: metric -> random rows removed minus all rows.
        over_control: metric -> cleaned minus random rows removed.
    """

    model: str
    valid: Paired
    test: dict[str, dict[str, float]]
    gain: dict[str, Paired]
    control: dict[str, Paired]
    over_control: dict[str, Paired]

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "model": self.model,
            "valid": _paired(self.valid),
            "test": self.test,
            **{
                name: {m: _paired(p) for m, p in getattr(self, name).items()}
                for name in ("gain", "control", "over_control")
            },
        }


@dataclass(frozen=True)
class Written:
    """A cleaned log in a file: its pairs, and those of the whole log."""

    file: str
    pairs: int
    of: int


@dataclass(frozen=True, eq=False)
class Fix(Result):
    """The effect of cleaning a log.

    Attributes:
        source: the log.
        audit: of the training part, from which the rows were chosen.
        removed: [P] bool over the rows of the training part; none where the log is clean enough.
        clean: whether the log was found clean enough, so that nothing should be removed.
        asked: the requested share; None where the estimate decided.
        metric: chooses epochs and decides, on validation.
        seeds: fits of each arm, each with different rows removed at random.
        tried: (rows left out, the first model's gain by ``metric`` on validation), one per amount.
        n_users: evaluated on the test part.
        gains: one a model.
        split: the parts.
        out: where the cleaned log goes; empty if to no file.
        written: the cleaned log in that file, if there was something to remove.
        config: the settings.
    """

    schema: ClassVar[str] = "taurec.audit.fix/1"
    source: str
    audit: LogAudit
    removed: NDArray[np.bool_]
    clean: bool
    asked: float | None
    metric: str
    seeds: int
    tried: tuple[tuple[int, Paired], ...]
    n_users: int
    gains: tuple[Gain, ...]
    split: Split
    out: str = ""
    written: Written | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def title(self) -> str:
        return f"Cleaning of {self.source}"

    @property
    def summary(self) -> str:
        """Whether cleaning helps, and how much."""
        if self.clean and not self.gains:
            found = self.audit.shares
            why = self.audit.no_shares if found is None else f"about {found.false_positives.mean:.1%} look like chance"
            return f"Clean enough: {why}; nothing was removed."
        first = self.gains[0]
        if self.clean:
            amounts = " or ".join(f"{rows:,}" for rows, _ in self.tried)
            return (
                f"Clean enough for {first.model}: without the {amounts} most suspicious rows it is no better "
                f"on validation ({self.metric} {_signed(first.valid)} at best); nothing was removed."
            )
        n = int(self.removed.sum())
        words = [
            f"{g.model}: {self.metric} {_signed(g.gain[self.metric])}, random removal {_signed(g.control[self.metric])}"
            for g in self.gains
        ]
        return f"{n:,} rows ({n / len(self.removed):.1%}) removed from training. On the test part, {'; '.join(words)}."

    def verdict(self) -> list[str]:
        if self.written is not None:
            w = self.written
            return [self.summary, f"Cleaned log: {w.pairs:,} of {w.of:,} pairs in {w.file}."]
        if self.out:
            return [self.summary, f"{self.out} was not written; --share removes a share of the rows in any case."]
        return [self.summary]

    def tables(self) -> list[Table]:
        if self.clean or not self.gains:
            return []
        n, arms = int(self.removed.sum()), ("all rows", "cleaned", "random removed")
        rows: list[Sequence[Cell]] = [
            (g.model, m, *(values[m] for values in g.test.values()), _value(g.gain[m]), _value(g.over_control[m]))
            for g in self.gains
            for m in g.gain
        ]
        differences = (Column(name, better="higher", spec="+.4f") for name in ("gain", "over random"))
        heads = [Column("model", whole=True), Column("metric", whole=True), *map(Column, arms), *differences]
        title = f"{self.source}: test part, {self.n_users:,} users; {n:,} of {len(self.removed):,} rows removed"
        narrow = [["± over random"], ["± gain"], ["all rows"]]
        return [Table(title, heads, rows, "Gain: cleaned minus all rows.", section=GAIN, narrow=narrow)]

    def figures(self) -> list[Figure]:
        if self.clean or not self.gains:
            return []
        arms = [
            (f"{g.model}, {arm}", _value(of[self.metric]))
            for g in self.gains
            for arm, of in (("suspects removed", g.gain), ("random rows removed", g.control))
        ]
        series = Series.of(self.metric, [label for label, _ in arms], [value for _, value in arms])
        label = f"difference in {self.metric} from all rows"
        caption = "Differences on the test part with 95 % bootstrap intervals over users."
        return [Figure("interval", [series], label, caption=caption, alt=self.summary, section=GAIN)]

    def parts(self) -> list[Part]:
        said = (
            "Rows were ranked, and their number chosen, on the training part alone. Validation decided whether to "
            "clean at all. The test part was used once, after that. Each model was trained on all rows, without the "
            f"suspects, and without the same number of rows drawn at random ({self.seeds} draws)."
        )
        tried = [f"Without {rows:,} rows: {self.metric} {_signed(valid)} on validation." for rows, valid in self.tried]
        made: list[Part] = [Text("\n\n".join([said, *tried]), GAIN), *self.tables(), *self.figures()]
        if self.audit.shares is None:
            return [*made, Text(f"No estimate: {self.audit.no_shares}.", CHANCE)]
        figure = replace(log_tables.positions_figure(self.audit), section=CHANCE)
        table = replace(log_tables.shares_table(self.audit), section=CHANCE)
        return [*made, figure, table, Text(log_tables.METHOD, CHANCE)]

    def settings(self) -> Mapping[str, Any]:
        return self.config

    def cleaned(self, log: Interactions) -> Interactions:
        """A log with the same vocabularies without the removed rows; times and weights are kept."""
        out = self.split.train.take(self.removed)
        return log.take(~out.contains(log.user_of, log.indices))

    def document(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "clean": self.clean,
            "verdict": self.summary,
            "asked_share": self.asked,
            "shares": None if self.audit.shares is None else self.audit.shares.document(),
            "rows": len(self.removed),
            "removed": int(self.removed.sum()),
            "tried": [{"rows": rows, "valid": _paired(gain)} for rows, gain in self.tried],
            "split": self.split.how,
            "chosen_by": self.metric,
            "seeds": self.seeds,
            "users": self.n_users,
            "models": [g.document() for g in self.gains],
            "written": None if self.written is None else vars(self.written),
        }


def _signed(paired: Paired) -> str:
    d = paired.difference
    bounds = "" if d.low is None or d.high is None else f" ({d.low:+.4f} to {d.high:+.4f})"
    return f"{d.mean:+.4f}{bounds}"


def _value(paired: Paired) -> Value:
    return Value(paired.difference.mean, paired.difference.low, paired.difference.high)


def _paired(paired: Paired) -> dict[str, Any]:
    return {**vars(paired.difference), "p_value": paired.p_value, "users": paired.n_users}
