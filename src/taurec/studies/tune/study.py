"""``taurec tune``: search the settings of one trained model on validation with Optuna; a stopped search continues."""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.opening import Note, silent
from taurec.studies.options import Fields, Metrics, Option, Reading, RunFields, Source

if TYPE_CHECKING:
    from taurec.studies.tune.result import Tuning

_FIELDS = RunFields(
    (
        "backbone", "loss", "negatives", "order", "metric", "epochs", "patience", "batch_size", "lr", "l2", "split",
        "seed", "device", "threads",
    ),
    "Model and training (what is given is not varied)",
)  # fmt: skip


def tune(
    source: Source = "debian",
    trials: Annotated[int, Option("Number of trials, those already in --storage included.")] = 30,
    budget: Annotated[
        str | None, Option("Start no trial after this time, and stop the one that runs: 90s, 10m, 1h.", metavar="TIME")
    ] = None,
    storage: Annotated[
        Path | None,
        Option(
            "Keep the trials in FILE.jsonl, a journal of Optuna; the same command continues the search.",
            metavar="FILE",
            endings=(".jsonl",),
        ),
    ] = None,
    metrics: Metrics = ("recall@20", "ndcg@20"),
    *,
    fields: Annotated[Fields, _FIELDS],
    reading: Reading,
    on_progress: Note = silent,
    on_note: Note = silent,
) -> Tuning:
    """Search the settings of a model on validation; evaluate the best once on test.

    The learning rate and the grids of the loss, backbone and negative sampler are searched. The first trial is the
    preset. A trial that is below the median of earlier ones at the same epoch is stopped. Needs Optuna (extra tune).
    """
    from taurec.evaluation.metrics import parse_all
    from taurec.studies.choose import budget_seconds
    from taurec.studies.tune.search import Search
    from taurec.studies.tune.space import search_space
    from taurec.training.device import pick_device
    from taurec.training.presets import auto_settings, resolve

    started = time.monotonic()
    if importlib.util.find_spec("optuna") is None:
        raise UsageError("optuna is not installed, which taurec tune needs; pip install 'taurec[tune]'")
    if trials < 1:
        raise UsageError(f"--trials must be at least 1, got {trials}")
    allowed = math.inf if budget is None else budget_seconds(budget)
    if not allowed > 0:
        raise UsageError(f"--budget must be more than 0 seconds, got {budget!r}")
    given = {**fields, **({"reading": reading} if reading else {})}
    preset = resolve(**given)
    if auto_settings(preset.loss):
        raise UsageError(f"loss.{auto_settings(preset.loss)[0]}=auto is another search for it; leave it out")
    pick_device(preset.device)
    space = search_space(preset, given)
    if not space:
        raise UsageError("nothing is left to vary, because every setting of the search space is given")
    shown = [str(m) for m in parse_all([preset.metric, *metrics])]
    search = Search(preset, space, given, trials, started + allowed, storage, on_progress, on_note)
    return search.run(source, shown, started)
