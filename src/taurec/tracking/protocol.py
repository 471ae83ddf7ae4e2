"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Tracker(Protocol):
    """Follows one training.

    ``start`` is called once before the first step, ``log`` after each epoch, ``end`` once, also after a training that
    was stopped. A tracker only listens: what it raises ends its following, never the training.
    """

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """The settings of the run, and the machine, versions and commit, as plain values."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """The numbers of one epoch, counted from 1: loss, seconds, validation metrics. A training that continues from
        a checkpoint begins with the epochs before it."""

    def end(self, summary: Mapping[str, float]) -> None:
        """The numbers of the whole training: the best epoch, its metrics, the seconds."""


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names.

    >>> flat({"loss": {"name": "sl", "settings": {"tau": 0.1}}, "seed": 0})
    {'loss.name': 'sl', 'loss.settings.tau': 0.1, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
