"""The verdict of noise curves: which loss is the best, which loses least accuracy, and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.studies.audit.noise.kinds import LEVELS
from taurec.studies.words import LEVEL, count, number

if TYPE_CHECKING:
    from taurec.studies.audit.noise.results import Curve, Estimate, NoiseCurves

SETTINGS = {
    "all": "chosen once on clean validation data",
    "baselines": "presets for the losses; for the baselines chosen once on clean validation data",
    "none": "presets",
}
"""How the settings were chosen, by the value of ``tune``."""


def verdict(found: NoiseCurves) -> list[str]:
    """The findings in one or two sentences each, with their uncertainty."""
    several = len(found.levels) > 1
    ends = " ".join(_best_loss(found, at) for at in ((0, -1) if several else (0,)))
    said = [ends, _relative_changes(found) if several else "", _against_baselines(found), _unfinished(found)]
    half = "; ± is half of the 95 % t interval over seeds" if found.seeds > 1 else ""
    basis = (
        f"Based on {count(found.seeds, 'seed')} and {count(found.n_users, 'user')}; settings are the same at every "
        f"level ({SETTINGS[found.tune]}){half}."
    )
    return [line for line in (*said, basis) if line]


def _best(curves: list[Curve], at: int) -> tuple[str, float]:
    """The label with the highest mean at a level, and that mean."""
    best = max(curves, key=lambda curve: curve.points[at].estimate.mean)
    return best.label, best.points[at].estimate.mean


def _best_loss(found: NoiseCurves, at: int) -> str:
    (label, mean), level = _best(found.losses, at), found.levels[at]
    said = f"At {found.level_texts[at]}, {label} has the best {found.metric} of the losses ({number(mean)})"
    equal = [
        d.second if d.first == label else d.first
        for d in found.differences
        if d.level == level and label in (d.first, d.second) and d.p_value >= LEVEL
    ]
    if equal:
        said += f", not significantly different from {', '.join(equal)} (paired test, p >= {LEVEL:g}, Holm)"
    elif len(found.losses) > 1:
        said += f", ahead of every other loss (paired test over users, p < {LEVEL:g}, Holm)"
    return said + "."


def _relative_changes(found: NoiseCurves) -> str:
    """Which loss loses the smallest share of its accuracy, and whether its interval overlaps that of another."""
    known = [(curve.label, curve.relative) for curve in found.losses if curve.relative is not None]
    if not known:
        return ""
    (label, least), *others = sorted(known, key=lambda pair: -pair[1].mean)
    unit = LEVELS[found.kind].unit
    said = f"Per {unit}, {label} changes by {_percent(least)} of its value at {found.level_texts[0]}"
    if others:
        said += ", " + ", ".join(f"{other} by {_percent(estimate)}" for other, estimate in others)
        unsure = [o for o, e in others if e.high is None or least.low is None or e.high >= least.low]
        if least.low is None:
            said += ". One seed gives no interval, so it is uncertain which loss is the most robust"
        else:
            apart = f"overlaps that of {', '.join(unsure)}" if unsure else "overlaps no other"
            said += f". {label} loses the smallest share of its accuracy; its interval {apart}"
    return said + "."


def _percent(estimate: Estimate) -> str:
    mean = f"{100 * estimate.mean:+.2f} %"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} ({100 * estimate.low:+.2f} to {100 * estimate.high:+.2f})"


def _against_baselines(found: NoiseCurves) -> str:
    baselines = [curve for curve in found.of() if curve.baseline]
    if not baselines:
        return ""
    (_, mean), (label, other) = _best(found.losses, -1), _best(baselines, -1)
    at = found.level_texts[-1] + (" (which a baseline does not see)" if found.kind == "negatives" else "")
    order = "below" if mean < other else "above" if mean > other else "equal to"
    end = f", so {label} is the better choice on this log." if mean < other else "."
    return (
        f"The best baseline at {at} is {label} with {number(other)}; the best loss is {order} it ({number(mean)}){end}"
    )


def _unfinished(found: NoiseCurves) -> str:
    """A warning if the best epoch was the last one; then injected pairs also mean more steps, which hides the noise."""
    short = [c.label for c in found.losses if any(p.epochs >= c.run["epochs"] for p in c.points)]
    if not short:
        return ""
    more = "; injected pairs then also mean more steps" if found.kind == "positives" else ""
    return (
        f"At some level, the best epoch of {', '.join(short)} was the last one, so training had not "
        f"converged{more}. Give more --epochs before you rely on these curves."
    )
