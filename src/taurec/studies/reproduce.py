"""Reproduction of a published result: forecast, run, record. A stopped run continues from its checkpoint.

Protocols; a table that mixes them names them:

``paper``
    Training on the whole training file; the epoch is chosen on the test part, as in the sources. A value chosen on
    test data is too high; it is only for comparison with the published one.
``honest``
    A tenth of each user's training pairs is held out for validation and chooses the epoch; the test part is used once.

A baseline's setting is chosen on that validation part under both; under ``paper`` it is then fitted to the whole
training file.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taurec import provenance
from taurec.data.interactions import Interactions
from taurec.data.source import open_source
from taurec.data.split import Split, data_hash, split_given
from taurec.errors import ArtefactError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.studies.files import write_text
from taurec.studies.recipes.baseline import fit_baseline, forecast_baseline
from taurec.studies.recipes.recipe import METRICS, Protocol, Recipe
from taurec.training.calibrate import cost
from taurec.training.device import use_threads
from taurec.training.forecast import Sizes
from taurec.training.records import Progress
from taurec.training.trainer import Trainer

TIERS = (("A", 15 * 60.0), ("B", 2 * 3600.0), ("C", float("inf")))
"""Upper limits of a run, in seconds: tier A is run three times under both protocols, B once, C on request."""


@dataclass(frozen=True)
class Forecast:
    """The time that a run of a row takes on this machine.

    Attributes:
        epoch: seconds of an epoch with its validation; of a baseline, of a fit with its evaluation.
        epochs: their usual number.
        unit: ``epoch`` or ``fit``.
    """

    epoch: float
    epochs: int
    unit: Literal["epoch", "fit"] = "epoch"

    @property
    def seconds(self) -> float:
        return self.epoch * self.epochs

    @property
    def tier(self) -> str:
        return next(name for name, most in TIERS if self.seconds <= most)


def parts_of(recipe: Recipe, protocol: Protocol) -> Split:
    """The parts of a row's data; ``valid`` chooses the epoch, and is the test part under ``paper``."""
    opened = open_source(recipe.data)
    if opened.train is None or opened.test is None:
        raise UsageError(f"{recipe.data} has no given training and test parts; a row needs a set with them")
    if protocol == "paper":
        return Split(opened.train, opened.test, opened.test, "files")
    return split_given(opened.train, opened.test, valid=0.1, seed=0)


def forecast(recipe: Recipe, parts: Split, protocol: Protocol, threads: int = 0) -> Forecast:
    """The time that a run takes on this machine."""
    run = recipe.run(protocol, seed=0, threads=threads)
    use_threads(threads)
    if run.model is not None:
        return Forecast(*forecast_baseline(run, parts), unit="fit")
    found = cost(run, Sizes.of(parts.train, parts.valid))
    return Forecast(found.epoch + found.validation / run.eval_every, min(recipe.usual_epochs, run.epochs))


def reproduce(
    row: str,
    recipe: Recipe,
    protocol: Protocol,
    seed: int,
    state: Path,
    *,
    parts: Split | None = None,
    seconds: float | None = None,
    threads: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """One run of a row, as plain values for :func:`merge`.

    Args:
        row: its name.
        state: folder of the checkpoint, from which the same call continues; of a baseline, of the settings tried on
            validation.
        parts: :func:`parts_of` the recipe, if known already.
        seconds: stop after the epoch in which this time has passed.
    Returns: seed, metrics on the test part, epochs, seconds of training, whether it is finished, commit, machine.
    """
    parts = parts if parts is not None else parts_of(recipe, protocol)
    run = recipe.run(protocol, seed, threads=threads)
    if run.model is not None:
        honest = parts if protocol == "honest" else parts_of(recipe, "honest")
        tried = state / f"{row}.{seed}.grid.jsonl"
        return fit_baseline(recipe, protocol, run, parts, honest, tried, on_note)
    path = state / f"{row}.{protocol}.{seed}.checkpoint.safetensors"
    trained = Trainer(run, parts.train, parts.valid, on_progress, on_note).fit(path, seconds=seconds)
    seen = parts.train if protocol == "paper" else Interactions.union(parts.train, parts.valid)
    records, best = trained.records, trained.best
    return {
        "seed": seed,
        **evaluate_ranker(trained.ranker, parts.test, seen, list(METRICS)).means(),
        "epochs": len(records),
        "best_epoch": best.epoch if best is not None else 0,
        "finished": trained.finished,
        "seconds": round(sum(r.train_seconds + r.eval_seconds for r in records), 1),
        "curve": [round(r.metrics[run.metric], 5) for r in records if r.metrics],
        "kernels": trained.kernels,
        "stopped_by": trained.stopped_by,
        "machine": provenance.facts(),
    }


def record_path(folder: Path, row: str, protocol: Protocol) -> Path:
    """The file that holds a row's record."""
    return folder / f"{row}.{protocol}.json"


def read_record(path: Path, row: str) -> dict[str, Any] | None:
    """The record of a row in a file; None where there is no file.

    Raises: ArtefactError where the file is not a record.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = [(s["seed"], s["finished"]) for s in found["seeds"]], found["measured"], found["data"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: not a record of {row} ({error}); move it away") from None
    return dict(found)


def merge(folder: Path, row: str, recipe: Recipe, protocol: Protocol, parts: Split, result: Mapping[str, Any]) -> Path:
    """Put one run into the row's record, replacing an earlier one of its seed; the file is complete or unchanged.

    Raises: ArtefactError where the file is not a record of this row.
    """
    path = record_path(folder, row, protocol)
    seeds = {int(result["seed"]): dict(result)}
    # Under paper the validation part is the test part once more.
    valid = parts.valid if protocol == "honest" else parts.train.take([])
    hashed = data_hash(Split(parts.train, valid, parts.test, parts.how))
    there = read_record(path, row)
    if there is not None and there["data"]["sha256"] == hashed:
        seeds = {int(s["seed"]): s for s in there["seeds"]} | seeds
    runs = [seeds[seed] for seed in sorted(seeds)]
    means = {m: statistics.fmean(r[m] for r in runs) for m in METRICS}
    published = recipe.published
    content = {
        "row": row,
        "protocol": protocol,
        "chosen_on": "test" if protocol == "paper" and "model" not in recipe.fields else "validation",
        "command": f"taurec reproduce {row} --protocol {protocol}" + (f" --seeds {len(runs)}" if len(runs) > 1 else ""),
        "data": {"name": recipe.data, "sha256": hashed},
        "published": None if published is None else {**published.values(), "source": published.source},
        "measured": {m: round(value, 6) for m, value in means.items()},
        "spread": {m: round(statistics.stdev(r[m] for r in runs), 6) for m in METRICS} if len(runs) > 1 else None,
        "difference_percent": None
        if published is None
        else {m: round(100 * (means[m] / value - 1), 2) for m, value in published.values().items()},
        "differs": recipe.differs,
        "claim": recipe.claim,
        "finished": all(r["finished"] for r in runs),
        "time_seconds": round(statistics.fmean(r["seconds"] for r in runs), 1),
        "run": json.loads(recipe.run(protocol, runs[0]["seed"]).to_json()),
        "seeds": runs,
    }
    write_text(path, json.dumps(content, indent=1) + "\n", "--out")
    return path
