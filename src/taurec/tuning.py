"""Settings of a baseline that validation chooses: those with the value ``auto``, among the points of its grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taurec.baselines.models import MODELS
from taurec.data.split import Split
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.ranker import HistoryScorer, Ranker
from taurec.run import Run
from taurec.training.presets import auto_settings, baseline_grid, default_settings


@dataclass(frozen=True)
class Tuned:
    """A baseline with chosen settings.

    Attributes:
        run: with values in place of ``auto``; its field ``found`` says how they were chosen.
        ranker: fitted with them.
    """

    run: Run
    ranker: Ranker


def on_validation(run: Run, ranker: HistoryScorer, parts: Split) -> dict[str, float]:
    """The run's metric on validation."""
    scorer = UserScorer.of_part(ranker, parts, "valid")
    return evaluate_ranker(scorer, parts.valid, parts.known("valid"), [run.metric]).means()


def tune(run: Run, parts: Split, limit: float | None, say: Callable[[str], None]) -> Tuned:
    """Choose the settings of a baseline that are ``auto``, by the run's metric on validation.

    The default settings are tried first, then the points of the grid; the first of equal values is taken. Without a
    validation part the defaults stay.

    Args:
        run: of a baseline, resolved.
        parts: of the log.
        limit: seconds; if the first fit says that the whole grid takes longer, the defaults stay. None for no limit.
        say: called with the forecast and with what was chosen.
    """
    assert run.model is not None
    names = auto_settings(run.model)
    default = {name: default_settings(run.model.name)[name] for name in names}
    grid = [{name: point[name] for name in names if name in point} for point in baseline_grid(run.model.name)]
    points = list({repr(point): point for point in ({**default, **own} for own in grid)}.values())
    points = [default, *(point for point in points if point != default)]
    label = ", ".join(f"model.{name}" for name in names)
    started = time.perf_counter()
    best = _fit(run, default, parts)
    if not len(parts.valid):
        return _noted(run, names, best, f"{label} {_text(default)} by default: there is no validation part", say)
    values = [on_validation(run, best, parts)[run.metric]]
    needed = (time.perf_counter() - started) * (len(points) - 1)
    if limit is not None and needed > limit:
        reason = f"{len(points) - 1} other settings would take about {needed:.0f} s; {label} auto tries them"
        return _noted(run, names, best, f"{label} {_text(default)} by default: {reason}", say)
    if needed > 1:
        say(f"{run.label}: trying {len(points) - 1} other settings of {label}, about {needed:.0f} s")
    for point in points[1:]:
        ranker = _fit(run, point, parts)
        values.append(on_validation(run, ranker, parts)[run.metric])
        best = ranker if values[-1] > max(values[:-1]) else best
    chosen = points[values.index(max(values))]
    return _noted(run, names, best, f"{label} {_text(chosen)} {_how(run, points, values)}", say)


def _fit(run: Run, point: dict[str, Any], parts: Split) -> Ranker:
    assert run.model is not None
    settings = {**run.model.settings, **point}
    ranker: Ranker = MODELS.build(run.model.name, given=settings, seed=run.seed).fit(parts.train)
    return ranker


def _noted(run: Run, names: Sequence[str], ranker: Ranker, note: str, say: Callable[[str], None]) -> Tuned:
    assert run.model is not None
    say(note)
    found = {**run.found, **{f"model.{name}": note for name in names}}
    settings = {**run.model.settings, **{name: getattr(ranker, name) for name in names}}
    return Tuned(run.but(model=run.model.model_copy(update={"settings": settings}), found=found), ranker)


def _how(run: Run, points: Sequence[dict[str, Any]], values: Sequence[float]) -> str:
    shown = sorted(zip(points, values, strict=True), key=lambda pair: -pair[1])[:5]
    more = f", of {len(points)} tried" if len(points) > len(shown) else ""
    return f"chosen on validation ({run.metric} at {'; '.join(f'{_text(p)}: {v:.4f}' for p, v in shown)}{more})"


def _text(point: dict[str, Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in point.values())
