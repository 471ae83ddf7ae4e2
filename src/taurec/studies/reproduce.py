"""Reproduction of a published result: forecast, run, record. A stopped run continues from its checkpoint.

The parts, what chooses the epoch, and what the test hides are those of a protocol, :mod:`taurec.studies.protocols`; a
table that mixes protocols names them. A figure whose epoch is chosen on the test part is too high, and only for
comparison with the published one.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taurec.data.source import open_source
from taurec.data.split import Split, data_hash
from taurec.errors import ArtefactError
from taurec.studies.files import write_text
from taurec.studies.protocols import Protocol, protocol_of
from taurec.studies.recipes.baseline import fit_baseline, forecast_baseline
from taurec.studies.recipes.recipe import Recipe
from taurec.studies.recipes.trained import train_row
from taurec.training.calibrate import cost
from taurec.training.device import use_threads
from taurec.training.forecast import Sizes
from taurec.training.records import Progress

TIERS = (("A", 15 * 60.0), ("B", 2 * 3600.0), ("C", float("inf")))
"""Upper limits of a run, in seconds: tier A is run three times under all protocols of the row, B once, C on request."""


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


def parts_of(recipe: Recipe, protocol: str | Protocol) -> Split:
    """The parts of a row's data under a protocol."""
    return protocol_of(protocol).parts(open_source(recipe.data))


def forecast(recipe: Recipe, parts: Split, protocol: str | Protocol, threads: int = 0) -> Forecast:
    """The time that a run takes on this machine."""
    run = recipe.run(protocol, seed=0, threads=threads)
    use_threads(threads)
    if run.model is not None:
        return Forecast(*forecast_baseline(recipe, run, parts), unit="fit")
    found = cost(run, Sizes.of(parts.train, parts.valid))
    epochs = min(recipe.usual_epochs, run.epochs) * max(len(recipe.points()), 1)
    return Forecast(found.epoch + found.validation / run.eval_every, epochs)


def reproduce(
    row: str,
    recipe: Recipe,
    protocol: str | Protocol,
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
        protocol: one of :data:`taurec.studies.protocols.PROTOCOLS` or its name.
        state: folder of the checkpoint, from which the same call continues; of a baseline, of the settings tried on
            validation.
        parts: :func:`parts_of` the recipe, if known already.
        seconds: stop after the epoch in which this time has passed.
    Returns: seed, metrics on the test part, epochs, seconds of training, whether it is finished, commit, machine.
    """
    protocol = protocol_of(protocol)
    parts = parts if parts is not None else parts_of(recipe, protocol)
    run = recipe.run(protocol, seed, threads=threads)
    if run.model is not None:
        choosing = protocol.parts_for_settings(open_source(recipe.data)) if protocol.chosen_on_test else parts
        tried = state / f"{row}.{seed}.grid.jsonl"
        return fit_baseline(recipe, protocol, run, parts, choosing, tried, on_note)
    return train_row(
        row, recipe, protocol, seed, state, parts, seconds=seconds, threads=threads, on_progress=on_progress,
        on_note=on_note,
    )  # fmt: skip


def record_path(folder: Path, row: str, protocol: str | Protocol) -> Path:
    """The file that holds a row's record."""
    return folder / f"{row}.{protocol_of(protocol).name}.json"


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


def _chosen_on(recipe: Recipe, protocol: Protocol) -> str:
    """What chose the epoch, or the settings of a baseline: the ``test`` part, ``validation``, or the ``source``."""
    if recipe.given():
        return "source"
    return "test" if protocol.chosen_on_test and "model" not in recipe.fields else "validation"


def merge(
    folder: Path, row: str, recipe: Recipe, protocol: str | Protocol, parts: Split, result: Mapping[str, Any]
) -> Path:
    """Put one run into the row's record, replacing an earlier one of its seed; the file is complete or unchanged.

    Raises: ArtefactError where the file is not a record of this row.
    """
    protocol = protocol_of(protocol)
    path = record_path(folder, row, protocol)
    seeds = {int(result["seed"]): dict(result)}
    # Where the test part chooses, it is the validation part as well, and counts once.
    valid = parts.train.take([]) if protocol.chosen_on_test else parts.valid
    hashed = data_hash(Split(parts.train, valid, parts.test, parts.how))
    there = read_record(path, row)
    if there is not None and there["data"]["sha256"] == hashed:
        seeds = {int(s["seed"]): s for s in there["seeds"]} | seeds
    runs = [seeds[seed] for seed in sorted(seeds)]
    means = {m: statistics.fmean(r[m] for r in runs) for m in protocol.reports}
    published = recipe.published
    seeds_option = f" --seeds {len(runs)}" if len(runs) > 1 else ""
    content = {
        "row": row,
        "protocol": protocol.name,
        "chosen_on": _chosen_on(recipe, protocol),
        "command": f"taurec reproduce {row} --protocol {protocol.name}" + seeds_option,
        "data": {"name": recipe.data, "sha256": hashed},
        "published": None if published is None else {**published.values(), "source": published.source},
        "measured": {m: round(value, 6) for m, value in means.items()},
        "spread": {m: round(statistics.stdev(r[m] for r in runs), 6) for m in protocol.reports}
        if len(runs) > 1
        else None,
        "difference_percent": None
        if published is None
        else {m: round(100 * (means[m] / value - 1), 2) for m, value in published.values().items()},
        "differs": recipe.differs,
        "claim": recipe.claim,
        "finished": all(r["finished"] for r in runs),
        "time_seconds": round(statistics.fmean(r["seconds"] for r in runs), 1),
        "run": json.loads(recipe.run(protocol, runs[0]["seed"], runs[0].get("chosen")).to_json()),
        "seeds": runs,
    }
    write_text(path, json.dumps(content, indent=1) + "\n", "--out")
    return path
