"""``taurec compare``: compares models under one protocol, or with ``--budget`` chooses a model in a given time."""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.opening import Note, silent
from taurec.studies.options import Fields, Metrics, Option, Reading, RunFields, Source, Tune

if TYPE_CHECKING:
    from taurec.studies.compare import Comparison
    from taurec.studies.search import SearchResult

MODELS = (
    "popularity", "itemknn", "ease", "ease-normalised", "slim-local", "ials", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml",
)  # fmt: skip

_FIELDS = RunFields(("metric", "epochs", "patience", "batch_size", "split", "seed", "device", "threads"))
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|m|s)(?:in|ours?|inutes?|ec|econds?)?\s*")


def compare(
    source: Source = "debian",
    models: Annotated[
        tuple[str, ...],
        Option("Baselines by name, trained models as backbone:loss, blends of two as blend:A+B.", metavar="NAMES"),
    ] = MODELS,
    seeds: Annotated[int, Option("Number of seeds of each trained model.")] = 1,
    tune: Tune = "baselines",
    tries: Annotated[int | None, Option("Maximum number of settings of each model; else its whole grid.")] = None,
    budget: Annotated[
        str | None,
        Option(
            "Choose model, loss and temperature for this log within this wall-clock time instead: 90s, 10m, 1h.",
            metavar="TIME",
        ),
    ] = None,
    metrics: Metrics = ("recall@20", "ndcg@20"),
    *,
    fields: Annotated[Fields, _FIELDS],
    reading: Reading,
    on_progress: Note = silent,
) -> Comparison | SearchResult:
    """Compare models: fitted on training, chosen on validation, evaluated once on test.

    Popularity, item-kNN, three closed forms (EASE, normalised EASE, slim-local) and iALS are always compared too.
    """
    started = monotonic()
    from taurec.evaluation.metrics import parse_all
    from taurec.studies.compare import compare as compare_models
    from taurec.studies.search import MODELS as SEARCHED
    from taurec.studies.search import search
    from taurec.training.device import pick_device

    parse_all(metrics)
    for name, value in (("seeds", seeds), ("tries", tries)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")
    given = {**fields, **({"reading": reading} if reading else {})}
    pick_device(given.get("device", "cpu"))
    if budget is None:
        return compare_models(
            source, models, seeds=seeds, tune=tune, metrics=metrics, fields=given, on_progress=on_progress, tries=tries
        )
    options = {"--seeds": seeds != 1, "--tune": tune != "baselines", "--tries": tries is not None}
    idle = [name for name, changed in options.items() if changed]
    if idle:
        raise UsageError(f"{', '.join(idle)} would have no effect with --budget; leave it out")
    trained = list(SEARCHED) if models == MODELS else [m for m in models if ":" in m]
    return search(
        source, budget_seconds(budget), trained, metrics=metrics, fields=given, on_progress=on_progress, started=started
    )


def budget_seconds(text: str) -> float:
    """Seconds of a duration.

    >>> [budget_seconds(text) for text in ("10m", "1h30m", "90s", "1.5 hours", "45")]
    [600.0, 5400.0, 90.0, 5400.0, 45.0]
    """
    plain = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return float(plain)
    parts = _PART.findall(plain)
    if not parts or _PART.sub("", plain) or len({unit for _, unit in parts}) < len(parts):
        raise UsageError(f"--budget {text!r} is not a duration; write for example 90s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
