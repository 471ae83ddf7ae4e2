"""The fits of noise curves: the work to do, the saved values of a fit, and the estimate of the remaining time."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taurec.baselines.models import draws_at_random
from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives, hold_out_false_negatives
from taurec.data.split import Split
from taurec.errors import ArtefactError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import UserScorer
from taurec.recommender import Recommender
from taurec.run import Choice, Run
from taurec.sampling import NEGATIVES, Uniform
from taurec.studies import words
from taurec.studies.audit.noise.journal import Journal
from taurec.studies.audit.noise.kinds import LEVELS, Kind
from taurec.studies.result import Interrupted
from taurec.training.records import Progress

HELD_OUT_SHARE = 0.1
"""Of each user's training positives, for ``negatives-held-out``: the PSL paper's."""
_NOT_OF_RESULTS = {"source", "reading", "data_hash", "threads"}
"""Fields of a run that do not change the result, or that are in the journal's head."""


class FitsEnded(Interrupted):
    """A signal ended a fit; the fits that were finished before are in the journal."""

    def __init__(self, signum: int, done: int, total: int):
        super().__init__(signum, f"stopped by a signal after {done} of {total} fits")
        self.done, self.total = done, total


@dataclass(frozen=True)
class Step:
    """The progress of the experiment.

    Attributes:
        done, total: fits, those found in the journal among them.
        label, level, seed: of the fit that begins or runs; ``level`` is None while settings are chosen.
        seconds_left: estimated from the fits done; None before the first.
        detail: within a fit, where it is.
    """

    done: int
    total: int
    label: str
    level: float | None
    seed: int
    seconds_left: float | None
    detail: str = ""

    def text(self, kind: Kind) -> str:
        """A line of progress."""
        at = "setting" if self.level is None else LEVELS[kind].text(self.level)
        said = f"fit {self.done + 1} of {self.total}: {self.label}, {at}, seed {self.seed}"
        if self.detail:
            said += f", {self.detail}"
        return said if self.seconds_left is None else f"{said}; about {words.seconds(self.seconds_left)} left"


@dataclass(frozen=True)
class Work:
    """A fit to do: a run at a level, or, with no level, a setting to evaluate on validation."""

    label: str
    run: Run
    level: float | None
    seed: int

    @property
    def identity(self) -> str:
        """A text that is equal for equal work."""
        return json.dumps(self.key(), sort_keys=True)

    def key(self) -> dict[str, Any]:
        """What the result depends on, apart from the data."""
        run = self.run.but(seed=self.seed).model_dump(mode="json", exclude=_NOT_OF_RESULTS)
        return {"label": self.label, "level": self.level, "seed": self.seed, "run": run}


@dataclass(frozen=True)
class Fit:
    """The saved values of a fit.

    Attributes:
        values: test metrics.
        numerator, denominator: each evaluated user's terms of the first metric, for paired tests.
        valid: the selection metric on validation; -1 where none was computed.
        pairs: training pairs; injected: of these, false positives; short: pairs fewer than asked.
        epochs: until the best one; 0 for a baseline.
        seconds: to fit, validation included.
    """

    values: dict[str, float]
    numerator: list[float]
    denominator: list[float]
    valid: float
    pairs: int
    injected: int
    short: int
    epochs: int
    seconds: float

    @classmethod
    def of(cls, entry: Mapping[str, Any], metrics: Sequence[str]) -> Fit:
        """From a line of the journal; ArtefactError where something is missing or not a number."""
        try:
            made = cls(**{**entry, "values": {m: entry["values"][m] for m in metrics}})
            rest = [value for name, value in vars(made).items() if name not in ("values", "numerator", "denominator")]
            numbers = [*made.values.values(), *made.numerator, *made.denominator, *rest]
            whole = len(made.numerator) == len(made.denominator)
        except (TypeError, KeyError):
            whole = False
        if not whole or not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers):
            raise ArtefactError("an entry of the journal is not that of a fit; remove the file to start again")
        return made


class FitQueue:
    """Fits models, or finds the fits in the journal, and estimates the time that is left."""

    def __init__(
        self, parts: Split, kind: Kind, metrics: Sequence[str], journal: Journal, say: Callable[[Step], None]
    ) -> None:
        self.parts, self.kind, self.metrics, self.journal, self.say = parts, kind, metrics, journal, say
        self._pending: dict[str, Work] = {}
        self._done: dict[str, Fit] = {}
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    def expect(self, works: Iterable[Work]) -> None:
        """Announce the fits to come, each once, without those that are done."""
        self._pending = {work.identity: work for work in works if work.identity not in self._done}

    def fit(self, work: Work) -> Fit:
        """The fit of this work; it is made now unless it is in the journal or was made before."""
        identity = work.identity
        if identity not in self._done:
            entry = self.journal.get(work.key())
            if entry is None:
                self._report(work)
                found = self._fit(work)
                self.journal.add(work.key(), vars(found))
            else:
                found = Fit.of(entry, self.metrics)
            self._seconds[work.label].append(found.seconds)
            self._done[identity] = found
            self._pending.pop(identity, None)
        return self._done[identity]

    def _fit(self, work: Work) -> Fit:
        run = with_noise(work.run.but(seed=work.seed), self.kind, work.level)
        train, seen, counts = _noisy_training(self.parts, self.kind, work)
        started = time.perf_counter()
        model = Recommender.from_run(run)
        model.fit(replace(self.parts, train=train), on_progress=self._epochs(work))
        if model.stopped_by:
            raise FitsEnded(model.stopped_by, len(self._done), len(self._done) + len(self._pending))
        seconds = time.perf_counter() - started
        scorer = UserScorer.of_part(model.ranker, model.split, "test")
        result = evaluate_ranker(scorer, self.parts.test, replace(self.parts, train=seen).known("test"), self.metrics)
        best = model.best
        return Fit(
            result.means(),
            numerator=[round(float(x), 6) for x in result.numerator[:, 0]],
            denominator=[round(float(x), 6) for x in result.denominator[:, 0]],
            valid=best.metrics[run.metric] if best and best.metrics else -1.0,
            **counts,
            epochs=best.epoch if best and run.model is None else 0,
            seconds=seconds,
        )

    def _report(self, work: Work, detail: str = "") -> None:
        done, left = len(self._done), None
        if self._seconds:
            means = {label: float(np.mean(seconds)) for label, seconds in self._seconds.items()}
            typical = float(np.mean(list(itertools.chain(*self._seconds.values()))))
            left = sum(means.get(pending.label, typical) for pending in self._pending.values())
        self.say(Step(done, done + len(self._pending), work.label, work.level, work.seed, left, detail))

    def _epochs(self, work: Work, every: float = 5.0) -> Callable[[Progress], None]:
        last = time.perf_counter()

        def on_progress(progress: Progress) -> None:
            nonlocal last
            if progress.record is not None and time.perf_counter() - last >= every:
                last = time.perf_counter()
                self._report(work, f"epoch {progress.epoch} of at most {progress.epochs}")

        return on_progress


def with_noise(run: Run, kind: Kind, level: float | None) -> Run:
    """The run with noisy negatives, and the same number of negatives per row."""
    if level is None or kind == "positives" or run.model is not None:
        return run
    if NEGATIVES[run.negatives.name] is not Uniform:
        raise UsageError(
            f"noise of kind {kind!r} replaces uniform negatives, got {run.negatives.name!r}; "
            f"leave the negatives to the presets, or give uniform with a number, such as uniform:256"
        )
    settings = {"n": run.negatives.settings["n"], "noise": level}
    if kind == "negatives":
        return run.but(negatives=Choice(name="noisy", settings=settings))
    return run.but(negatives=Choice(name="noisy-held-out", settings={**settings, "share": HELD_OUT_SHARE}))


def _noisy_training(parts: Split, kind: Kind, work: Work) -> tuple[Interactions, Interactions, dict[str, int]]:
    """The training log of a model, the pairs that its lists leave out, and the numbers of pairs of a :class:`Fit`."""
    given = seen = learned = parts.train
    injected = short = 0
    if work.level is not None and kind == "positives":
        noisy = add_false_positives(parts.train, work.level, work.seed, (parts.valid, parts.test))
        given = seen = learned = noisy.log
        injected, short = int(noisy.injected.sum()), noisy.short
    elif work.level is not None and kind == "negatives-held-out":
        learned = hold_out_false_negatives(parts.train, HELD_OUT_SHARE, work.seed).train
        # A trained model's negatives hold the same pairs out, and need them.
        given = parts.train if work.run.trained else learned
    return given, seen, {"pairs": len(learned), "injected": injected, "short": short}


def canonical(work: Work, kind: Kind, lowest: float, first: int) -> Work:
    """The work whose fit has the same result, if the level or the seed cannot change it; otherwise this work."""
    if work.run.trained:
        return work
    level = work.level if kind == "positives" else lowest
    fixed = not draws_at_random(work.run)
    clean = kind == "negatives" or (kind == "positives" and level == 0)
    return Work(work.label, work.run, level, first if fixed and clean else work.seed)
