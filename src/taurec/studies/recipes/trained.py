"""A row of a trained model: every value of its grid on validation, then the run of the best; or its one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taurec import provenance
from taurec.data.split import Split
from taurec.studies.protocols import Protocol
from taurec.studies.recipes.recipe import Recipe
from taurec.training.records import Progress, Trained
from taurec.training.trainer import Trainer

GRID_SEED = 0
"""The seed with which the values of a grid are compared; runs with other seeds take the value chosen with it."""


def train_row(
    row: str, recipe: Recipe, protocol: Protocol, seed: int, state: Path, parts: Split, *, seconds: float | None = None,
    threads: int = 0, on_progress: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One seed of a row.

    The values of a grid are tried with seed 0 and chosen by the metric that chooses the epoch. Each is a run with its
    checkpoint, so that the same call continues, and the chosen one is not trained twice. Where the time ends the
    choice is among those begun, and the row is not finished.

    Args:
        seconds: stop after the epoch in which this time has passed, over all values.
    Returns: as :func:`taurec.studies.reproduce.reproduce`; with a grid, ``chosen`` and the values on ``validation``.
    """
    started = time.perf_counter()

    def fit(point: dict[str, Any] | None, seed: int) -> Trained:
        tag = "".join(f".{key.replace('.', '-')}-{value}" for key, value in (point or {}).items())
        path = state / f"{row}.{protocol.name}.{seed}{tag}.checkpoint.safetensors"
        left = None if seconds is None else max(seconds - (time.perf_counter() - started), 0.0)
        run = recipe.run(protocol, seed, point, threads=threads)
        return Trainer(run, parts.train, parts.valid, on_progress, on_note, parts.given).fit(path, seconds=left)

    points = recipe.points()
    if not points:
        trained = fit(None, seed)
        return result(trained, recipe, protocol, seed, parts)
    metric = recipe.run(protocol, seed).metric
    found = list[Trained]()
    for number, point in enumerate(points, start=1):
        found.append(fit(point, GRID_SEED))
        if on_note is not None:
            said = ", ".join(f"{key} {value}" for key, value in point.items())
            on_note(f"{row}, {said}: {metric} {_value(found[-1], metric):.5f} on validation, {number} of {len(points)}")
        if not found[-1].finished:
            break
    best = max(range(len(found)), key=lambda i: _value(found[i], metric))
    whole = len(found) == len(points) and all(trained.finished for trained in found)
    trained = found[best] if seed == GRID_SEED or not whole else fit(points[best], seed)
    tried = [
        {**point, metric: round(_value(one, metric), 5), "epochs": len(one.records), "seconds": _seconds(one)}
        for point, one in zip(points, found, strict=False)
    ]
    of_grid = {"chosen": points[best], "validation": tried, "finished": whole and trained.finished}
    stopped = found[-1].stopped_by or trained.stopped_by
    return result(trained, recipe, protocol, seed, parts) | of_grid | {"stopped_by": stopped}


def result(trained: Trained, recipe: Recipe, protocol: Protocol, seed: int, parts: Split) -> dict[str, Any]:
    """One run as plain values, with the figures on the test part."""
    records, best = trained.records, trained.best
    metric = recipe.run(protocol, seed).metric
    return {
        "seed": seed,
        **protocol.evaluate(trained.ranker, parts),
        "epochs": len(records),
        "best_epoch": best.epoch if best is not None else 0,
        "finished": trained.finished,
        "seconds": _seconds(trained),
        "curve": [round(r.metrics[metric], 5) for r in records if r.metrics],
        "kernels": trained.kernels,
        "stopped_by": trained.stopped_by,
        "machine": provenance.facts(),
    }


def _value(trained: Trained, metric: str) -> float:
    """The value that chose the epoch; 0 for a run without an evaluation yet."""
    return trained.best.metrics[metric] if trained.best is not None else 0.0


def _seconds(trained: Trained) -> float:
    return round(sum(r.train_seconds + r.eval_seconds for r in trained.records), 1)
