"""Models fitted to one split of a log: chosen on validation, evaluated once on test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taurec.baselines import BASELINES
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import bootstrap, compare_paired, holm, over_seeds
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.candidates import BASELINES_ALWAYS, Tune, candidates, label_of, untuned
from taurec.studies.compare.memory import peak_memory
from taurec.studies.compare.results import Comparison, PairedTest, Row
from taurec.training.interrupt import pass_on
from taurec.training.records import Progress


def compare(
    source: Any = "debian",
    models: Sequence[object] = ("popularity", "itemknn", "ease", "ials", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml"),
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
    model is evaluated once on the test part. Popularity, item-kNN, EASE and iALS are added where they are missing.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`.
        models: baselines by name, trained models as ``backbone:loss``; classes and objects too, see
            :func:`taurec.studies.compare.candidates.parts_of`.
        seeds: number of seeds of initial values and draws; the split is that of the first seed.
        tune: grids for ``all`` models, for ``baselines`` only, or ``none``.
        metrics: test metrics; the selection metric is added where it is missing.
        fields: run fields common to all models, such as ``epochs`` or ``seed``.
        on_progress: called with a line of text before each fit.
        tries: maximum number of settings of each model, spread evenly over its grid; None takes whole grids.
    """
    if tries is not None and tries < 1:
        raise UsageError(f"tries must be at least 1, got {tries}")
    if not models:
        raise UsageError("no models to compare; name some, such as ease or mf:sl")
    given = dict(fields or {})
    first_seed = int(given.pop("seed", 0))
    say = on_progress or (lambda line: None)
    runs_of: dict[str, list[Run]] = {}
    for model in models:
        runs = candidates(model, tune, {**given, "seed": first_seed}, tries)
        label = label_of(model, runs[0])
        if label in runs_of and runs_of[label] != runs:
            raise UsageError(f"two models are named {label}; a comparison can hold one of them")
        runs_of[label] = runs
    for label in BASELINES_ALWAYS:
        if label not in runs_of:
            runs_of[label] = candidates(label, tune, {**given, "seed": first_seed}, tries)
    some = next(iter(runs_of.values()))[0]
    parts, name = split_source(source, some)
    if not len(parts.test) or not len(parts.valid):
        raise UsageError(f"a comparison needs a validation and a test part; the split {parts.how!r} has none")
    evaluated = [str(m) for m in parse_all([some.metric, *metrics])]
    fitted = [_fit(label, runs, parts, seeds, evaluated, say) for label, runs in runs_of.items()]
    for f in fitted:
        f.model.run = f.model.run.but(source=name)
    best = max(fitted, key=lambda f: f.evaluation.means()[some.metric])
    tests = [
        1.0 if f is best else compare_paired(best.evaluation, f.evaluation, some.metric, seed=first_seed).p_value
        for f in fitted
    ]
    corrected = iter(holm([p for f, p in zip(fitted, tests, strict=True) if f is not best]))
    rows = [f.row(None if f is best else next(corrected), first_seed) for f in fitted]
    return Comparison(
        name,
        rows,
        some.metric,
        seeds,
        best.evaluation.n_users,
        parts,
        chosen=max(fitted, key=lambda f: f.valid).model,
        models={f.label: f.model for f in fitted},
        versus=_versus(fitted, some.metric, first_seed),
        shown=tuple(str(m) for m in parse_all(metrics)),
        notes=[note for label, runs in runs_of.items() if (note := untuned(label, runs, tune, tries))],
    )


def _versus(fitted: Sequence[_Fitted], metric: str, seed: int) -> PairedTest | None:
    """The trained model against the baseline, each the best of its kind on validation."""
    trained = [f for f in fitted if f.model.run.model is None]
    if not trained:
        return None
    first = max(trained, key=lambda f: f.valid)
    second = max((f for f in fitted if f.model.run.model is not None), key=lambda f: f.valid)
    paired = compare_paired(first.evaluation, second.evaluation, metric, seed=seed)
    return PairedTest(first.label, second.label, paired)


@dataclass(frozen=True)
class _Fitted:
    """A model with its chosen setting, fitted with every seed."""

    label: str
    model: Recommender
    valid: float
    evaluation: Evaluation
    seconds: float
    tune_seconds: float
    tried: int
    peak_mb: float | None
    of_seeds: list[dict[str, float]]
    """Test means of each seed."""

    def row(self, p_value: float | None, seed: int) -> Row:
        best = self.model.best
        epochs = best.epoch if best and self.model.run.model is None else 0
        intervals = {str(m): bootstrap(self.evaluation, m, seed=seed) for m in self.evaluation.metrics}
        return Row(
            self.label,
            self.model.run,
            self.valid,
            intervals,
            p_value,
            epochs,
            self.seconds,
            self.tune_seconds,
            self.tried,
            self.peak_mb,
            {name: over_seeds([means[name] for means in self.of_seeds]) for name in intervals},
        )


def _fit(
    label: str, runs: Sequence[Run], parts: Split, seeds: int, metrics: Sequence[str], say: Callable[[str], None]
) -> _Fitted:
    started = time.perf_counter()
    chosen: Recommender | None = None
    peak: float | None = None
    for number, run in enumerate(runs, start=1):
        what = f"{label}: setting {number} of {len(runs)}"
        say(what)
        with peak_memory() as memory:
            model = _fit_once(run, parts, what, say)
        if chosen is None or valid_of(model) > valid_of(chosen):
            chosen, peak = model, memory.peak_mb
    assert chosen is not None
    fitted = [chosen]
    baseline = chosen.run.model
    deterministic = baseline is not None and "seed" not in BASELINES.runtime(baseline.name)
    for extra in range(1, 1 if deterministic else seeds):
        what = f"{label}: seed {extra + 1} of {seeds}"
        say(what)
        fitted.append(_fit_once(chosen.run.but(seed=chosen.run.seed + extra), parts, what, say))
    results = [model.evaluate("test", metrics) for model in fitted]
    return _Fitted(
        label,
        chosen,
        float(np.mean([valid_of(model) for model in fitted])),
        _over_seeds(results),
        chosen.fit_seconds,
        time.perf_counter() - started,
        len(runs),
        peak,
        [result.means() for result in results],
    )


def _fit_once(run: Run, parts: Split, what: str, say: Callable[[str], None]) -> Recommender:
    """A fitted model; a signal that ended its training early ends the comparison too."""
    model = Recommender.from_run(run).fit(parts, on_progress=_epochs(what, say))
    pass_on(model.stopped_by)
    return model


def _epochs(what: str, say: Callable[[str], None], every: float = 5.0) -> Callable[[Progress], None]:
    """A training hook that reports the progress of a fit, at most once every ``every`` seconds."""
    last = time.perf_counter()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if progress.record is not None and time.perf_counter() - last >= every:
            last = time.perf_counter()
            shown = ", ".join(f"{name} {value:.4f}" for name, value in progress.record.metrics.items())
            say(f"{what}, epoch {progress.epoch} of at most {progress.epochs}: {shown}")

    return on_progress


def valid_of(model: Recommender) -> float:
    """The selection metric of a fitted model on validation; -1 where there is none."""
    return model.best.metrics[model.run.metric] if model.best else -1.0


def _over_seeds(results: Sequence[Evaluation]) -> Evaluation:
    """Each user's terms averaged over seeds; the users are the same in all."""
    first = results[0]
    return Evaluation(
        first.metrics,
        first.users,
        np.mean([r.numerator for r in results], axis=0),
        np.mean([r.denominator for r in results], axis=0),
        first.n_left_out,
        first.n_cold,
    )
