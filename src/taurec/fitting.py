"""The fit of any run: a trained model, a baseline, or a model made of others, whose parts are fitted first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taurec.baselines.models import MODELS
from taurec.baselines.protocol import Composite, FittedPart
from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.plugins import settings_of
from taurec.ranker import HistoryScorer, Ranker
from taurec.run import Choice, Run
from taurec.tracking import Tracker, follow
from taurec.training.auto_temperature import find_temperature, within
from taurec.training.device import use_threads
from taurec.training.interrupt import pass_on
from taurec.training.presets import auto_settings
from taurec.training.records import EpochRecord, Progress
from taurec.training.trainer import Trainer
from taurec.tuning import on_validation, tune

Note = Callable[[str], None]


@dataclass
class Fitted:
    """The result of a fit.

    Attributes:
        run: every setting, with numbers in place of ``auto``.
        ranker: the model.
        records: one per epoch; one in all for a model that is not trained.
        best: the record of the chosen epoch.
        notes: remarks.
        stopped_by: the signal that ended training early, or 0.
        kernels: the kernel that ran, by part of training.
        finished: whether training reached its last epoch or the end of its patience.
        seconds: of the fit; of a trained model and of a model made of others with validation.
    """

    run: Run
    ranker: Ranker
    records: list[EpochRecord]
    best: EpochRecord | None
    notes: list[str] = field(default_factory=list)
    stopped_by: int = 0
    kernels: dict[str, str] = field(default_factory=dict)
    finished: bool = True
    seconds: float = 0.0


def fit_run(
    run: Run,
    parts: Split,
    on_progress: Callable[[Progress], None] | None = None,
    on_note: Note | None = None,
    resume: Path | None = None,
    seconds: float | None = None,
    trackers: Sequence[Tracker] = (),
    limit: float | None = None,
) -> Fitted:
    """Fit a run to the parts of a log.

    Args:
        run: resolved.
        limit: seconds in which each choice of settings that are ``auto`` must be made by its forecast; else the
            defaults stay. None for no limit.
        parts: of the log.
        on_progress, on_note, resume, seconds, trackers: as for :meth:`taurec.recommender.Recommender.fit`; of a
            model made of others, ``resume`` is for its trained parts (:func:`of_part`) and ``seconds`` has no effect.
    """
    choice = run.model
    if choice is None:
        return _trained(run, parts, on_progress, on_note, resume, seconds, trackers, limit)
    if not len(parts.train):
        raise UsageError("no training pairs: 0 interactions are left for training")
    use_threads(run.threads)
    if run.parts:
        fitted = list[Fitted]()
        for part in run.parts:
            kept = resume if resume is None or part.model is not None else of_part(resume, len(fitted))
            fitted.append(fit_run(part, parts, on_progress, on_note, kept, limit=limit))
            pass_on(fitted[-1].stopped_by)
        return joined(run, parts, fitted, on_note, trackers)
    started = time.perf_counter()
    notes = list[str]()
    ranker: Ranker
    if auto_settings(choice):
        tuned = tune(run, parts, limit, _teller(on_note, notes))
        run, ranker = tuned.run, tuned.ranker
    else:
        ranker = MODELS.build(choice.name, given=choice.settings, seed=run.seed).fit(parts.train)
    spent = time.perf_counter() - started
    return _evaluated(Fitted(run, ranker, [], None, notes[-1:], seconds=spent), parts, on_note, trackers)


def of_part(resume: Path, part: int) -> Path:
    """The checkpoint of a trained part of a model, from that of the model.

    >>> of_part(Path(".m.checkpoint.safetensors"), 1).name
    '.m.part1.checkpoint.safetensors'
    """
    stem, dot, rest = resume.name.partition(".checkpoint")
    return resume.with_name(f"{stem}.part{part}{dot}{rest}")


def joined(
    run: Run,
    parts: Split,
    fitted: Sequence[Fitted],
    on_note: Note | None = None,
    trackers: Sequence[Tracker] = (),
) -> Fitted:
    """A model made of others, given its fitted parts; the run that is returned has what the fits chose.

    Args:
        run: of the model.
        parts: of the log, to which ``fitted`` were fitted.
        fitted: in the order of ``run.parts``.
    """
    assert run.model is not None
    started = time.perf_counter()
    model = MODELS.build(run.model.name, given=run.model.settings, seed=run.seed)
    if not isinstance(model, Composite):
        raise UsageError(f"{run.model.name} has a setting parts, but it is no taurec.baselines.Composite")

    def value(ranker: HistoryScorer) -> float:
        return on_validation(run, ranker, parts)[run.metric]

    given = [FittedPart(one.run, one.ranker) for one in fitted]
    ranker = model.join(parts.train, given, value if len(parts.valid) else None)
    notes = [f"{one.run.label}: {note}" for one in fitted for note in one.notes]
    for text in ranker.found().values():
        notes.append(text)
        if on_note is not None:
            on_note(text)
    settings = settings_of(ranker, MODELS.settings(run.model.name))
    choice = Choice(name=run.model.name, settings=settings, version=run.model.version)
    settled = run.but(model=choice, found={**run.found, **ranker.found()})
    kernels = {f"{one.run.label} {part}": kernel for one in fitted for part, kernel in one.kernels.items()}
    spent = sum(one.seconds for one in fitted) + time.perf_counter() - started
    made = Fitted(settled, ranker, [], None, notes, kernels=kernels, seconds=spent)
    return _evaluated(made, parts, on_note, trackers)


def _evaluated(made: Fitted, parts: Split, on_note: Note | None, trackers: Sequence[Tracker]) -> Fitted:
    """A model without epochs, with its metric on validation as its one record."""
    run, values = made.run, dict[str, float]()
    if len(parts.valid):
        values = on_validation(run, made.ranker, parts)
    with follow(trackers, run, on_note=on_note) as following:
        following.summary |= {**values, "fit_seconds": made.seconds}
    made.best = EpochRecord(1, 0.0, made.seconds, metrics=values)
    made.records = [made.best]
    return made


def _teller(on_note: Note | None, kept: list[str]) -> Note:
    """Appends a note to ``kept`` and passes it on."""

    def tell(note: str) -> None:
        kept.append(note)
        if on_note is not None:
            on_note(note)

    return tell


def _trained(
    run: Run,
    parts: Split,
    on_progress: Callable[[Progress], None] | None,
    on_note: Note | None,
    resume: Path | None,
    seconds: float | None,
    trackers: Sequence[Tracker],
    limit: float | None,
) -> Fitted:
    started = time.perf_counter()
    train: Interactions = parts.train
    valid = parts.valid if len(parts.valid) else None
    notes, stopped = list[str](), 0
    if auto_settings(run.loss) and limit is not None:
        run, note = within(run, train, valid, limit)
        notes += [note] if note else []
        if note and on_note is not None:
            on_note(note)
    if auto_settings(run.loss):
        temperature = find_temperature(run, train, valid, on_progress, on_note, parts.given)
        run, stopped = temperature.run, temperature.stopped_by
        notes.append(temperature.note)
        seconds = None if seconds is None else max(seconds - (time.perf_counter() - started), 0.0)
    with follow(trackers, run, on_progress, on_note, resume) as following:
        trainer = Trainer(run, train, valid, following.hook, on_note, parts.given)
        trained = trainer.untrained(stopped) if stopped else trainer.fit(resume, seconds=seconds)
    return Fitted(
        run,
        trained.ranker,
        trained.records,
        trained.best,
        notes + trained.notes,
        trained.stopped_by,
        trained.kernels,
        trained.finished,
        time.perf_counter() - started,
    )
