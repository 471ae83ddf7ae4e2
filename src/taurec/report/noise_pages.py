"""Noise curves as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taurec.report.noise import WHAT, level_text, unit, verdict
from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.plots import line_plot
from taurec.studies.result import Series

if TYPE_CHECKING:
    from taurec.studies.audit.noise.curves import Curve, Estimate, NoiseCurves, Point

PROTOCOL = {
    "positives": "The log was divided first. Then, in the training part alone, each user got ceil(level x own pairs) "
    "items drawn uniformly among those they have in no part. Epochs were chosen on the clean validation part, and "
    "figures are of the clean test part. Lists leave out what training holds, injected pairs included.",
    "negatives": "Negatives are drawn with weight 1 for items the user has no training pair with and with the level as "
    "weight for training positives, so 0 excludes positives and 1 is uniform over all items. Training pairs, "
    "validation and test are clean. Baselines draw no negatives, so their lines are level.",
    "negatives-held-out": "A tenth of each user's training positives left training, for every model, and stands for "
    "items the user likes without our knowing. Each negative is one of them with the level as probability, else an "
    "item the user has no pair with. Baselines draw no negatives, so their lines are level. Lists leave out the "
    "held-out items.",
}


def noise_page(
    found: NoiseCurves,
    *,
    command: str = "",
    facts: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Page:
    """The page of an experiment with noise.

    Args:
        command, facts, config: as for :class:`taurec.report.page.Page`; the settings of each model if none is given.
    Raises: UsageError if the extra ``taurec[report]`` is missing.
    """
    return Page(
        f"Noise curves of {found.source}",
        "\n\n".join(verdict(found)),
        noise_sections(found),
        command=command,
        facts=facts or {},
        config=config or {curve.label: curve.run for curve in found.of()},
    )


def noise_sections(found: NoiseCurves) -> list[Section]:
    """What a report shows of noise curves."""
    figures = [_figure(found, metric) for metric in found.metrics]
    if len(found.levels) > 1:
        figures.append(_kept(found, found.metrics[0]))
    sections = [Section("Accuracy under noise", figures)]
    if len(found.levels) > 1:
        sections.append(Section("Accuracy per point of noise", _slopes(found)))
    if found.differences:
        sections.append(Section("Losses against each other", _pairs(found)))
    protocol: list[Block] = [
        Prose(PROTOCOL[found.kind]),
        _fits(found),
        *([Prose("\n\n".join(found.notes))] * bool(found.notes)),
    ]
    return [*sections, Section("How it was done", protocol)]


def _figure(found: NoiseCurves, metric: str) -> Figure:
    series = [_series(found, curve) for curve in found.of(metric)]
    bands = f" Bands are 95 % t intervals over {found.seeds} seeds." if found.seeds > 1 else " One seed, so no bands."
    first, last = (level_text(found.kind, level) for level in (found.levels[0], found.levels[-1]))
    ends = "; ".join(
        f"{c.label} {c.points[0].estimate.mean:.4f} to {c.points[-1].estimate.mean:.4f}" for c in found.of(metric)
    )
    plot = line_plot(
        series,
        x_label=_axis(found),
        y_label=f"{metric}, clean test",
    )
    return Figure(plot, f"{metric} on the clean test part.{bands}", f"{metric} from {first} to {last}: {ends}")


def _kept(found: NoiseCurves, metric: str) -> Figure:
    """What is left of each model's own accuracy: how robust it is, however good it is."""
    curves = [c for c in found.of(metric) if c.points[0].estimate.mean > 0]
    shares = {c.label: [100 * p.estimate.mean / c.points[0].estimate.mean for p in c.points] for c in curves}
    first = level_text(found.kind, found.levels[0])
    plot = line_plot(
        [Series(c.label, _levels(found, c), shares[c.label]) for c in curves],
        x_label=_axis(found),
        y_label=f"% of {metric} at {first}",
    )
    ends = "; ".join(f"{label} keeps {values[-1]:.1f} %" for label, values in shares.items())
    caption = f"{metric} as a share of the same model's at {first}: how much it loses, whatever it began with."
    return Figure(plot, caption, ends)


def _levels(found: NoiseCurves, curve: Curve) -> list[float]:
    scale = 1 if found.kind == "negatives" else 100
    return [scale * p.level for p in curve.points]


def _axis(found: NoiseCurves) -> str:
    return WHAT[found.kind] + ("" if found.kind == "negatives" else " (%)")


def _series(found: NoiseCurves, curve: Curve) -> Series:
    estimates = [p.estimate for p in curve.points]
    x, y = _levels(found, curve), [e.mean for e in estimates]
    if all(e.low is None for e in estimates):
        return Series(curve.label, x, y)
    low = [e.mean if e.low is None else e.low for e in estimates]
    return Series(curve.label, x, y, low, [e.mean if e.high is None else e.high for e in estimates])


def _slopes(found: NoiseCurves) -> list[Block]:
    per = unit(found.kind)
    blocks: list[Block] = []
    for metric in found.metrics:
        levels = [level_text(found.kind, level) for level in found.levels]
        rows = [[c.label, *(p.estimate.mean for p in c.points)] for c in found.of(metric)]
        blocks.append(Table(["model", *levels], rows, caption=f"{metric}: means over seeds"))
        head = ["model", f"per {per}", "95 % interval", "% of clean", "95 % interval"]
        rows = [[c.label, *_signed(c.slope, 1, 5), *_signed(c.relative, 100, 2)] for c in found.of(metric)]
        blocks.append(Table(head, rows, caption=f"{metric}: its change per {per}"))
    return blocks


def _signed(estimate: Estimate | None, scale: float, digits: int) -> list[str | None]:
    """A mean and its interval as texts."""
    if estimate is None:
        return [None, None]
    mean, low, high = (
        None if v is None else f"{scale * v:+.{digits}f}" for v in (estimate.mean, estimate.low, estimate.high)
    )
    return [mean, None if low is None else f"{low} to {high}"]


def _pairs(found: NoiseCurves) -> list[Block]:
    head = ["level", "first", "second", f"difference in {found.metric}", "95 % low", "high", "p (Holm)"]
    rows = [
        [level_text(found.kind, d.level), d.first, d.second, d.mean, d.low, d.high, d.p_value]
        for d in found.differences
    ]
    text = (
        "First minus second, paired over users, each user's values averaged over the seeds; bootstrap intervals, and "
        "the sign-flip test corrected for all pairs and levels together."
    )
    return [Prose(text), Details(f"All {len(rows):,} differences", [Table(head, rows)])]


def _fits(found: NoiseCurves) -> Table:
    head = ["model", "level", "training pairs", "injected", "could not be", "best epoch", "fit (s)"]
    rows = [
        [c.label, level_text(found.kind, p.level), *map(round, (p.pairs, p.injected, p.short)), *_effort(c, p)]
        for c in found.of()
        for p in c.points
    ]
    return Table(head, rows, caption="Means over seeds")


def _effort(curve: Curve, point: Point) -> list[Any]:
    """Best epoch and seconds of a fit."""
    return [None if curve.baseline else f"{point.epochs:.1f}", point.seconds]
