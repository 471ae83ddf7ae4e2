"""Trackers by name, and several of them as one that cannot hurt a training."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taurec.errors import UsageError, did_you_mean
from taurec.tracking.csv_file import CsvTracker
from taurec.tracking.mlflow import MlflowTracker
from taurec.tracking.protocol import Tracker
from taurec.tracking.tensorboard import TensorBoardTracker
from taurec.tracking.wandb import WandbTracker

KINDS: dict[str, tuple[Callable[[str], Tracker], str | None]] = {
    "csv": (CsvTracker, None),
    "tensorboard": (TensorBoardTracker, "tensorboard"),
    "mlflow": (MlflowTracker, "mlflow"),
    "wandb": (WandbTracker, "wandb"),
}
"""Name -> how it is made from its place, and the package and extra that it needs."""


def open_tracker(text: str) -> Tracker:
    """The tracker of a text such as ``tensorboard:runs``: a kind of :data:`KINDS` and where it writes.

    Raises: UsageError for an unknown kind, no place, or a package that is not installed, naming the extra.

    >>> open_tracker("csv:curve.csv").path.name
    'curve.csv'
    """
    kind, _, place = text.partition(":")
    if kind not in KINDS:
        raise UsageError(f"unknown tracker {kind!r}{did_you_mean(kind, KINDS)}; write KIND:PLACE, as in csv:curve.csv")
    if not place:
        raise UsageError(f"tracker {text!r} does not say where to write; write for example {kind}:runs")
    make, package = KINDS[kind]
    if package is not None and importlib.util.find_spec(package) is None:
        raise UsageError(f"{package} is not installed, which --track {kind}: needs; pip install 'taurec[{package}]'")
    return make(place)


class Together:
    """Several trackers as one; what a tracker raises is told once, and that tracker is left out from then on.

    Args:
        trackers: told everything in turn.
        on_note: called with a warning when one fails.
    """

    def __init__(self, trackers: Sequence[Tracker], on_note: Callable[[str], None] | None = None):
        self._trackers = list(trackers)
        self._on_note = on_note or (lambda note: None)

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self._tell(lambda tracker: tracker.start(run, facts))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._tell(lambda tracker: tracker.log(epoch, values))

    def end(self, summary: Mapping[str, float]) -> None:
        self._tell(lambda tracker: tracker.end(summary))

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                what(tracker)
            except Exception as error:
                # Any error: a tool that only listens must not cost the training it listens to.
                self._trackers.remove(tracker)
                kind = type(tracker).__name__
                said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                self._on_note(f"warning: {kind} failed and is left out from here on; training goes on ({said})")
