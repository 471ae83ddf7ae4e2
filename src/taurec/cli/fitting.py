"""Fit one model for a command, with live progress and a clean end after a signal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taurec.cli.failures import Stopped
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.data.source import Opened
    from taurec.data.split import Split
    from taurec.recommender import Recommender
    from taurec.tracking import Tracker


def checkpoint_of(out: Path) -> Path:
    """The checkpoint of a run that will be saved in a folder; it is kept until the run is saved."""
    return out.resolve().parent / f".{out.name}.checkpoint.safetensors"


def fit(
    model: Recommender,
    opened: Opened,
    parts: Split,
    output: Output,
    resume: Path | None = None,
    trackers: Sequence[Tracker] = (),
) -> None:
    """Fit to the parts with live progress."""
    from taurec.report.progress import show
    from taurec.studies.opening import fit_with_notes

    with show(output.err, output.quiet) as hook:
        fit_with_notes(model, opened, parts, output.note, hook, resume=resume, trackers=trackers)


def leave_if_stopped(model: Recommender, saved: Path | None, output: Output) -> None:
    """Raise :class:`Stopped` if a signal ended the fit, after a note on what was saved."""
    if not model.stopped_by:
        return
    where = f"saved to {saved}" if saved else "nothing was saved, as there is no --out"
    if saved is not None and checkpoint_of(saved).exists():
        where += "; the same command with --overwrite continues from there"
    epochs = len(model.records)
    output.note(f"warning: stopped by a signal after {count(epochs, 'whole epoch')}; {where}")
    raise Stopped(model.stopped_by)
