"""A baseline's row: every point of its grid on validation, then one fit; or one fit with the settings of its source.

What was tried on validation is kept as it is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taurec import provenance
from taurec.baselines import BASELINES
from taurec.data.split import Split, data_hash
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.run import Run
from taurec.studies.audit.noise.journal import Journal
from taurec.studies.protocols import Protocol
from taurec.studies.recipes.recipe import Recipe
from taurec.studies.search.baselines import forecast as seconds_of_a_fit
from taurec.training.device import use_threads
from taurec.training.presets import baseline_grid


def grid_of(recipe: Recipe, run: Run) -> tuple[dict[str, Any], ...]:
    """The settings from which validation chooses; none for a row whose source gives them."""
    assert run.model is not None
    return () if recipe.given() else tuple(dict(point) for point in baseline_grid(run.model.name))


def forecast_baseline(recipe: Recipe, run: Run, parts: Split) -> tuple[float, int]:
    """Seconds of a fit with its evaluation, from a fit to a part of the log, and how many fits a row takes."""
    return seconds_of_a_fit(run, parts), len(grid_of(recipe, run)) + 1


def fit_baseline(
    recipe: Recipe, protocol: Protocol, run: Run, parts: Split, choosing: Split, tried: Path,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A baseline on the test part, at the setting of its source or the one that is best on validation.

    Args:
        parts: of the protocol; the chosen setting is fitted to their training part.
        choosing: the parts whose ``valid`` chooses the setting, :meth:`Protocol.parts_for_settings`.
        tried: file in which the value of every setting is kept; protocols with these parts share it, and continue
            from it.
    Returns: a result as :func:`taurec.studies.reproduce.reproduce` has it; its seconds are those of the whole grid,
        whenever it was run.
    """
    assert run.model is not None
    use_threads(run.threads)
    name, metric, grid = run.model.name, recipe.select, grid_of(recipe, run)
    head = {"baseline": name, "metric": metric, "seed": run.seed, "data": data_hash(choosing)}
    journal, values, seconds = Journal(tried, head, on_note), list[float](), 0.0
    for number, point in enumerate(grid, start=1):
        entry, started = journal.get(point), time.perf_counter()
        if entry is None:
            ranker = BASELINES.build(name, given=point, seed=run.seed).fit(choosing.train)
            scorer = UserScorer.of_part(ranker, choosing, "valid")
            entry = evaluate_ranker(scorer, choosing.valid, choosing.known("valid"), [metric]).means()
            entry["seconds"] = round(time.perf_counter() - started, 3)
            journal.add(point, entry)
        seconds += entry["seconds"]
        values.append(entry[metric])
        if on_note is not None and len(grid) > 1:
            said = ", ".join(f"{k} {v:g}" for k, v in point.items())
            on_note(f"{name}, {said}: {metric} {entry[metric]:.4f} on validation, {number} of {len(grid)}")
    started = time.perf_counter()
    chosen = grid[max(range(len(grid)), key=values.__getitem__)] if grid else recipe.given()
    ranker = BASELINES.build(name, given=chosen, seed=run.seed).fit(parts.train)
    found = protocol.evaluate(ranker, parts)
    seconds = round(seconds + time.perf_counter() - started, 1)
    facts = {"settings": dict(chosen), "tried": len(grid), "seconds": seconds, "machine": provenance.facts()}
    return {"seed": run.seed, **found, "epochs": 0, "best_epoch": 0, "finished": True, **facts}
