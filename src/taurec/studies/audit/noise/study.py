"""``taurec audit noise``: accuracy of losses and baselines under added noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.studies.audit.noise.kinds import Kind
from taurec.studies.opening import Note, silent
from taurec.studies.options import Fields, Metrics, Option, Reading, RunFields, Source, Tune
from taurec.studies.result import Interrupted

if TYPE_CHECKING:
    from taurec.studies.audit.noise.results import NoiseCurves

LOSSES = ("bpr", "sl", "bsl", "mml")
BASELINES = ("popularity", "itemknn", "ease", "ials")

_FIELDS = RunFields(("metric", "epochs", "patience", "batch_size", "split", "seed", "device", "threads"))


def noise(
    source: Source = "debian",
    losses: Annotated[tuple[str, ...], Option("Losses, separated by commas.", metavar="NAMES")] = LOSSES,
    levels: Annotated[
        tuple[float, ...],
        Option("Levels of noise; of positives, injected pairs for each pair of a user.", metavar="NUMBERS"),
    ] = (0.0, 0.1, 0.2, 0.3, 0.4),
    kind: Annotated[Kind, Option("Noise in the positives, the negatives, or negatives-held-out.")] = "positives",
    seeds: Annotated[int, Option("Number of seeds of each model and level, each with its own noise.")] = 3,
    backbone: Annotated[str, Option("Backbone of the losses.")] = "mf",
    baselines: Annotated[tuple[str, ...], Option("Baselines to compare with.", metavar="NAMES")] = BASELINES,
    tune: Tune = "baselines",
    metrics: Metrics = ("ndcg@20", "recall@20"),
    journal: Annotated[
        Path | None,
        Option("Keep finished fits in FILE.jsonl, and continue from it.", metavar="FILE", endings=(".jsonl",)),
    ] = None,
    *,
    fields: Annotated[Fields, _FIELDS],
    reading: Reading,
    on_progress: Note = silent,
    on_note: Note = silent,
) -> NoiseCurves:
    """Add noise to training, level by level, and show the loss in accuracy of each loss and baseline.

    Validation and test are split off first and stay clean. With --journal an interrupted command can be continued.
    """
    from taurec.studies.audit.noise.fits import FitsEnded
    from taurec.studies.audit.noise.robustness import noise_curves
    from taurec.training.device import pick_device

    given = {**fields, **({"reading": reading} if reading else {})}
    pick_device(given.get("device", "cpu"))
    try:
        return noise_curves(
            source, losses, levels, kind=kind, seeds=seeds, backbone=backbone, baselines=baselines, tune=tune,
            metrics=metrics, fields=given, journal=journal, on_note=on_note,
            on_progress=lambda step: on_progress(step.text(kind)),
        )  # fmt: skip
    except FitsEnded as ended:
        kept = f"they are in {journal}; the same command continues from there" if journal else "there is no --journal"
        raise Interrupted(ended.signum, f"{ended}; {kept}") from None
