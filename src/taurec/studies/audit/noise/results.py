"""The result of noise curves: accuracy over the levels of noise, with tables and figures."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import t as student

from taurec.run import Run
from taurec.studies.audit.noise.kinds import LEVELS, Kind
from taurec.studies.audit.noise.verdict import verdict
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text, Value
from taurec.studies.train_command import reading_options, train_command

ACCURACY, SLOPES, PAIRS, PROTOCOLS = (
    "Accuracy under noise", "Accuracy per point of noise", "Differences between losses", "Protocol",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate(Value):
    """A mean over n seeds with its 95 % t interval; no bounds for a single seed."""

    n: int = 1


def t_interval(values: Sequence[float]) -> Value:
    """Mean of independent values and ``mean +- t s / sqrt(n)``, t the .975 quantile of Student's t with n - 1 degrees.

    >>> found = t_interval([1.0, 2.0, 3.0])  # s = 1, t = 4.303, and 4.303 / sqrt(3) = 2.484
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return Value(mean)
    half = float(student.ppf(0.975, len(x) - 1)) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Value(mean, mean - half, mean + half)


def estimate(values: Sequence[float]) -> Estimate:
    """The mean with its t interval (:func:`t_interval`) and the number of values."""
    return Estimate(**vars(t_interval(values)), n=len(values))


def slope(levels: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of values over levels; NaN for a single level.

    >>> slope([0, 1, 2], [6, 5, 1])
    -2.5
    """
    x = np.asarray(levels, dtype=np.float64) - np.mean(levels)
    square = float(x @ x)
    return float(x @ np.asarray(values, dtype=np.float64)) / square if square else math.nan


@dataclass(frozen=True)
class Point:
    """One model at one level.

    Attributes:
        values: of each seed; one value where the seed has no effect.
        pairs: training pairs, mean over seeds; injected: of these, false positives.
        short: pairs fewer than asked were injected.
        epochs: until the best one, mean over seeds; 0 for a baseline.
        seconds: of a fit, mean over seeds.
    """

    level: float
    values: tuple[float, ...]
    estimate: Estimate
    pairs: float
    injected: float
    short: float
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Curve:
    """One model over all levels, on one metric.

    Attributes:
        label: ``mf:sl`` or ``ease``.
        constant: whether the noise has no effect on it: a baseline where the noise is in the negatives.
        points: by rising level.
        slope: change of the metric per point of noise (per 0.01 of the level; for ``negatives``, per 1 of the
            weight): the least-squares slope of each seed's values, their mean, and its t interval.
        relative: the same as a share of the seed's value at the lowest level.
        run: the settings, the same at every level.
    """

    label: str
    metric: str
    baseline: bool
    constant: bool
    points: tuple[Point, ...]
    slope: Estimate | None
    relative: Estimate | None
    run: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """Two losses at one level: first minus second over users, each user's values averaged over the seeds.

    ``p_value`` is that of the sign-flip test, corrected by Holm for all pairs of losses and all levels.
    """

    level: float
    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    p_value: float


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

    @property
    def losses(self) -> list[Curve]:
        """The curves of the losses, on the first metric."""
        return [curve for curve in self.of() if not curve.baseline]

    def commands(self) -> list[str]:
        """Measure the noise of the log itself; then train the loss that is best at the lowest level."""
        best = max(self.losses, key=lambda curve: curve.points[0].estimate.mean)
        run = Run.model_validate(best.run).but(source=self.source)
        return [shlex.join(["taurec", "audit", "log", self.source, *reading_options(run.reading)]), train_command(run)]

    @property
    def level_texts(self) -> list[str]:
        """The levels in words."""
        return [LEVELS[self.kind].text(level) for level in self.levels]

    def title(self) -> str:
        return f"Noise curves of {self.source}"

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "metric": self.metric, "slope_per": LEVELS[self.kind].slope_per}

    def verdict(self) -> list[str]:
        return verdict(self)

    def settings(self) -> dict[str, Mapping[str, Any]]:
        return {curve.label: curve.run for curve in self.of()}

    def tables(self) -> list[Table]:
        """A row per model, a column per level, and the slope."""
        levels = self.level_texts
        title = f"{self.source}: {self.metric} on the clean test part, by {LEVELS[self.kind].what}"
        slopes = (Column("slope", spec="+.5f"), Column("of clean", spec="+.2%"))
        columns = [Column("model", whole=True), *map(Column, levels), *slopes]
        rows = [
            [c.label, *(p.estimate for p in c.points), *("-" if e is None else e.mean for e in (c.slope, c.relative))]
            for c in self.of()
        ]
        return [Table(title, columns, rows, narrow=[[f"± {level}" for level in levels]])]

    def figures(self) -> list[Figure]:
        return [*map(self._accuracy, self.metrics), *([self._relative()] if len(self.levels) > 1 else [])]

    def parts(self) -> list[Part]:
        several = len(self.levels) > 1
        slopes = [table for metric in self.metrics for table in self._slopes(metric)] if several else []
        made: list[Part] = [*self.figures(), *slopes, *(self._pairs() if self.differences else [])]
        made += [Text(LEVELS[self.kind].protocol, PROTOCOLS), self._fits()]
        return [*made, Text("\n\n".join(self.notes), PROTOCOLS)] if self.notes else made

    def _accuracy(self, metric: str) -> Figure:
        curves, levels = self.of(metric), self.level_texts
        bands = f"Bands are 95 % t intervals over {self.seeds} seeds." if self.seeds > 1 else "One seed, so no bands."
        ends = [f"{c.label} {c.points[0].estimate.mean:.4f} to {c.points[-1].estimate.mean:.4f}" for c in curves]
        return self._figure(
            [Series.of(c.label, self._axis(), [p.estimate for p in c.points]) for c in curves],
            f"{metric}, clean test",
            f"{metric} on the clean test part. {bands}",
            f"{metric} from {levels[0]} to {levels[-1]}: {'; '.join(ends)}",
        )

    def _relative(self) -> Figure:
        """Accuracy as a share of the same model's at the lowest level: robustness independent of accuracy."""
        metric, lowest = self.metric, self.level_texts[0]
        curves = [c for c in self.of() if c.points[0].estimate.mean > 0]
        shares = {c.label: [100 * p.estimate.mean / c.points[0].estimate.mean for p in c.points] for c in curves}
        return self._figure(
            [Series(label, self._axis(), values) for label, values in shares.items()],
            f"% of {metric} at {lowest}",
            f"{metric} as a share of the same model's {metric} at {lowest}.",
            "; ".join(f"{label} keeps {values[-1]:.1f} %" for label, values in shares.items()),
        )

    def _axis(self) -> list[float]:
        return [LEVELS[self.kind].scale * level for level in self.levels]

    def _figure(self, series: list[Series], y_label: str, caption: str, alt: str) -> Figure:
        x_label = LEVELS[self.kind].what + (" (%)" if LEVELS[self.kind].scale == 100 else "")
        return Figure("line", series, x_label, y_label, caption, alt, section=ACCURACY)

    def _slopes(self, metric: str) -> list[Table]:
        per, curves = LEVELS[self.kind].unit, self.of(metric)
        levels = [Column("model"), *(Column(level, better="higher") for level in self.level_texts)]
        means: list[list[Cell]] = [[c.label, *(p.estimate.mean for p in c.points)] for c in curves]
        heads = [Column("model"), Column(f"per {per}", spec="+.5f"), Column("of clean", spec="+.2%")]
        changes: list[list[Cell]] = [[c.label, c.slope, c.relative] for c in curves]
        return [
            Table(f"{metric}: means over seeds", levels, means, section=SLOPES),
            Table(f"{metric}: its change per {per}", heads, changes, section=SLOPES),
        ]

    def _pairs(self) -> list[Part]:
        columns = ["level", "first", "second", f"difference in {self.metric}", "95 % low", "high", "p (Holm)"]
        rows: list[list[Cell]] = [
            [LEVELS[self.kind].text(d.level), d.first, d.second, d.mean, d.low, d.high, d.p_value]
            for d in self.differences
        ]
        said = (
            "First minus second, paired over users, each user's values averaged over the seeds; bootstrap intervals, "
            "and the sign-flip test corrected for all pairs and levels together."
        )
        table = Table(f"All {len(rows):,} differences", columns, rows, section=PAIRS, folded=True)
        return [Text(said, PAIRS), table]

    def _fits(self) -> Table:
        counts = [Column(name, spec=",.0f") for name in ("training pairs", "injected", "not injected")]
        columns = [Column("model"), Column("level"), *counts, Column("best epoch", spec=".1f"), Column("fit", "s")]
        rows = [
            [c.label, level, p.pairs, p.injected, p.short, None if c.baseline else p.epochs, p.seconds]
            for c in self.of()
            for level, p in zip(self.level_texts, c.points, strict=True)
        ]
        return Table("Fits", columns, rows, "Means over seeds", section=PROTOCOLS)
