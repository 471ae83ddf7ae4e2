"""Search for a model within a given time: baselines, then successive halving, then the winner on the whole log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation, evaluate_ranker
from taurec.evaluation.significance import Paired, bootstrap_all, chance_of_best, compare_paired
from taurec.evaluation.users import UserScorer
from taurec.ranker import Ranker
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.protocol import valid_of
from taurec.studies.failed import reason_of
from taurec.studies.opening import Note, silent
from taurec.studies.search.baselines import fit_baselines
from taurec.studies.search.halving import Candidate, halve
from taurec.studies.search.pool import MODELS, Pool, make_pool
from taurec.studies.search.results import SearchResult, Trial, run_text
from taurec.studies.warm_cold import apart_of
from taurec.training.forecast import Sizes
from taurec.training.interrupt import pass_on
from taurec.training.labels import fields_of
from taurec.training.presets import resolve
from taurec.training.records import EpochRecord
from taurec.training.trainer import Trainer

MIN_BUDGET = 2.0
"""Minimum budget, in seconds."""
BASELINES_SHARE, MEASURING_SHARE, ROUNDS_SHARE = 0.25, 0.1, 0.3
"""Shares of the budget: the maximum for baselines; for measuring the time of trained models; for the rounds. The rest
is for training the winner and for the evaluation."""
EVALUATION_SECONDS = 2.5e-4
"""Seconds per user for the resamples of the intervals and tests at the end."""


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
        budget: seconds of wall-clock time, from reading the log to the evaluation. The search may exceed it by up to
            one epoch of the winner.
        models: as ``backbone:loss``, the most important first.
        metrics: test metrics; the selection metric is added where it is missing.
        fields: run fields common to all models, such as ``seed`` or ``metric``.
        on_progress: called with a line of text before each step of the search.
        started: the ``time.monotonic()`` from which the budget counts; the call itself if None.
    Raises: UsageError for a budget below :data:`MIN_BUDGET`, no models, or a log without a validation part.

    >>> from taurec.data.planted import planted
    >>> found = search(planted(n_users=60, n_items=40, seed=1, noise=0.2).log, budget=3, models=["mf:sl"])
    >>> found.seconds < 5, found.test.keys() >= {found.chosen.run.label}
    (True, True)
    """
    if not budget >= MIN_BUDGET:
        raise UsageError(f"a budget of at least {MIN_BUDGET:g} seconds is needed, got {budget!r}")
    if not models or any("model" in fields_of(label) for label in models):
        raise UsageError(f"a search needs trained models as backbone:loss, got {list(models)!r}; baselines are added")
    started = monotonic() if started is None else started
    given = dict(fields or {})
    first = resolve(**{**given, "model": None})
    parts, name = split_source(source, first)
    if not len(parts.valid):
        raise UsageError(f"a search needs a validation part; the split {parts.how!r} has none")
    measured = [str(m) for m in parse_all([first.metric, *metrics])]
    end, tell = started + budget, on_progress or silent

    def say(text: str) -> None:
        left = max(0, round(end - monotonic()))
        tell(f"{text}; {left // 60}:{left % 60:02d} min left")

    baselines = fit_baselines(parts, given, monotonic() + BASELINES_SHARE * budget, say)
    rounds, sizes = ROUNDS_SHARE * budget, Sizes.of(parts.train, parts.valid)
    pool = make_pool(models, given, sizes, rounds, monotonic() + MEASURING_SHARE * budget, say)
    with tempfile.TemporaryDirectory(prefix="taurec-probe-") as folder:
        halving = _Halving(pool, parts, first, Path(folder), say)
        ranked = halve(len(pool.runs), halving.advance, rounds, monotonic, halving.on_training) if pool.runs else []
        settings, settings_paired = halving.compare_finalists(ranked)
        whole = list[Recommender]()
        for candidate in ranked[:2]:
            whole += halving.on_whole_log(candidate, end, another=bool(whole))
    in_rounds = [halving.trial(candidate) for candidate in ranked]
    trained = [Trial.of(m.run, "whole", valid_of(m), len(m.records), m.fit_seconds, m.finished) for m in whole]

    say("evaluating")
    fitted = list(baselines.best.values())
    for model in whole:  # if two settings of one model were trained, keep the better one
        same = next((m for m in fitted if m.run.label == model.run.label), None)
        if same is None or valid_of(model) > valid_of(same):
            fitted = [*(m for m in fitted if m is not same), model]
    fitted.sort(key=valid_of, reverse=True)
    metric, pair = first.metric, [model.run.label for model in fitted[:2]]

    def paired(of: Mapping[str, Evaluation]) -> Paired | None:
        return compare_paired(of[pair[0]], of[pair[1]], metric, seed=first.seed) if len(pair) > 1 and of else None

    on_valid = {model.run.label: model.evaluate("valid", [metric]) for model in fitted[:4]}
    on_test = {model.run.label: model.evaluate("test", measured) for model in fitted[:2] if len(parts.test)}
    for model in fitted:
        model.run = model.run.but(source=name)
    return SearchResult(
        source=name,
        budget=budget,
        seconds=monotonic() - started,
        metric=metric,
        trials=[*baselines.tries, *in_rounds, *trained],
        share=pool.share,
        chosen=fitted[0],
        ended=fitted[0].finished,
        second=pair[1] if len(pair) > 1 else None,
        paired=paired(on_valid),
        chance=chance_of_best(on_valid, metric, seed=first.seed),
        settings_tested=settings,
        settings_paired=settings_paired,
        test={label: bootstrap_all(found, seed=first.seed) for label, found in on_test.items()},
        test_paired=paired(on_test),
        n_users=next((found.n_users for found in on_test.values()), 0),
        notes=[*baselines.notes, *pool.notes, *halving.notes],
        reading=dict(given.get("reading") or {}),
        apart=apart_of(on_test),
    )


class _Halving:
    """The rounds of successive halving: the candidates, the users that take part, and the state of each candidate."""

    def __init__(self, pool: Pool, parts: Split, first: Run, folder: Path, say: Note):
        self.pool, self.parts, self.first, self.folder, self.say = pool, parts, first, folder, say
        self.train, self.valid = _some_users(parts, pool.share, first.seed)
        self.records: dict[int, list[EpochRecord]] = {}
        self.rankers: dict[int, Ranker] = {}
        self.notes: list[str] = []
        self._last = False

    def path(self, i: int) -> Path:
        return self.folder / f"{i}.safetensors"

    def on_training(self, round_number: int, rounds: int, i: int) -> None:
        self._last = round_number == rounds
        self.say(f"round {round_number} of {rounds}: {run_text(self.pool.runs[i])}")

    def advance(self, i: int, seconds: float) -> tuple[float, bool]:
        """Train a candidate for about ``seconds`` more."""
        run = self.pool.runs[i]
        epoch = _epoch_seconds(self.records.get(i, []))
        try:
            trainer = Trainer(run, self.train, self.valid, given=self.parts.given)
            trained = trainer.fit(self.path(i), every=float("inf"), seconds=max(0.0, seconds - epoch / 2))
        except Exception as error:
            self._note_failure(run, error)
            return -np.inf, True
        pass_on(trained.stopped_by)
        self.records[i] = trained.records
        if self._last:
            self.rankers[i] = trained.ranker
        return (trained.best.metrics[run.metric] if trained.best else -np.inf), trained.finished

    def trial(self, candidate: Candidate) -> Trial:
        epochs = len(self.records.get(candidate.number, []))
        valid = candidate.value if np.isfinite(candidate.value) else None
        run = self.pool.runs[candidate.number]
        return Trial.of(run, "probe", valid, epochs, candidate.seconds, candidate.ended)

    def compare_finalists(self, candidates: list[Candidate]) -> tuple[tuple[str, ...], Paired | None]:
        """The names of the two best candidates of the last round, and their difference if both have a ranker."""
        numbers = [candidate.number for candidate in candidates[:2]]
        names = tuple(run_text(self.pool.runs[i]) for i in numbers)
        rankers = [self.rankers[i] for i in numbers if i in self.rankers]
        if len(rankers) < 2:
            return names, None
        metric = self.first.metric
        known = self.train if self.parts.given is None else self.train.union(self.parts.given)
        scorers = [UserScorer.of_log(ranker, self.train, known) for ranker in rankers]
        first, second = (evaluate_ranker(scorer, self.valid, known, [metric]) for scorer in scorers)
        return names, compare_paired(first, second, metric, seed=self.first.seed)

    def on_whole_log(self, candidate: Candidate, end: float, another: bool) -> list[Recommender]:
        """Train the candidate's setting on the whole log until the budget ends; empty if the time is too short."""
        i, run, share = candidate.number, self.pool.runs[candidate.number], self.pool.share
        if not np.isfinite(candidate.value):
            return []
        records = self.records.get(i, [])
        epoch = _epoch_seconds(records) / share or self.pool.epoch.get(run.label, 0.0)
        n_users = max(int((self.parts.test.user_counts > 0).sum()), self.parts.valid.n_users)
        evaluation = max((r.eval_seconds for r in records), default=0.0) / share
        left = end - monotonic() - EVALUATION_SECONDS * n_users - 4 * evaluation
        if left < (5 if another else 1) * epoch and (another or share < 1):
            return []
        self.say(f"training {run_text(run)} on the whole log")
        model = Recommender.from_run(run)
        try:
            model.fit(self.parts, resume=self.path(i) if share == 1 else None, seconds=max(0.0, left - epoch))
        except Exception as error:
            self._note_failure(run, error)
            return []
        pass_on(model.stopped_by)
        return [model]

    def _note_failure(self, run: Run, error: Exception) -> None:
        """Note why a candidate failed; an error that must end the search is raised again."""
        why = reason_of(error, run)
        if why is None:
            raise error
        self.notes.append(f"{run_text(run)} failed: {why}")


def _some_users(parts: Split, share: float, seed: int) -> tuple[Interactions, Interactions]:
    """Training and validation pairs of a random share of the users, with unchanged vocabularies."""
    if share >= 1:
        return parts.train, parts.valid
    taken = draw.uniform(draw.key(seed, "probe users"), np.arange(parts.train.n_users)) < share
    train, valid = (part.take(taken[part.user_of]) for part in (parts.train, parts.valid))
    return (train, valid) if len(train) and len(valid) else (parts.train, parts.valid)


def _epoch_seconds(records: Sequence[EpochRecord]) -> float:
    """The median time of an epoch with its validation; 0 if there was no epoch."""
    return float(np.median([r.train_seconds + r.eval_seconds for r in records])) if records else 0.0
