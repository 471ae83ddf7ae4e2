"""The command line that fits a run: the settings that differ from the defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taurec.run import Choice, Run

_OPTIONS = (
    "batch_size", "epochs", "lr", "l2", "metric", "patience", "split", "seed", "device", "threads",
)  # fmt: skip
"""Fields that have an option; the others are given by --set."""
_SKIP = frozenset({"source", "reading", "data_hash", "model", "backbone", "loss", "found"})


def train_command(run: Run, epochs: int | None = None, reading: Mapping[str, Any] | None = None) -> str:
    """A ``taurec train`` that fits exactly this run.

    Args:
        run: resolved.
        epochs: number of epochs trained, where a budget stopped the training; None where training finished.
        reading: how the file was read, where the run does not say it.

    >>> from taurec.training.presets import resolve
    >>> train_command(resolve(loss="sl", settings={"loss": {"tau": 0.2}}, epochs=7))
    'taurec train debian --backbone mf --loss sl --set loss.tau=0.2 --epochs 7'
    >>> train_command(resolve(model="ease", settings={"model": {"l2": 50.0}}))
    'taurec train debian --model ease --set model.l2=50.0'
    """
    from taurec.training.presets import resolve

    if run.model is not None:
        words, parts = ["--model", run.model.name], ["model"]
        plain = resolve(model=run.model.name)
    else:
        words, parts = ["--backbone", run.backbone.name, "--loss", run.loss.name], ["backbone", "loss"]
        plain = resolve(backbone=run.backbone.name, loss=run.loss.name)
    for part in parts:
        words += _settings(part, getattr(run, part), getattr(plain, part))
    wanted = run if epochs is None else run.but(epochs=epochs)
    for name in type(run).model_fields:
        value, default = getattr(wanted, name), getattr(plain, name)
        if name in _SKIP or value in (None, default) or (name == "split" and value == "files"):
            continue
        if name in ("negatives", "order"):
            words += [f"--{name}", value.name]
            words += _settings(name, value, getattr(resolve(**{name: value.name}), name))
        elif name in _OPTIONS:
            words += [f"--{name.replace('_', '-')}", f"{value}"]
        else:
            words += ["--set", f"{name}={_text(value)}"]
    words += reading_options({**run.reading, **(reading or {})})
    return shlex.join(["taurec", "train", run.source, *words])


def reading_options(reading: Mapping[str, Any]) -> list[str]:
    """The options that read a file in this way.

    >>> reading_options({"k_core": 5, "dedupe": True})
    ['--k-core', '5', '--dedupe']
    """
    return [
        word
        for name, value in reading.items()
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]


def _settings(part: str, choice: Choice, plain: Choice) -> list[str]:
    changed = {k: v for k, v in choice.settings.items() if plain.settings.get(k) != v}
    return [word for k, v in changed.items() for word in ("--set", f"{part}.{k}={_text(v)}")]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
