"""A model for a log within a given time: baselines, then successive halving, then the winner in the time left."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation, evaluate_ranker
from taurec.evaluation.significance import Paired, bootstrap_all, chance_of_best, compare_paired
from taurec.ranker import Ranker
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.protocol import valid_of
from taurec.studies.search.baselines import fit_baselines
from taurec.studies.search.halving import Contestant, halve
from taurec.studies.search.pool import MODELS, Pool, make_pool
from taurec.studies.search.results import SearchResult, Trial, setting_text
from taurec.training.forecast import Sizes
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve
from taurec.training.records import EpochRecord
from taurec.training.trainer import Trainer

LEAST = 2.0
"""Seconds that a budget must have."""
BASELINES_SHARE, MEASURING_SHARE, ROUNDS_SHARE = 0.25, 0.1, 0.3
"""Shares of the budget: the maximum for baselines; for measuring the time of trained models; for the rounds. The rest
is for training the winner and for the evaluation."""
EVALUATION_SECONDS = 2.5e-4
"""Seconds a user for the resamples of the intervals and tests at the end."""


def search(
    source: Any = "debian",
    budget: float = 600.0,
    models: Sequence[str] = MODELS,
    *,
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    fields: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] | None = None,
    started: float | None = None,
) -> SearchResult:
    """Choose model, loss and temperature for a log within a number of seconds.

    First the baselines are fitted: their defaults, then as much of their grids as a quarter of the time allows. Then
    every grid point of the trained models enters :mod:`taurec.studies.search.halving`, after a forecast of the time of
    an epoch. If the first round would take too long, it uses a random half or quarter of the users, then fewer
    settings, then fewer models; ``notes`` says so. The winner is trained on the whole log in the
    remaining time, and the runner-up after it if the winner's training finished. The model with the highest
    validation value is chosen; then the models are evaluated once on the test part.

    The choice depends on the speed of the machine, so it may differ between two searches. The chosen run
    (``chosen.run``) can be repeated to the same bits if its training finished.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`; it needs a validation part.
        budget: seconds of wall-clock time, from reading the log to the evaluation; kept to within an epoch of the
            winner.
        models: ``backbone:loss``, those of most interest first.
        metrics: test metrics; the selection metric is added where it is missing.
        fields: run fields common to all models, such as ``seed`` or ``metric``.
        on_progress: called with a line of text before each piece of work.
        started: the ``time.monotonic()`` from which the budget counts; the call itself if None.
    Raises: UsageError for a budget below :data:`LEAST`, no models, or a log without a validation part.

    >>> from taurec.data.planted import planted
    >>> found = search(planted(n_users=60, n_items=40, seed=1, noise=0.2).log, budget=3, models=["mf:sl"])
    >>> found.seconds < 5, found.test.keys() >= {found.chosen.run.label}
    (True, True)
    """
    if not budget >= LEAST:
        raise UsageError(f"a budget of at least {LEAST:g} seconds is needed, got {budget!r}")
    if not models or not all(":" in label for label in models):
        raise UsageError(f"a search needs trained models as backbone:loss, got {list(models)!r}; baselines are added")
    clock = time.monotonic
    started = clock() if started is None else started
    given = dict(fields or {})
    first = resolve(**{**given, "model": None})
    parts, name = split_source(source, first)
    if not len(parts.valid):
        raise UsageError(f"a search needs a validation part; the split {parts.how!r} has none")
    metrics_used = [str(m) for m in parse_all([first.metric, *metrics])]
    say = on_progress or (lambda line: None)
    work = _Search(parts, first, started + budget, clock, say, given)
    return work.run(name, budget, started, list(models), metrics_used)


@dataclass
class _Search:
    """One search: the data, the clock, and the steps to the result."""

    parts: Split
    first: Run
    end: float
    clock: Callable[[], float]
    tell: Callable[[str], None]
    fields: Mapping[str, Any]

    def say(self, text: str) -> None:
        left = max(0, round(self.end - self.clock()))
        self.tell(f"{text}; {left // 60}:{left % 60:02d} min left")

    def run(self, name: str, budget: float, started: float, models: list[str], metrics: list[str]) -> SearchResult:
        baselines = fit_baselines(
            self.parts, self.fields, self.clock() + BASELINES_SHARE * budget, self.clock, self.say
        )
        rounds = ROUNDS_SHARE * budget
        pool = make_pool(
            models,
            self.fields,
            Sizes.of(self.parts.train, self.parts.valid),
            rounds,
            self.clock() + MEASURING_SHARE * budget,
            self.clock,
            self.say,
        )
        notes = [*baselines.notes, *pool.notes]
        with tempfile.TemporaryDirectory(prefix="taurec-probe-") as folder:
            contest = _Contest(self, pool, Path(folder))
            contestants = (
                halve(len(pool.runs), contest.advance, rounds, self.clock, contest.on_turn) if pool.runs else []
            )
            trials = [*baselines.tries, *(contest.trial(s) for s in contestants)]
            settings, settings_paired = contest.first_against_second(contestants)
            fitted = dict(baselines.best)
            for contestant in contestants[:2]:
                model = self._whole(contest, contestant, bool(contest.finished))
                if model is not None:
                    contest.finished.append(model)
                    trials.append(_trial(model))
                    best = fitted.get(model.run.label)
                    if best is None or valid_of(model) > valid_of(best):
                        fitted[model.run.label] = model
        notes += contest.notes
        return self._chosen(
            name, budget, started, metrics, fitted, trials, pool.share, settings, settings_paired, notes
        )

    def _whole(self, contest: _Contest, contestant: Contestant, another: bool) -> Recommender | None:
        """A setting trained on the whole log in the remaining time; None where that is too short."""
        i, run = contestant.number, contest.pool.runs[contestant.number]
        if not np.isfinite(contestant.value):
            return None
        n_users = int((self.parts.test.user_counts > 0).sum())
        ending = EVALUATION_SECONDS * max(n_users, self.parts.valid.n_users) + 4 * contest.evaluation_seconds(i)
        left, epoch = self.end - self.clock() - ending, contest.epoch_seconds(i)
        if left < (5 if another else 1) * epoch and (another or contest.pool.share < 1):
            return None
        label = f"{run.label} {setting_text(run)}"
        self.say(f"training {label} on the whole log")
        resume = contest.path(i) if contest.pool.share == 1 else None
        model = Recommender.from_run(run)
        model.fit(self.parts, resume=resume, seconds=max(0.0, left - epoch))
        pass_on(model.stopped_by)
        return model

    def _chosen(
        self,
        name: str,
        budget: float,
        started: float,
        metrics: list[str],
        fitted: dict[str, Recommender],
        trials: list[Trial],
        share: float,
        settings: tuple[str, ...],
        settings_paired: Paired | None,
        notes: list[str],
    ) -> SearchResult:
        metric, seed = self.first.metric, self.first.seed
        self.say("evaluating")
        ranked = sorted(fitted, key=lambda label: -valid_of(fitted[label]))
        on_valid = {label: fitted[label].evaluate("valid", [metric]) for label in ranked[:4]}
        chosen, second = fitted[ranked[0]], ranked[1] if len(ranked) > 1 else None
        paired = test_paired = None
        if second is not None:
            paired = compare_paired(on_valid[ranked[0]], on_valid[second], metric, seed=seed)
        on_test: dict[str, Evaluation] = {}
        if len(self.parts.test):
            on_test = {label: fitted[label].evaluate("test", metrics) for label in ranked[:2]}
            if second is not None:
                test_paired = compare_paired(on_test[ranked[0]], on_test[second], metric, seed=seed)
        for model in fitted.values():
            model.run = model.run.but(source=name)
        return SearchResult(
            name,
            budget,
            self.clock() - started,
            metric,
            trials,
            share,
            chosen,
            chosen.finished,
            second,
            paired,
            chance_of_best(on_valid, metric, seed=seed),
            settings,
            settings_paired,
            {label: bootstrap_all(found, seed=seed) for label, found in on_test.items()},
            test_paired,
            next((found.n_users for found in on_test.values()), 0),
            notes,
            dict(self.fields.get("reading") or {}),
        )


class _Contest:
    """The rounds: the contestants, the users that take part, and the state of each contestant."""

    def __init__(self, work: _Search, pool: Pool, folder: Path):
        self.work, self.pool, self.folder = work, pool, folder
        self.train, self.valid = _some_users(work.parts, pool.share, work.first.seed)
        self.records: dict[int, list[EpochRecord]] = {}
        self.rankers: dict[int, Ranker] = {}
        self.notes: list[str] = []
        self.finished: list[Recommender] = []
        self._last = False

    def path(self, i: int) -> Path:
        return self.folder / f"{i}.safetensors"

    def on_turn(self, turn: int, rounds: int, i: int) -> None:
        self._last = turn == rounds
        run = self.pool.runs[i]
        self.work.say(f"round {turn} of {rounds}: {run.label} {setting_text(run)}")

    def advance(self, i: int, seconds: float) -> tuple[float, bool]:
        """Train a contestant for about ``seconds`` more."""
        run = self.pool.runs[i]
        epoch = _epoch_seconds(self.records.get(i, []))
        try:
            trainer = Trainer(run, self.train, self.valid)
            trained = trainer.fit(self.path(i), every=float("inf"), seconds=max(0.0, seconds - epoch / 2))
        except NonFiniteError as error:
            self.notes.append(f"{run.label} {setting_text(run)} failed: {error}")
            return -np.inf, True
        pass_on(trained.stopped_by)
        self.records[i] = trained.records
        if self._last:
            self.rankers[i] = trained.ranker
        return (trained.best.metrics[run.metric] if trained.best else -np.inf), trained.finished

    def trial(self, contestant: Contestant) -> Trial:
        run, records = self.pool.runs[contestant.number], self.records.get(contestant.number, [])
        valid = contestant.value if np.isfinite(contestant.value) else None
        spent = len(records), contestant.seconds, contestant.ended
        return Trial(run.label, setting_text(run), run, "probe", valid, *spent)

    def first_against_second(self, contestants: list[Contestant]) -> tuple[tuple[str, ...], Paired | None]:
        """The names of the two best of the last round, and their difference where both have a ranker from it."""
        runs = [self.pool.runs[s.number] for s in contestants[:2]]
        names = tuple(f"{run.label} {setting_text(run)}" for run in runs)
        rankers = [self.rankers.get(s.number) for s in contestants[:2]]
        if len(rankers) < 2 or rankers[0] is None or rankers[1] is None:
            return names, None
        metric = self.work.first.metric
        first, second = (evaluate_ranker(r, self.valid, self.train, [metric]) for r in rankers if r is not None)
        return names, compare_paired(first, second, metric, seed=self.work.first.seed)

    def epoch_seconds(self, i: int) -> float:
        """Of an epoch with its validation on the whole log."""
        found = _epoch_seconds(self.records.get(i, []))
        return found / self.pool.share if found else self.pool.epoch.get(self.pool.runs[i].label, 0.0)

    def evaluation_seconds(self, i: int) -> float:
        """Seconds of one evaluation of the whole log."""
        return max((r.eval_seconds for r in self.records.get(i, [])), default=0.0) / self.pool.share


def _some_users(parts: Split, share: float, seed: int) -> tuple[Interactions, Interactions]:
    """Training and validation pairs of a drawn share of the users; the vocabularies stay."""
    if share >= 1:
        return parts.train, parts.valid
    taken = draw.uniform(draw.key(seed, "probe users"), np.arange(parts.train.n_users)) < share
    train, valid = (part.take(taken[part.user_of]) for part in (parts.train, parts.valid))
    return (train, valid) if len(train) and len(valid) else (parts.train, parts.valid)


def _epoch_seconds(records: Sequence[EpochRecord]) -> float:
    """The median time of an epoch with its validation; 0 where there was none."""
    return float(np.median([r.train_seconds + r.eval_seconds for r in records])) if records else 0.0


def _trial(model: Recommender) -> Trial:
    run = model.run
    spent = len(model.records), model.fit_seconds, model.finished
    return Trial(run.label, setting_text(run), run, "whole", valid_of(model), *spent)
