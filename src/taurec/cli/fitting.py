"""Opening, splitting and fitting with what a person wants to see on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taurec.cli.failures import Stopped

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.data.source import Opened
    from taurec.data.split import Split
    from taurec.recommender import Recommender
    from taurec.run import Run
    from taurec.tracking import Tracker


def open_and_split(run: Run, output: Output) -> tuple[Opened, Split]:
    """The parts of a run's source; says what was read and how large they are."""
    from taurec.data.source import open_source, split_source
    from taurec.report.tables import count

    opened = open_source(run.source, **run.reading)
    for note in opened.notes:
        output.note(note)
    parts, _ = split_source(opened, run)
    for note in parts.notes:
        output.note(note)
    sizes = {"training": parts.train, "validation": parts.valid, "test": parts.test}
    held = ", ".join(f"{len(log):,} {name}" for name, log in sizes.items() if len(log))
    users, items = count(parts.train.n_users, "user"), count(parts.train.n_items, "item")
    output.note(f"{opened.name}: {users}, {items}; pairs by {parts.how}: {held}")
    return opened, parts


def checkpoint_of(out: Path) -> Path:
    """Where the run that is to be saved in a folder keeps where it stands, until it is saved."""
    return out.resolve().parent / f".{out.name}.checkpoint.safetensors"


def fit(
    recommender: Recommender,
    opened: Opened,
    parts: Split,
    output: Output,
    resume: Path | None = None,
    trackers: Sequence[Tracker] = (),
) -> None:
    """Fit to the parts with progress; says the settings before and the best epoch after."""
    from taurec.report.progress import show
    from taurec.report.tables import seconds

    for line in settings_lines(recommender.run):
        output.note(line)
    with show(output.err, output.quiet) as hook:
        recommender.fit(parts, on_progress=hook, on_note=output.note, resume=resume, trackers=trackers)
    recommender.run = recommender.run.but(source=opened.name)
    best, trained = recommender.best, recommender.run.model is None
    chosen = ""
    if best is not None and best.metrics and trained:
        values = ", ".join(f"{name} {value:.4f}" for name, value in best.metrics.items())
        chosen = f"; best epoch {best.epoch} of {len(recommender.records)}, {values} on validation"
    output.note(f"fitted in {seconds(recommender.fit_seconds)}{chosen}")


def settings_lines(run: Run) -> list[str]:
    """The run in a line or two, defaults included."""
    if run.model is not None:
        return [f"{run.model.text}, seed {run.seed}"]
    return [
        ", ".join(
            [
                f"{run.backbone.text} + {run.loss.text}",
                f"negatives {run.negatives.text}",
                f"order {run.order.text if run.order else 'none'}",
            ]
        ),
        ", ".join(
            [
                f"{run.train_score} scores",
                f"batch {run.batch_size:,}",
                f"lr {run.lr:g}",
                f"l2 {run.l2:g}",
                f"at most {run.epochs} epoch{'s' * (run.epochs != 1)}",
                f"patience {run.patience} on {run.metric}",
                f"seed {run.seed}",
                run.device,
            ]
        ),
    ]


def leave_if_stopped(recommender: Recommender, saved: Path | None, output: Output) -> None:
    """Raise :class:`Stopped` if a signal ended the fit, after saying where its state is."""
    if not recommender.stopped_by:
        return
    epochs = len(recommender.records)
    where = f"saved to {saved}" if saved else "nothing was saved, as there is no --out"
    if saved is not None and checkpoint_of(saved).exists():
        where += "; the same command with --overwrite goes on from there"
    output.note(f"warning: stopped by a signal after {epochs} whole epoch{'s' * (epochs != 1)}; {where}")
    raise Stopped(recommender.stopped_by)
