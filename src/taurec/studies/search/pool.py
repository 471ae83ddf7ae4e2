"""The settings that take part in the rounds of a search, so that the first round fits into its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from taurec.errors import ResourceError
from taurec.run import Run
from taurec.studies.compare.candidates import candidates, note_if_untuned
from taurec.studies.failed import reason_of
from taurec.studies.opening import Note
from taurec.studies.search.halving import sizes as round_sizes
from taurec.training.calibrate import cost
from taurec.training.forecast import Sizes, check_memory

MODELS = ("mf:sl", "mf:bsl", "mf:mml", "mf:bpr", "lightgcn:sl")
"""The default models: the losses of the family, the pairwise one, and a graph model."""
FIRST_EPOCHS = 2
"""Every setting must be able to train this many epochs in the first round."""
SHARES = (1.0, 0.5, 0.25)
"""Shares of the users to try, in this order; the first one with which the first round fits into its time is used."""
TRIES = (None, 3, 2)
"""Maximum settings of each model to try, in this order, if no share of the users is small enough."""
SLOW = 2.0
"""The slowest model is left out first if it takes this many times as long as the fastest, otherwise the last one."""


@dataclass(frozen=True)
class Pool:
    """The settings that take part.

    Attributes:
        runs: one per setting.
        epoch: label of a run -> forecast seconds of an epoch with its validation on all users; 0 without a forecast.
        share: share of the users that take part.
        notes: what was left out, and why.
    """

    runs: list[Run]
    epoch: dict[str, float]
    share: float
    notes: list[str]


def make_pool(
    models: Sequence[str],
    fields: Mapping[str, Any],
    sizes: Sizes,
    rounds: float,
    until: float,
    say: Note,
) -> Pool:
    """Choose settings, and a share of the users if all of them take too long.

    Args:
        models: as ``backbone:loss``, those of most interest first.
        fields: run fields common to all.
        sizes: of the log.
        rounds: seconds for all rounds.
        until: of ``time.monotonic()``, after which no further model is measured, except the first.
    """
    grids = {label: candidates(label, "all", fields) for label in models}
    epoch = dict[str, float]()
    notes = [note for label, runs in grids.items() if (note := note_if_untuned(label, runs, "all", None))]
    for label, runs in grids.items():
        if epoch and monotonic() > until:
            notes.append(f"{label} left out: no time to measure its cost")
            continue
        try:
            check_memory(runs[0], sizes)
        except ResourceError as error:
            notes.append(f"{label} left out: {error}")
            continue
        epoch[label] = 0.0
        if runs[0].device == "cpu":
            say(f"measuring the time of {label}")
            try:
                found = cost(runs[0], sizes)
            except Exception as error:
                why = reason_of(error, runs[0])
                if why is None:
                    raise
                notes.append(f"{label} failed: {why}")
                del epoch[label]
                continue
            epoch[label] = found.epoch + found.validation
    labels = list(epoch)
    of_run = {grids[label][0].label: seconds for label, seconds in epoch.items()}
    while labels:
        for tries in TRIES:
            taken = {label: candidates(label, "all", fields, tries) for label in labels}
            runs = [run for settings in taken.values() for run in settings]
            one = FIRST_EPOCHS * sum(epoch[label] * len(settings) for label, settings in taken.items())
            share = next((s for s in SHARES if s * one <= rounds / len(round_sizes(len(runs)))), None)
            if share is not None:
                return Pool(runs, of_run, share, notes)
        if len(labels) == 1:
            return Pool(runs, of_run, SHARES[-1], notes)
        slowest = max(labels, key=epoch.__getitem__)
        gone = slowest if epoch[slowest] > SLOW * min(epoch[label] for label in labels) else labels[-1]
        labels.remove(gone)
        notes.append(f"{gone} left out: an epoch takes about {epoch[gone]:.1f} s, too long for this budget")
    return Pool([], of_run, 1.0, notes)
