"""The result of an experiment with noise: data, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from taurec.studies.audit.noise import Kind
from taurec.studies.audit.noise.curves import Curve, Difference
from taurec.studies.audit.noise.verdict import WHAT, level_text, unit, verdict
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text

PROTOCOL = {
    "positives": "The log was divided first. Then, in the training part alone, each user got ceil(level x own pairs) "
    "items drawn uniformly among those they have in no part. Epochs were chosen on the clean validation part, and "
    "figures are of the clean test part. Lists leave out what training holds, injected pairs included.",
    "negatives": "Negatives are drawn with weight 1 for items the user has no training pair with and with the level as "
    "weight for training positives, so 0 excludes positives and 1 is uniform over all items. Training pairs, "
    "validation and test are clean. Baselines draw no negatives, so their lines are level.",
    "negatives-held-out": "A tenth of each user's training positives left training, for every model, and represents "
    "items the user likes without our knowing. Each negative is one of them with the level as probability, else an "
    "item the user has no pair with. Baselines draw no negatives, so their lines are level. Lists leave out the "
    "held-out items.",
}

ACCURACY, SLOPES, PAIRS, PROTOCOLS = (
    "Accuracy under noise", "Accuracy per point of noise", "Losses against each other", "How it was done",
)  # fmt: skip


@dataclass(frozen=True)
class NoiseCurves(Result):
    """How accuracy falls as noise rises.

    Attributes:
        source, split, data_hash: the data and their split; validation and test parts are clean.
        kind: ``positives``, ``negatives`` or ``negatives-held-out``.
        metrics: the first of them chose the epochs, and the differences are on it.
        levels, seeds, n_users: levels of noise, seeds, and evaluated users.
        tune: the models whose settings were chosen on validation.
        curves: one for each model and metric; losses first.
        differences: between all pairs of losses at each level.
        notes: remarks, such as a baseline that does not fit into memory.
    """

    source: str
    split: str
    data_hash: str
    kind: Kind
    metrics: tuple[str, ...]
    levels: tuple[float, ...]
    seeds: int
    n_users: int
    tune: str
    curves: tuple[Curve, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    schema: ClassVar[str] = "taurec.audit.noise/1"

    @property
    def metric(self) -> str:
        return self.metrics[0]

    def of(self, metric: str | None = None) -> tuple[Curve, ...]:
        """The curves of one metric, of the first by default."""
        wanted = metric or self.metric
        return tuple(curve for curve in self.curves if curve.metric == wanted)

    def title(self) -> str:
        return f"Noise curves of {self.source}"

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "metric": self.metric, "slope_per": 1.0 if self.kind == "negatives" else 0.01}

    def verdict(self) -> list[str]:
        return verdict(self)

    def settings(self) -> dict[str, Mapping[str, Any]]:
        return {curve.label: curve.run for curve in self.of()}

    def tables(self) -> list[Table]:
        """One row a model, one column a level, and the slope."""
        levels = self._level_texts()
        title = f"{self.source}: {self.metric} on the clean test part, by {WHAT[self.kind]}"
        columns = [Column("model", whole=True), *map(Column, levels)]
        columns += [Column("slope", spec="+.5f"), Column("of clean", spec="+.2%")]
        rows: list[list[Cell]] = [
            [
                c.label,
                *(p.estimate.value for p in c.points),
                "-" if c.slope is None else c.slope.mean,
                "-" if c.relative is None else c.relative.mean,
            ]
            for c in self.of()
        ]
        return [Table(title, columns, rows, narrow=[[f"± {level}" for level in levels]])]

    def figures(self) -> list[Figure]:
        several = len(self.levels) > 1
        return [*map(self._accuracy, self.metrics), *([self._kept()] if several else [])]

    def parts(self) -> list[Part]:
        slopes = self._slopes() if len(self.levels) > 1 else []
        notes = [Text("\n\n".join(self.notes), PROTOCOLS)] if self.notes else []
        return [*self.figures(), *slopes, *self._pairs(), Text(PROTOCOL[self.kind], PROTOCOLS), self._fits(), *notes]

    def _level_texts(self) -> list[str]:
        return [level_text(self.kind, level) for level in self.levels]

    def _accuracy(self, metric: str) -> Figure:
        curves = self.of(metric)
        x = self._axis_values()
        series = [Series.of(c.label, x, [p.estimate.value for p in c.points]) for c in curves]
        bands = f"Bands are 95 % t intervals over {self.seeds} seeds." if self.seeds > 1 else "One seed, so no bands."
        ends = "; ".join(
            f"{c.label} {c.points[0].estimate.mean:.4f} to {c.points[-1].estimate.mean:.4f}" for c in curves
        )
        alt = f"{metric} from {self._level_texts()[0]} to {self._level_texts()[-1]}: {ends}"
        caption = f"{metric} on the clean test part. {bands}"
        return Figure("line", series, self._axis(), f"{metric}, clean test", caption, alt, section=ACCURACY)

    def _kept(self) -> Figure:
        """The share of each model's own accuracy that is left: robustness, whatever the accuracy."""
        metric, first = self.metric, self._level_texts()[0]
        curves = [c for c in self.of() if c.points[0].estimate.mean > 0]
        shares = {c.label: [100 * p.estimate.mean / c.points[0].estimate.mean for p in c.points] for c in curves}
        series = [Series(label, self._axis_values(), values) for label, values in shares.items()]
        caption = f"{metric} as a share of the same model's at {first}: its relative loss."
        alt = "; ".join(f"{label} keeps {values[-1]:.1f} %" for label, values in shares.items())
        return Figure("line", series, self._axis(), f"% of {metric} at {first}", caption, alt, section=ACCURACY)

    def _axis_values(self) -> Sequence[float]:
        return [level * (1 if self.kind == "negatives" else 100) for level in self.levels]

    def _axis(self) -> str:
        return WHAT[self.kind] + ("" if self.kind == "negatives" else " (%)")

    def _slopes(self) -> list[Table]:
        per, made = unit(self.kind), []
        for metric in self.metrics:
            rows: list[list[Cell]] = [[c.label, *(p.estimate.mean for p in c.points)] for c in self.of(metric)]
            heads = [Column("model"), *(Column(level, better="higher") for level in self._level_texts())]
            made.append(Table(f"{metric}: means over seeds", heads, rows, section=SLOPES))
            columns = [Column("model"), Column(f"per {per}", spec="+.5f"), Column("of clean", spec="+.2%")]
            changes: list[list[Cell]] = [
                [c.label, *(None if e is None else e.value for e in (c.slope, c.relative))] for c in self.of(metric)
            ]
            made.append(Table(f"{metric}: its change per {per}", columns, changes, section=SLOPES))
        return made

    def _pairs(self) -> list[Part]:
        if not self.differences:
            return []
        columns = ["level", "first", "second", f"difference in {self.metric}", "95 % low", "high", "p (Holm)"]
        rows: list[list[Cell]] = [
            [level_text(self.kind, d.level), d.first, d.second, d.mean, d.low, d.high, d.p_value]
            for d in self.differences
        ]
        said = (
            "First minus second, paired over users, each user's values averaged over the seeds; bootstrap intervals, "
            "and the sign-flip test corrected for all pairs and levels together."
        )
        table = Table(f"All {len(rows):,} differences", columns, rows, section=PAIRS, folded=True)
        return [Text(said, PAIRS), table]

    def _fits(self) -> Table:
        counts = [Column(name, spec=",.0f") for name in ("training pairs", "injected", "could not be")]
        columns = [Column("model"), Column("level"), *counts, Column("best epoch", spec=".1f"), Column("fit", "s")]
        rows: list[list[Cell]] = [
            [
                c.label, level_text(self.kind, p.level), p.pairs, p.injected, p.short,
                None if c.baseline else p.epochs, p.seconds,
            ]
            for c in self.of()
            for p in c.points
        ]  # fmt: skip
        return Table("Fits", columns, rows, "Means over seeds", section=PROTOCOLS)
