"""Noise curves in sentences: which loss is ahead, which loses least, and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.studies.words import LEVEL, count, number, seconds

if TYPE_CHECKING:
    from taurec.studies.audit.noise import Kind
    from taurec.studies.audit.noise.curves import Curve, Estimate
    from taurec.studies.audit.noise.fits import Step
    from taurec.studies.audit.noise.results import NoiseCurves

WHAT = {
    "positives": "false positives in training",
    "negatives": "weight of positives among the negatives",
    "negatives-held-out": "held-out positives among the negatives",
}
"""What a level is, by the kind of noise."""


def level_text(kind: Kind, level: float) -> str:
    """A level in words.

    >>> level_text("positives", 0.1), level_text("negatives", 2.0)
    ('10 %', 'weight 2')
    """
    return f"weight {level:g}" if kind == "negatives" else f"{100 * level:g} %"


def unit(kind: Kind) -> str:
    """The unit that a slope is per."""
    return "unit of weight" if kind == "negatives" else "point of noise"


def verdict(found: NoiseCurves) -> list[str]:
    """The findings, a sentence or two each, with their uncertainty."""
    losses = [curve for curve in found.of() if not curve.baseline]
    lines = [_ends(found, losses)]
    if len(found.levels) > 1:
        lines.append(_falls(found, losses))
    lines += [*_against_baselines(found, losses), _unfinished(found, losses), _basis(found)]
    return [line for line in lines if line]


def step_text(step: Step, kind: Kind) -> str:
    """A line of progress."""
    at = "setting" if step.level is None else f"{level_text(kind, step.level)}"
    said = f"fit {step.done + 1} of {step.total}: {step.label}, {at}, seed {step.seed}"
    if step.detail:
        said += f", {step.detail}"
    return said if step.seconds_left is None else f"{said}; about {seconds(step.seconds_left)} left"


def _best(losses: list[Curve], at: int) -> Curve:
    return max(losses, key=lambda curve: curve.points[at].estimate.mean)


def _ends(found: NoiseCurves, losses: list[Curve]) -> str:
    """Who is ahead at the lowest and at the highest level."""
    said = []
    for at in (0, -1) if len(found.levels) > 1 else (0,):
        best, level = _best(losses, at), found.levels[at]
        text = f"At {level_text(found.kind, level)}, {best.label} has the best {found.metric} of the losses "
        text += f"({number(best.points[at].estimate.mean)})"
        equal = [
            d.second if d.first == best.label else d.first
            for d in found.differences
            if d.level == level and best.label in (d.first, d.second) and d.p_value >= LEVEL
        ]
        if equal:
            text += f", not significantly different from {', '.join(equal)} (paired test, p >= {LEVEL:g}, Holm)"
        elif len(losses) > 1:
            text += f", ahead of every other loss (paired test over users, p < {LEVEL:g}, Holm)"
        said.append(text + ".")
    return " ".join(said)


def _falls(found: NoiseCurves, losses: list[Curve]) -> str:
    """Which loss loses the smallest share of its accuracy, and whether that is certain."""
    known = [(curve.label, curve.relative) for curve in losses if curve.relative is not None]
    if not known:
        return ""
    known.sort(key=lambda pair: -pair[1].mean)
    per, (label, least) = unit(found.kind), known[0]
    said = f"Per {per}, {label} changes by {_percent(least)} of its value at {level_text(found.kind, found.levels[0])}"
    if len(known) > 1:
        said += ", " + ", ".join(f"{other} by {_percent(estimate)}" for other, estimate in known[1:])
        unsure = [o for o, e in known[1:] if e.high is None or least.low is None or e.high >= least.low]
        if least.low is None:
            said += ". One seed gives no interval, so which loss is the more robust is not settled"
        elif unsure:
            said += f". The interval of {label}, the smallest loss of accuracy, overlaps that of {', '.join(unsure)}"
        else:
            said += f". The interval of {label}, the smallest loss of accuracy, is apart from all others"
    return said + "."


def _percent(estimate: Estimate) -> str:
    mean = f"{100 * estimate.mean:+.2f} %"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} ({100 * estimate.low:+.2f} to {100 * estimate.high:+.2f})"


def _against_baselines(found: NoiseCurves, losses: list[Curve]) -> list[str]:
    baselines = [curve for curve in found.of() if curve.baseline]
    if not baselines:
        return []
    best, other = _best(losses, -1), _best(baselines, -1)
    a, b = best.points[-1].estimate.mean, other.points[-1].estimate.mean
    at = level_text(found.kind, found.levels[-1])
    if found.kind == "negatives":
        at += " (which a baseline does not see)"
    order = "below" if a < b else "above" if a > b else "equal to"
    said = f"The best baseline at {at} is {other.label} with {number(b)}; the best loss is {order} it ({number(a)})"
    return [said + (f": on this log {other.label} is the better choice." if a < b else ".")]


def _unfinished(found: NoiseCurves, losses: list[Curve]) -> str:
    """A warning where the best epoch was the last: then more pairs mean more steps, and noise seems to help."""
    short = [c.label for c in losses if any(p.epochs >= c.run["epochs"] for p in c.points)]
    if not short:
        return ""
    more = "; injected pairs then also mean more steps" if found.kind == "positives" else ""
    return (
        f"The best epoch was the last one allowed for {', '.join(short)} at some level, so these were still "
        f"learning{more}. Allow more epochs before you trust their curves."
    )


def _basis(found: NoiseCurves) -> str:
    seeds, users = count(found.seeds, "seed"), count(found.n_users, "user")
    settings = {
        "all": "chosen once on clean validation data",
        "baselines": "presets for the losses; for the baselines chosen once on clean validation data",
        "none": "presets",
    }[found.tune]
    half = "; ± is half of the 95 % t interval over seeds" if found.seeds > 1 else ""
    return f"{seeds}, {users}; settings are the same at every level ({settings}){half}."
