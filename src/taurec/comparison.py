"""Several models on one log under one protocol: chosen on validation, judged once on test."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from taurec.baselines import BASELINES
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError, did_you_mean
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import Interval, bootstrap, compare_paired, holm
from taurec.recommender import Recommender
from taurec.run import OF_TRAINED_MODELS, Run
from taurec.training.presets import GRIDS, resolve
from taurec.training.trainer import Progress

Tune = Literal["all", "baselines", "none"]
BASELINES_ALWAYS = ("popularity", "itemknn", "ease", "ials")
"""Stand beside every result, asked for or not."""


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Attributes:
        label: ``ease`` or ``mf:bsl``.
        run: the settings chosen on validation.
        valid: the selection metric on validation, mean over seeds.
        metrics: test metric -> mean over users (and seeds) with its 95 % bootstrap interval.
        p_value: of the paired sign-flip test against the best row on the selection metric, corrected
            by Holm for the number of rows; None for the best row itself.
        epochs: until the best epoch, first seed; 0 for a baseline.
        seconds: to fit the chosen setting once, validation included.
        tune_seconds: for all settings and seeds together.
        tried: how many settings validation chose from.
        peak_mb: the largest growth of the process's memory while fitting; None where it cannot be read.
    """

    label: str
    run: Run
    valid: float
    metrics: dict[str, Interval]
    p_value: float | None
    epochs: int
    seconds: float
    tune_seconds: float
    tried: int
    peak_mb: float | None


@dataclass(frozen=True)
class Comparison:
    """The rows in the order asked for, and what they were judged by."""

    source: str
    rows: list[Row]
    metric: str
    seeds: int
    n_users: int
    split: Split
    chosen: Recommender
    """The fitted model with the highest validation value: the one to use. Test data had no say in it."""

    @property
    def best(self) -> Row:
        """The row with the highest test value of the selection metric: a finding, not a choice."""
        return max(self.rows, key=lambda row: row.metrics[self.metric].mean)


def compare(
    source: Any = "debian",
    models: Sequence[str] = ("popularity", "itemknn", "ease", "ials", "mf:bpr", "mf:sl", "mf:bsl", "mf:mml"),
    *,
    seeds: int = 1,
    tune: Tune = "baselines",
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    fields: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Fit models to one division of a log and judge them on its test part.

    Each model's setting is the one with the best value of the run's ``metric`` on validation, out of
    its grid; the test part is looked at once, with that setting. Popularity, item-kNN, EASE and iALS are
    added where they are missing.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`.
        models: baselines by name, trained models as ``backbone:loss``.
        seeds: how many seeds of initial values and draws; the division stays that of the first.
        tune: grids for ``all`` models, for ``baselines`` only, or ``none``.
        metrics: test metrics; the selection metric is added where it is missing.
        fields: run fields common to all models, such as ``epochs`` or ``seed``.
        on_progress: called with a line of text before each fit.
    """
    if not models:
        raise UsageError("no models to compare; name some, such as ease or mf:sl")
    given = dict(fields or {})
    first_seed = int(given.pop("seed", 0))
    say = on_progress or (lambda line: None)
    wanted = list(dict.fromkeys([*models, *(b for b in BASELINES_ALWAYS if b not in models)]))
    candidates = {label: _candidates(label, tune, {**given, "seed": first_seed}) for label in wanted}
    some = next(iter(candidates.values()))[0]
    parts, name = split_source(source, some)
    if not len(parts.test) or not len(parts.valid):
        raise UsageError(f"a comparison needs a validation and a test part; the split {parts.how!r} has none")
    judged = [str(m) for m in parse_all([some.metric, *metrics])]
    fitted = [_fit(label, runs, parts, seeds, judged, say) for label, runs in candidates.items()]
    for f in fitted:
        f.model.run = f.model.run.but(source=name)
    best = max(fitted, key=lambda f: f.evaluation.means()[some.metric])
    tests = [
        1.0 if f is best else compare_paired(best.evaluation, f.evaluation, some.metric, seed=first_seed).p_value
        for f in fitted
    ]
    corrected = iter(holm([p for f, p in zip(fitted, tests, strict=True) if f is not best]))
    rows = [f.row(None if f is best else next(corrected), first_seed) for f in fitted]
    chosen = max(fitted, key=lambda f: f.valid).model
    return Comparison(name, rows, some.metric, seeds, best.evaluation.n_users, parts, chosen)


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
        )


def _candidates(label: str, tune: Tune, fields: Mapping[str, Any]) -> list[Run]:
    """The runs that validation chooses from; a value that was given is not varied."""
    if ":" in label:
        backbone, loss = label.split(":", 1)
        base: dict[str, Any] = {"backbone": backbone, "loss": loss, **fields}
        named = set(fields) | {
            f"{part}.{key}" for part, keys in dict(fields.get("settings") or {}).items() for key in keys
        }
        grid = {k: v for k, v in GRIDS.get(loss, {}).items() if k not in named} if tune == "all" else {}
        points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        return [resolve(**_with(base, point)) for point in points]
    if label not in BASELINES:
        raise UsageError(f"unknown model {label!r}{did_you_mean(label, BASELINES)}, or backbone:loss such as mf:bsl")
    settings: Sequence[Mapping[str, Any]] = getattr(BASELINES[label], "GRID", ({},)) if tune != "none" else ({},)
    allowed = {k: v for k, v in fields.items() if k in Run.model_fields and k not in OF_TRAINED_MODELS}
    return [resolve(model=label, settings={"model": dict(point)}, **allowed) for point in settings]


def _with(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Run fields with a grid point merged in; ``loss.tau`` sets one value of a part."""
    merged = dict(base)
    nested = {k: dict(v) for k, v in dict(base.get("settings") or {}).items()}
    for key, value in point.items():
        if "." in key:
            part, name = key.split(".")
            nested.setdefault(part, {})[name] = value
        else:
            merged[key] = value
    return {**merged, "settings": nested}


def _fit(
    label: str, runs: Sequence[Run], parts: Split, seeds: int, judged: Sequence[str], say: Callable[[str], None]
) -> _Fitted:
    started = time.perf_counter()
    chosen: Recommender | None = None
    peak: float | None = None
    for number, run in enumerate(runs, start=1):
        what = f"{label}: setting {number} of {len(runs)}"
        say(what)
        with peak_memory() as memory:
            model = Recommender.from_run(run).fit(parts, on_progress=_epochs(what, say))
        if chosen is None or _valid(model) > _valid(chosen):
            chosen, peak = model, memory.peak_mb
    assert chosen is not None
    fitted = [chosen]
    baseline = chosen.run.model
    deterministic = baseline is not None and "seed" not in BASELINES.runtime(baseline.name)
    for extra in range(1, 1 if deterministic else seeds):
        what = f"{label}: seed {extra + 1} of {seeds}"
        say(what)
        again = Recommender.from_run(chosen.run.but(seed=chosen.run.seed + extra))
        fitted.append(again.fit(parts, on_progress=_epochs(what, say)))
    results = [model.evaluate("test", judged) for model in fitted]
    return _Fitted(
        label,
        chosen,
        float(np.mean([_valid(model) for model in fitted])),
        _over_seeds(results),
        chosen.fit_seconds,
        time.perf_counter() - started,
        len(runs),
        peak,
    )


def _epochs(what: str, say: Callable[[str], None], every: float = 5.0) -> Callable[[Progress], None]:
    """A training hook that says where a fit is, at most once in so many seconds."""
    last = time.perf_counter()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if progress.record is not None and time.perf_counter() - last >= every:
            last = time.perf_counter()
            shown = ", ".join(f"{name} {value:.4f}" for name, value in progress.record.metrics.items())
            say(f"{what}, epoch {progress.epoch} of at most {progress.epochs}: {shown}")

    return on_progress


def _valid(model: Recommender) -> float:
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


class _Memory:
    def __init__(self) -> None:
        self.peak_mb: float | None = None


@contextlib.contextmanager
def peak_memory(interval: float = 0.02) -> Iterator[_Memory]:
    """How far the process's resident memory grows within the block, sampled by a thread (Linux).

    Freed memory is handed back to the system first; else a fit that reuses it would seem to need none.
    """
    memory, status = _Memory(), Path("/proc/self/statm")
    if not status.exists():
        yield memory
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    page = 4096 / 2**20
    start, peak, done = int(status.read_text().split()[1]), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(interval):
            peak = max(peak, int(status.read_text().split()[1]))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
        memory.peak_mb = max(peak - start, 0) * page
