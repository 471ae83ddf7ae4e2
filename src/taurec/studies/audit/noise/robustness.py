"""Accuracy as a function of noise in training: every loss and the baselines, at each level, over seeds.

The validation and test parts are split off first and stay clean. Noise is added to the training part only, and the
graph of a graph backbone is built from it. Each model has the same settings at every level.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taurec.baselines import BASELINES
from taurec.data.source import split_source
from taurec.data.split import data_hash
from taurec.errors import ResourceError, UsageError, did_you_mean
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import compare_paired, holm
from taurec.run import Run
from taurec.studies.audit.noise.fits import Fit, FitQueue, Step, Work, canonical, with_noise
from taurec.studies.audit.noise.journal import Journal
from taurec.studies.audit.noise.kinds import LEVELS, Kind
from taurec.studies.audit.noise.results import Curve, Difference, NoiseCurves, Point, estimate, slope
from taurec.studies.compare.candidates import BASELINES_ALWAYS, Tune, candidates, note_if_untuned


def noise_curves(
    source: Any,
    losses: Sequence[str] = ("bpr", "sl", "bsl", "mml"),
    levels: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4),
    *,
    kind: Kind = "positives",
    seeds: int = 3,
    backbone: str = "mf",
    baselines: Sequence[str] = BASELINES_ALWAYS,
    tune: Tune = "baselines",
    metrics: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
    journal: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> NoiseCurves:
    """Fit losses and baselines at each level of noise, over seeds, and evaluate them on the clean test part.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`.
        losses: by name, or with settings as texts: ``bsl:0.1:0.2``.
        levels: of noise, meaning by ``kind``:

            ``positives``: injected false positives for each pair of a user, see
            :func:`taurec.data.noise.add_false_positives`.

            ``negatives``: the weight of training positives among the negatives, see
            :class:`taurec.sampling.Noisy`; 0 excludes them, 1 is uniform.

            ``negatives-held-out``: the probability that a negative is a held-out positive, see
            :class:`taurec.sampling.NoisyHeldOut`.
        seeds: runs of initial values, draws and injected noise; the split stays that of the first seed.
        backbone: of the losses.
        baselines: fitted too; noise in the negatives has no effect on them.
        tune: settings chosen once, on clean training data and validation: for ``all`` models, for ``baselines``,
            or for ``none``, which then have their presets.
        metrics: test metrics after the run's selection metric; recall@20 and ndcg@20 if none.
        fields: run fields common to all models, such as ``epochs``, ``seed`` or ``split``.
        journal: a file of finished fits; with the same file an interrupted experiment continues.
        on_progress: called before each fit and within it.
        on_note: called with each remark.
    Raises: UsageError for levels, names or settings that are not accepted, or a journal of another experiment;
        FitsEnded where a signal stopped a fit.

    Injected items are left out of the lists like a user's own training items, as in the papers' code.

    >>> from taurec.data.planted import planted
    >>> log = planted(n_users=60, n_items=40, seed=1).log
    >>> found = noise_curves(log, ["sl"], [0.0, 0.5], seeds=2, baselines=["popularity"], fields={"epochs": 2})
    >>> [(curve.label, len(curve.points), curve.points[1].estimate.n) for curve in found.of("recall@20")]
    [('mf:sl', 2, 2), ('popularity', 2, 2)]
    """
    if kind not in LEVELS:
        raise UsageError(f"unknown kind of noise {kind!r}{did_you_mean(kind, LEVELS)}")
    wanted, below = tuple(sorted({float(level) for level in levels})), LEVELS[kind].below
    if not wanted or not all(0 <= level < below for level in wanted):
        accepted = "probabilities from 0 to below 1" if below == 1 else "0 or more, such as 0, 0.1, 0.2"
        raise UsageError(f"levels of {kind} must be {accepted}, got {', '.join(map(str, levels)) or 'none'}")
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {seeds}")
    if not losses:
        raise UsageError("no losses to compare; name some, such as sl or bpr")
    given = {"seed": 0, **(fields or {})}
    first = int(given["seed"])
    for label in baselines:
        if label not in BASELINES:
            raise UsageError(f"unknown baseline {label!r}{did_you_mean(label, BASELINES)}")
    labels = dict.fromkeys([*(f"{backbone}:{loss}" for loss in losses), *baselines])
    tried = {label: candidates(label, tune, given) for label in labels}
    for run in itertools.chain.from_iterable(tried.values()):
        with_noise(run, kind, wanted[0])  # refused before data is read
    some = next(iter(tried.values()))[0]
    parts, name = split_source(source, some)
    if not len(parts.test) or not len(parts.valid):
        raise UsageError(f"noise curves need a validation and a test part; the split {parts.how!r} has none")
    judged = list(dict.fromkeys(map(str, parse_all([some.metric, *(metrics or ("recall@20", "ndcg@20"))]))))
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        if on_note:
            on_note(text)

    for label, runs in tried.items():
        if line := note_if_untuned(label, runs, tune, None):
            note(line)
    digest = data_hash(parts)
    head = {"journal": "taurec noise curves", "version": 1, "data_hash": digest, "kind": kind, "metrics": judged}
    queue = FitQueue(parts, kind, judged, Journal(journal, head, on_note), on_progress or (lambda step: None))

    def plan(runs: Mapping[str, Run]) -> dict[tuple[str, float, int], Work]:
        places = itertools.product(runs, wanted, range(first, first + seeds))
        return {at: canonical(Work(at[0], runs[at[0]], *at[1:]), kind, wanted[0], first) for at in places}

    chosen = _choose(tried, queue, first, note, plan({label: runs[0] for label, runs in tried.items()}).values())
    works = plan(chosen)
    queue.expect(works.values())
    done = _Fits(kind, wanted, range(first, first + seeds), {place: queue.fit(work) for place, work in works.items()})
    trained = [label for label, run in chosen.items() if run.model is None]
    if chosen:
        done.note_equal_levels(next(iter(chosen)), note)
    return NoiseCurves(
        name, parts.how, digest, kind, tuple(judged), wanted, seeds,
        n_users=len(next(iter(done.fits.values())).numerator),
        tune=tune,
        curves=tuple(done.curve(label, run, metric) for metric in judged for label, run in chosen.items()),
        differences=tuple(done.differences(trained, judged[0])),
        notes=tuple(notes),
    )  # fmt: skip


def _choose(
    tried: Mapping[str, list[Run]], queue: FitQueue, seed: int, note: Callable[[str], None], later: Iterable[Work]
) -> dict[str, Run]:
    """The setting of each model with the best validation value on clean data, without baselines that need too much
    memory.

    ``later`` is the work that follows, for the estimate of the remaining time.
    """
    level = 0.0 if queue.kind == "positives" else None  # no false positives is the clean log, and a level too
    works = {
        label: [Work(label, run, level, seed) for run in runs]
        for label, runs in tried.items()
        if len(runs) > 1 or runs[0].model is not None
    }
    queue.expect(itertools.chain(*works.values(), later))
    chosen: dict[str, Run] = {}
    for label, runs in tried.items():
        try:
            valid = [queue.fit(work).valid for work in works.get(label, [])]
        except ResourceError as error:
            if runs[0].model is None:
                raise
            note(f"warning: {label} is left out: {error}")
            continue
        chosen[label] = runs[int(np.argmax(valid))] if valid else runs[0]
    return chosen


@dataclass(frozen=True)
class _Fits:
    """The fits of all models, by label, level and seed; several seeds or levels may share one fit."""

    kind: Kind
    levels: tuple[float, ...]
    seeds: range
    fits: Mapping[tuple[str, float, int], Fit]

    def at(self, label: str, level: float) -> list[Fit]:
        return [self.fits[label, level, seed] for seed in self.seeds]

    def curve(self, label: str, run: Run, metric: str) -> Curve:
        points = []
        for level in self.levels:
            fits = list({id(fit): fit for fit in self.at(label, level)}.values())
            values = tuple(fit.values[metric] for fit in fits)
            fields = ("pairs", "injected", "short", "epochs", "seconds")
            means = {field: float(np.mean([getattr(fit, field) for fit in fits])) for field in fields}
            points.append(Point(level, values, estimate(values), **means))
        constant = run.model is not None and self.kind != "positives"
        falling = relative = None
        if len(self.levels) > 1 and not constant:
            by_seed = [[self.fits[label, level, seed].values[metric] for level in self.levels] for seed in self.seeds]
            slopes = [LEVELS[self.kind].slope_per * slope(self.levels, values) for values in by_seed]
            falling = estimate(slopes)
            if all(values[0] > 0 for values in by_seed):
                relative = estimate([s / values[0] for s, values in zip(slopes, by_seed, strict=True)])
        dump = run.model_dump(mode="json", exclude={"data_hash", "source", "seed"})
        return Curve(label, metric, run.model is not None, constant, tuple(points), falling, relative, dump)

    def note_equal_levels(self, label: str, note: Callable[[str], None]) -> None:
        """Note neighbouring levels that inject equally many pairs for every seed of a model."""
        for lower, higher in itertools.pairwise(self.levels if self.kind == "positives" else ()):
            injected = [[fit.injected for fit in self.at(label, level)] for level in (lower, higher)]
            if injected[0] == injected[1]:
                note(
                    f"levels {lower:g} and {higher:g} inject the same number of pairs ({injected[0][0]:,}), since the "
                    f"number for a user is rounded up; with histories this short, choose levels further apart"
                )

    def differences(self, labels: Sequence[str], metric: str) -> list[Difference]:
        """All pairs of labels at all levels by the paired test over users, corrected together."""

        def over_seeds(label: str, level: float) -> Evaluation:
            fits = self.at(label, level)
            numerator, denominator = (
                np.mean([getattr(fit, side) for fit in fits], axis=0)[:, None] for side in ("numerator", "denominator")
            )
            return Evaluation(parse_all([metric]), np.arange(len(numerator)), numerator, denominator, 0, 0)

        pairs = [(level, *pair) for level in self.levels for pair in itertools.combinations(labels, 2)]
        found = [
            compare_paired(over_seeds(first, level), over_seeds(second, level), metric, seed=self.seeds[0])
            for level, first, second in pairs
        ]
        corrected = holm([paired.p_value for paired in found])
        return [
            Difference(*pair, **vars(paired.difference), p_value=p)
            for pair, paired, p in zip(pairs, found, corrected, strict=True)
        ]
