"""Comparison of models on one split of a log: chosen on validation, evaluated once on test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from taurec.baselines.models import draws_at_random
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import ResourceError, TaurecError, UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import Paired, bootstrap, compare_paired, holm, over_seeds
from taurec.recommender import Recommender, made_of
from taurec.run import Run
from taurec.studies.compare.candidates import BASELINES_ALWAYS, Tune, candidates, halves, label_of, note_if_untuned
from taurec.studies.compare.memory import peak_memory
from taurec.studies.compare.results import Comparison, Failed, PairedTest, Row
from taurec.studies.failed import reason_of
from taurec.studies.opening import Note, silent
from taurec.studies.warm_cold import WarmCold
from taurec.training.interrupt import pass_on
from taurec.training.records import Progress


def compare(
    source: Any = "debian",
    models: Sequence[object] = (*BASELINES_ALWAYS, "mf:bpr", "mf:sl", "mf:bsl", "mf:mml"),
    *,
    seeds: int = 1,
    tune: Tune = "baselines",
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    fields: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] | None = None,
    tries: int | None = None,
) -> Comparison:
    """Fit models to one split of a log and evaluate them on its test part.

    Each model's setting is the one of its grid with the best value of the run's ``metric`` on validation; with it the
    model is evaluated once on the test part. Popularity, item-kNN, EASE, normalised EASE, slim-local and iALS are added
    where they are missing; one of them that does not fit into memory is left out and named in ``failed``.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`.
        models: baselines by name, trained models as ``backbone:loss``, blends of two as ``blend:A+B``; classes and
            objects too, see :func:`taurec.studies.compare.candidates.parts_of`.
        seeds: number of seeds of initial values and draws; the split is that of the first seed.
        tune: grids for ``all`` models, for ``baselines`` only, or ``none``.
        metrics: test metrics; the selection metric is added where it is missing.
        fields: run fields common to all models, such as ``epochs`` or ``seed``.
        on_progress: called with a line of text before each fit.
        tries: maximum number of settings of each model, spread evenly over its grid; None takes whole grids.
    Returns: the comparison of the models that could be fitted; the others are in ``failed``, each with the reason.
    Raises: UsageError for a request that cannot be met; TaurecError if every model failed.
    """
    if tries is not None and tries < 1:
        raise UsageError(f"tries must be at least 1, got {tries}")
    if not models:
        raise UsageError("no models to compare; name some, such as ease or mf:sl")
    given = dict(fields or {})
    given["seed"] = first_seed = int(given.get("seed", 0))
    runs_of: dict[str, list[Run]] = {}
    halves_of: dict[str, list[list[Run]]] = {}
    for model in models:
        runs = candidates(model, tune, given, tries)
        label = label_of(model, runs[0])
        if runs_of.setdefault(label, runs) != runs:
            raise UsageError(f"two models are named {label}; a comparison can hold one of them")
        halves_of[label] = halves(model, tune, given, tries)
    added = [label for label in BASELINES_ALWAYS if label not in runs_of]
    runs_of |= {label: candidates(label, tune, given, tries) for label in added}
    some = next(iter(runs_of.values()))[0]
    parts, name = split_source(source, some)
    if not len(parts.test) or not len(parts.valid):
        raise UsageError(f"a comparison needs a validation and a test part; the split {parts.how!r} has none")
    study = _Study(parts, seeds, [str(m) for m in parse_all([some.metric, *metrics])], on_progress or silent)
    found = [study.fit(label, runs, halves_of.get(label, []), label in added) for label, runs in runs_of.items()]
    fitted, failed = [f for f in found if isinstance(f, _Fitted)], [f for f in found if isinstance(f, Failed)]
    if not fitted:
        raise TaurecError("every model failed: " + "; ".join(f"{one.label}: {one.reason}" for one in failed))
    for f in fitted:
        f.model.run = f.model.run.but(source=name)

    def paired(first: _Fitted, second: _Fitted) -> Paired:
        return compare_paired(first.evaluation, second.evaluation, some.metric, seed=first_seed)

    best = max(fitted, key=lambda f: f.row.metrics[some.metric].mean)
    others = [f for f in fitted if f is not best]
    corrected = holm([paired(best, f).p_value for f in others])
    p_values = {f.row.label: p for f, p in zip(others, corrected, strict=True)}
    by_valid = sorted(fitted, key=lambda f: -f.row.valid)
    versus = None
    trained = next((f for f in by_valid if f.row.trained), None)
    baseline = next((f for f in by_valid if not f.row.trained), None)
    if trained and baseline:
        versus = PairedTest(trained.row.label, baseline.row.label, paired(trained, baseline))
    return Comparison(
        name,
        [replace(f.row, p_value=p_values.get(f.row.label), run=f.model.run) for f in fitted],
        some.metric,
        seeds,
        best.evaluation.n_users,
        parts,
        chosen=by_valid[0].model,
        models={f.row.label: f.model for f in fitted},
        versus=versus,
        shown=tuple(str(m) for m in parse_all(metrics)),
        notes=[
            *study.notes,
            *(note for label, runs in runs_of.items() if (note := note_if_untuned(label, runs, tune, tries))),
        ],
        failed=failed,
    )


@dataclass(frozen=True)
class _Fitted:
    """A model with its chosen setting, of the first seed; its evaluation is the mean over the seeds."""

    row: Row
    model: Recommender
    evaluation: Evaluation


@dataclass(frozen=True)
class _Chosen:
    """The model of the setting that validation chose, first seed, and what choosing took."""

    model: Recommender
    peak_mb: float | None
    seconds: float


@dataclass(frozen=True)
class _Study:
    """The data and settings that all models of a comparison share."""

    parts: Split
    seeds: int
    metrics: list[str]
    say: Note
    notes: list[str] = field(default_factory=list)
    """A note for each setting that failed while another setting of the same model was fitted."""
    known: dict[tuple[str, ...], _Chosen] = field(default_factory=dict)
    """What validation chose of settings that were fitted: a half of a blend may be a row too."""

    def fit(
        self, label: str, runs: Sequence[Run], halves: Sequence[Sequence[Run]] = (), added: bool = False
    ) -> _Fitted | Failed:
        """Fit the setting that validation chooses with every seed; baselines without random draws are fitted once.

        Each of the ``halves`` of a blend is chosen alone, then the blend is made of the chosen ones. A model that
        nobody asked for (``added``) may be too large for the memory.
        """
        try:
            return self._fit(label, runs, halves)
        except Exception as error:
            reason = str(error) if added and isinstance(error, ResourceError) else reason_of(error, runs[0])
            if reason is None:
                raise
            self.say(f"{label} failed: {reason}")
            return Failed(label, reason)

    def _fit(self, label: str, runs: Sequence[Run], halves: Sequence[Sequence[Run]]) -> _Fitted:
        chosen = self._choose(label, runs) if not halves else self._made_of(label, runs[0], halves)
        model, started = chosen.model, time.perf_counter()
        run = model.run
        seeds = self.seeds if draws_at_random(run) else 1
        fitted = [model] + [
            self._fit_once(run.but(seed=run.seed + extra), f"{label}: seed {extra + 1} of {seeds}")
            for extra in range(1, seeds)
        ]
        results = [model.evaluate("test", self.metrics) for model in fitted]
        evaluation, means = _over_seeds(results), [result.means() for result in results]
        row = Row(
            label=label,
            valid=float(np.mean([valid_of(model) for model in fitted])),
            p_value=None,
            epochs=model.best.epoch if model.best and run.model is None else 0,
            seconds=model.fit_seconds,
            tune_seconds=chosen.seconds + time.perf_counter() - started,
            tried=sum(map(len, halves)) or len(runs),
            peak_mb=chosen.peak_mb,
            metrics={str(m): bootstrap(evaluation, m, seed=runs[0].seed) for m in evaluation.metrics},
            spread={name: over_seeds([one[name] for one in means]) for name in means[0]},
            run=run,
            apart=WarmCold.of(evaluation),
        )
        return _Fitted(row, model, evaluation)

    def _made_of(self, label: str, run: Run, halves: Sequence[Sequence[Run]]) -> _Chosen:
        """The model made of others, each the best of its runs on validation."""
        parts = [self._choose(runs[0].label, runs) for runs in halves]
        started = time.perf_counter()
        self.say(f"{label}: weight of the halves")
        model = made_of([part.model for part in parts], run)
        peaks = [part.peak_mb for part in parts if part.peak_mb is not None]
        spent = sum(part.seconds for part in parts) + time.perf_counter() - started
        return _Chosen(model, sum(peaks) if len(peaks) == len(parts) else None, spent)

    def _choose(self, label: str, runs: Sequence[Run]) -> _Chosen:
        """The run with the best value on validation, fitted."""
        key = tuple(run.to_json() for run in runs)
        if key not in self.known:
            self.known[key] = self._best_of(label, runs)
        return self.known[key]

    def _best_of(self, label: str, runs: Sequence[Run]) -> _Chosen:
        started = time.perf_counter()
        best: tuple[Recommender, float | None] | None = None
        failed: list[tuple[str, Exception]] = []
        for number, run in enumerate(runs, start=1):
            what = f"{label}: setting {number} of {len(runs)}"
            try:
                with peak_memory() as memory:
                    model = self._fit_once(run, what)
            except Exception as error:
                reason = reason_of(error, run)
                if reason is None:
                    raise
                failed.append((f"{what} failed: {reason}", error))
                continue
            if best is None or valid_of(model) > valid_of(best[0]):
                best = model, memory.peak_mb
        if best is None:
            raise failed[-1][1]
        self.notes.extend(note for note, _ in failed)
        return _Chosen(*best, time.perf_counter() - started)

    def _fit_once(self, run: Run, what: str, every: float = 5.0) -> Recommender:
        """Fit a model and report its progress every few seconds; a signal during training ends the comparison."""
        self.say(what)
        last = time.perf_counter()

        def on_progress(progress: Progress) -> None:
            nonlocal last
            if progress.record is not None and time.perf_counter() - last >= every:
                last = time.perf_counter()
                shown = ", ".join(f"{name} {value:.4f}" for name, value in progress.record.metrics.items())
                self.say(f"{what}, epoch {progress.epoch} of at most {progress.epochs}: {shown}")

        model = Recommender.from_run(run).fit(self.parts, on_progress=on_progress)
        pass_on(model.stopped_by)
        return model


def valid_of(model: Recommender) -> float:
    """The selection metric of a fitted model on validation; -1 where there is none."""
    return model.best.metrics[model.run.metric] if model.best else -1.0


def _over_seeds(results: Sequence[Evaluation]) -> Evaluation:
    """Each user's terms averaged over seeds; the users are the same in all."""
    numerator = np.mean([r.numerator for r in results], axis=0)
    return replace(results[0], numerator=numerator, denominator=np.mean([r.denominator for r in results], axis=0))
