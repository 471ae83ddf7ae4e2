"""A training told to trackers as it goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taurec.provenance import facts
from taurec.run import Run
from taurec.tracking.protocol import Tracker
from taurec.tracking.together import Together
from taurec.training.checkpoint import records_in
from taurec.training.records import EpochRecord, Progress

Hook = Callable[[Progress], None]


@dataclass
class Following:
    """What a training is handed: ``hook`` replaces its progress hook.

    Attributes:
        hook: tells trackers of every epoch, then calls the hook that it stands before.
        summary: of the whole training, told at its end.
    """

    hook: Hook | None
    summary: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def follow(
    trackers: Sequence[Tracker],
    run: Run,
    on_progress: Hook | None = None,
    on_note: Callable[[str], None] | None = None,
    resume: Path | None = None,
) -> Iterator[Following]:
    """Within the block a training is told to the trackers; they are ended with it, whatever ends it.

    Args:
        trackers: none at all costs nothing.
        run: its settings.
        on_progress: the hook that is called as well.
        on_note: called with a warning when a tracker fails.
        resume: a checkpoint from which training continues; its epochs are reported first.
    """
    if not trackers:
        yield Following(on_progress)
        return
    together, started = Together(trackers, on_note), time.perf_counter()
    together.start(run.model_dump(mode="json"), facts())
    for fields in records_in(resume) if resume is not None else ():
        together.log(int(fields["epoch"]), values_of(EpochRecord(**fields)))

    def hook(progress: Progress) -> None:
        if progress.record is not None:
            together.log(progress.record.epoch, values_of(progress.record))
            if progress.best is not None:
                best = {f"best_{name}": value for name, value in progress.best.metrics.items()}
                following.summary |= {"epochs": progress.epoch, "best_epoch": progress.best.epoch, **best}
        if on_progress is not None:
            on_progress(progress)

    following = Following(hook)
    try:
        yield following
    finally:
        together.end({**following.summary, "seconds": time.perf_counter() - started})


def values_of(record: EpochRecord) -> Mapping[str, float]:
    """The numbers of an epoch under the names of ``metrics.jsonl``.

    >>> sorted(values_of(EpochRecord(1, 0.5, 2.0, metrics={"ndcg@20": 0.25})))
    ['eval_seconds', 'loss', 'ndcg@20', 'rows_without_negatives', 'train_seconds']
    """
    return {
        "loss": record.loss,
        "train_seconds": record.train_seconds,
        "eval_seconds": record.eval_seconds,
        "rows_without_negatives": record.rows_without_negatives,
        **record.metrics,
    }
