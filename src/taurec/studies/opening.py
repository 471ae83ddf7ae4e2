"""Opening and splitting a log and fitting a model, with notes for the reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taurec.studies.words import count, seconds

if TYPE_CHECKING:
    from taurec.data.source import Opened
    from taurec.data.split import Split
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.tracking import Tracker
    from taurec.training.records import Progress

Note = Callable[[str], None]


def silent(text: str) -> None:
    """A hook that ignores its line."""


def open_and_split(run: Run, on_note: Note = silent) -> tuple[Opened, Split]:
    """Open the source of a run and split it; the notes name what was read and the size of each part."""
    from taurec.data.source import open_source, split_source

    opened = open_source(run.source, **run.reading)
    for note in opened.notes:
        on_note(note)
    parts, _ = split_source(opened, run)
    for note in parts.notes:
        on_note(note)
    sizes = {"training": parts.train, "validation": parts.valid, "test": parts.test, "given": parts.given}
    held = ", ".join(f"{len(log):,} {name}" for name, log in sizes.items() if log is not None and len(log))
    users, items = count(parts.train.n_users, "user"), count(parts.train.n_items, "item")
    on_note(f"{opened.name}: {users}, {items}; pairs by {parts.how}: {held}")
    return opened, parts


def fit_with_notes(
    model: Recommender,
    opened: Opened,
    parts: Split,
    on_note: Note = silent,
    on_epoch: Callable[[Progress], None] | None = None,
    *,
    resume: Path | None = None,
    trackers: Sequence[Tracker] = (),
) -> None:
    """Fit a model to the parts; the notes give the settings before the fit and the best epoch after it."""
    for line in settings_lines(model.run):
        on_note(line)
    model.fit(parts, on_progress=on_epoch, on_note=on_note, resume=resume, trackers=trackers)
    model.run = model.run.but(source=opened.name)
    best, chosen = model.best, ""
    if best is not None and best.metrics and model.run.model is None:
        values = ", ".join(f"{name} {value:.4f}" for name, value in best.metrics.items())
        chosen = f"; best epoch {best.epoch} of {len(model.records)}, {values} on validation"
    on_note(f"fitted in {seconds(model.fit_seconds)}{chosen}")


def settings_lines(run: Run) -> list[str]:
    """The settings of a run in one or two lines, defaults included."""
    if run.parts:
        lines = [line for part in run.parts for line in settings_lines(part)]
        return [f"{run.label} with the halves", *(f"  {line}" for line in lines)]
    if run.model is not None:
        return [f"{run.model.text}, seed {run.seed}"]
    return [
        f"{run.backbone.text} + {run.loss.text}, negatives {run.negatives.text}, "
        f"order {run.order.text if run.order else 'none'}",
        f"{run.train_score} scores, batch {run.batch_size:,}, lr {run.lr:g}, l2 {run.l2:g}, at most "
        f"{count(run.epochs, 'epoch')}, patience {run.patience} on {run.metric}, seed {run.seed}, {run.device}",
    ]
