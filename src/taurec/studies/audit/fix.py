"""The gain from leaving the most suspicious rows out of training, measured on rows that did not take part in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.baselines import BASELINES
from taurec.data.interactions import Index, Interactions
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation, evaluate_ranker
from taurec.evaluation.significance import Paired, compare_paired
from taurec.recommender import Recommender
from taurec.run import OF_TRAINED_MODELS, Run
from taurec.studies.audit.fix_result import ARMS, Fix, Gain
from taurec.studies.audit.log.audit import audit_log
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve

FEW = 0.02
"""A log with a smaller estimated share of false positives is clean enough; no model is trained."""

PARTS = (0.25, 0.5, 1.0)
"""Parts of the estimate, an upper bound, that are left out in turn; validation chooses among them."""


def fix(
    source: Any,
    models: Sequence[str] = ("mf:sl", "ease"),
    *,
    share: float | None = None,
    seeds: int = 3,
    judge: str | None = None,
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    fields: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Fix:
    """Leave the most suspicious rows out of the training part, train again, and compare on the test part.

    The audit of the training part alone ranks the rows (:func:`taurec.studies.audit.log.suspects.suspects`) and
    estimates an upper bound of the number of false positives (:func:`taurec.studies.audit.log.shares.shares`).
    :data:`PARTS` of that number are left out in turn, and the first model chooses on the validation part; or ``share``
    of the rows is removed. Each user keeps at least one row. Without ``share``, the log is clean enough if the estimate
    is below :data:`FEW`, or if the first model does not gain on the validation part: the 95 % interval of the largest
    paired difference contains 0. The test part is used only when rows are removed, and only to report. Items of
    removed rows stay off the lists in every evaluation, as all other rows of training do, so the arms rank the same
    candidates.

    Args:
        source: as for :meth:`taurec.recommender.Recommender.fit`; it needs a validation and a test part.
        models: baselines by name, trained models as ``backbone:loss``; the first decides.
        share: of the training rows, above 0 and below 1; None lets the estimate decide.
        seeds: fits of each arm; values are means over them. A model without random draws is fitted once, except for
            the control.
        judge: as for :func:`taurec.studies.audit.log.crossfit.cross_fit`.
        metrics: reported; the run's ``metric`` is added where it is missing.
        fields: run fields common to all models, such as ``epochs`` or ``seed``.
        on_progress: called with a line of text before each fit.
    Raises: UsageError for a share out of range, no models, less than one seed, or a log without those parts.
    """
    if share is not None and not 0 < share < 1:
        raise UsageError(f"share must lie between 0 and 1, got {share}; 0.05 removes a twentieth of the training rows")
    if not models or seeds < 1:
        raise UsageError(f"at least one model and one seed are needed, got {list(models)} and {seeds}")
    say = on_progress or (lambda line: None)
    runs = {label: _run(label, dict(fields or {})) for label in dict.fromkeys(models)}
    first = next(iter(runs.values()))
    parts, name = split_source(source, first)
    if not len(parts.valid) or not len(parts.test):
        raise UsageError(f"cleaning needs a validation and a test part; the split {parts.how!r} has none")
    measured = [str(m) for m in parse_all([first.metric, *metrics])]
    audit = audit_log(parts.train, name, judge=judge, seed=first.seed, on_progress=say)
    nothing = np.zeros(len(parts.train), dtype=bool)
    test_users = int((parts.test.user_counts > 0).sum())
    estimate = 0.0 if audit.shares is None else audit.shares.false_positives.mean
    if share is None and estimate < FEW:
        return Fix(name, audit, nothing, True, None, first.metric, seeds, (), test_users, (), parts)
    amounts = [share] if share is not None else [estimate * part for part in PARTS]
    label = next(iter(runs))
    before = _Trial(parts, nothing, seeds, measured, say).fit(label, first, ARMS[0])
    trials = []
    for amount in amounts:
        removed = _first(parts.train, audit.suspects.order, round(amount * len(parts.train)))
        trial = _Trial(parts, removed, seeds, measured, say)
        after = trial.fit(label, first, ARMS[1])
        trials.append((trial, after, trial.on_valid(first, before, after)))
    tried = tuple((int(trial.removed.sum()), valid) for trial, _, valid in trials)
    trial, after, valid = max(trials, key=lambda of: of[2].difference.mean)
    if share is None and not (valid.difference.low or 0.0) > 0:
        alone = Gain(label, valid, {}, {}, {}, {})
        return Fix(name, audit, nothing, True, None, first.metric, seeds, tried, test_users, (alone,), parts)
    gains = [trial.gain(label, first, before, after, valid)]
    for label, run in list(runs.items())[1:]:
        before, after = trial.fit(label, run, ARMS[0]), trial.fit(label, run, ARMS[1])
        gains.append(trial.gain(label, run, before, after, trial.on_valid(run, before, after)))
    return Fix(name, audit, trial.removed, False, share, first.metric, seeds, tried, test_users, tuple(gains), parts)


@dataclass(frozen=True, eq=False)
class _Trial:
    """The parts of a log, the rows to leave out, and the metrics."""

    parts: Split
    removed: NDArray[np.bool_]
    seeds: int
    metrics: Sequence[str]
    say: Callable[[str], None]

    def fit(self, label: str, run: Run, arm: str) -> list[Recommender]:
        """One fitted model a seed; one in all for a model without draws, unless its rows are drawn."""
        drawn = arm == ARMS[2]
        deterministic = run.model is not None and "seed" not in BASELINES.runtime(run.model.name)
        fitted = []
        for k in range(1 if deterministic and not drawn else self.seeds):
            rows = f" ({int(self.removed.sum()):,} rows left out)" if arm != ARMS[0] else ""
            self.say(f"{label}, {arm}{rows}: fit {k + 1}")
            out = self._random(run.seed + k) if drawn else self.removed if arm == ARMS[1] else None
            train = self.parts.train if out is None else self.parts.train.take(~out)
            parts = Split(train, self.parts.valid, self.parts.test, self.parts.how)
            model = Recommender.from_run(run.but(seed=run.seed + k)).fit(parts)
            pass_on(model.stopped_by)
            fitted.append(model)
        return fitted

    def evaluate(self, fitted: Sequence[Recommender], part: str) -> Evaluation:
        """Each user's terms, averaged over seeds; all rows of the parts before are off the lists."""
        train, valid = self.parts.train, self.parts.valid
        relevant, seen = (valid, train) if part == "valid" else (self.parts.test, train.union(valid))
        results = [evaluate_ranker(model.ranker, relevant, seen, self.metrics) for model in fitted]
        one = results[0]
        numerator, denominator = (
            np.mean([getattr(r, side) for r in results], axis=0) for side in ("numerator", "denominator")
        )
        return Evaluation(one.metrics, one.users, numerator, denominator, one.n_left_out, one.n_cold)

    def on_valid(self, run: Run, before: list[Recommender], after: list[Recommender]) -> Paired:
        """Cleaned minus all rows by the choosing metric on validation."""
        return compare_paired(self.evaluate(after, "valid"), self.evaluate(before, "valid"), run.metric, seed=run.seed)

    def gain(self, label: str, run: Run, before: list[Recommender], after: list[Recommender], on_valid: Paired) -> Gain:
        """The differences on the test part, which is used once."""
        random = self.fit(label, run, ARMS[2])
        all_rows, cleaned, control = (self.evaluate(models, "test") for models in (before, after, random))
        differences = [
            {str(m): compare_paired(a, b, m, seed=run.seed) for m in a.metrics}
            for a, b in ((cleaned, all_rows), (control, all_rows), (cleaned, control))
        ]
        values = dict(zip(ARMS, (all_rows.means(), cleaned.means(), control.means()), strict=True))
        return Gain(label, on_valid, values, *differences)

    def _random(self, seed: int) -> NDArray[np.bool_]:
        order = draw.permutation(draw.key(seed, "audit-fix-control"), len(self.parts.train))
        return _first(self.parts.train, order, int(self.removed.sum()))


def _first(log: Interactions, order: Index, n: int) -> NDArray[np.bool_]:
    """[P] the first n rows of an order, but for the last row of each user in it."""
    place = np.empty(len(log), dtype=np.int64)
    place[order] = np.arange(len(log))
    last = np.zeros(log.n_users, dtype=np.int64)
    np.maximum.at(last, log.user_of, place)
    free = order[place[order] != last[log.user_of[order]]]
    chosen = np.zeros(len(log), dtype=bool)
    chosen[free[:n]] = True
    return chosen


def _run(label: str, fields: dict[str, Any]) -> Run:
    """A baseline by name or ``backbone:loss``, at its preset."""
    if ":" in label:
        backbone, loss = label.split(":", 1)
        return resolve(**{**fields, "backbone": backbone, "loss": loss})
    allowed = {k: v for k, v in fields.items() if k in Run.model_fields and k not in OF_TRAINED_MODELS}
    return resolve(model=label, **allowed)
