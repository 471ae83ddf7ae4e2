"""The gain from leaving the most suspicious rows out of training, measured on a test part that was not cleaned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.baselines.models import draws_at_random
from taurec.data.interactions import Index, Interactions
from taurec.data.source import split_source
from taurec.data.split import Split
from taurec.errors import UsageError
from taurec.evaluation.metrics import parse_all
from taurec.evaluation.ranking import Evaluation, evaluate_ranker
from taurec.evaluation.significance import Paired, compare_paired
from taurec.evaluation.users import UserScorer
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.audit.log import tables as log_tables
from taurec.studies.audit.log.audit import LogAudit, audit_log
from taurec.studies.compare.candidates import candidates
from taurec.studies.opening import Note, silent
from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, Table, Text, Value
from taurec.training.interrupt import pass_on

CLEAN_SHARE = 0.02
"""A log with a smaller estimated share of false positives is clean enough; no model is trained."""
PARTS = (0.25, 0.5, 1.0)
"""Parts of the estimate, an upper bound, that are left out in turn; validation chooses among them."""
ARMS = ("all rows", "cleaned", "random rows removed")

GAIN, CHANCE = "Gain", "Share of chance rows in the training part"


@dataclass(frozen=True)
class Gain:
    """One model trained on all rows, on the cleaned ones, and with the same number of rows removed at random.

    Attributes:
        valid: cleaned minus all rows on validation, by the choosing metric; the decision is based on it.
        test: arm of :data:`ARMS` -> metric -> value on the test part; empty if the log was found clean.
        gain: metric -> cleaned minus all rows on the test part.
        control: metric -> random rows removed minus all rows.
        over_control: metric -> cleaned minus random rows removed.
    """

    model: str
    valid: Paired
    test: dict[str, dict[str, float]]
    gain: dict[str, Paired]
    control: dict[str, Paired]
    over_control: dict[str, Paired]

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        sides = {"gain": self.gain, "control": self.control, "over_control": self.over_control}
        compared = {name: {m: _plain(paired) for m, paired in of.items()} for name, of in sides.items()}
        return {"model": self.model, "valid": _plain(self.valid), "test": self.test, **compared}


@dataclass(frozen=True, eq=False)
class Fix(Result):
    """The effect of cleaning a log.

    Attributes:
        audit: of the training part, from which the rows were chosen.
        removed: [P] bool over the rows of the training part; none where the log is clean enough.
        clean: whether the log was found clean enough, so that nothing should be removed.
        asked: the requested share; None where the estimate decided.
        metric: chooses epochs and decides, on validation.
        seeds: fits of each arm, each with different rows removed at random.
        tried: (rows left out, the first model's gain by ``metric`` on validation), one per amount.
        n_users: evaluated on the test part.
        gains: one a model.
        out: where the cleaned log goes; empty if to no file.
        written: pairs of the cleaned log in that file, and of the whole log, if there was something to remove.
    """

    schema: ClassVar[str] = "taurec.audit.fix/1"
    source: str
    audit: LogAudit
    removed: NDArray[np.bool_]
    clean: bool
    asked: float | None
    metric: str
    seeds: int
    tried: tuple[tuple[int, Paired], ...]
    n_users: int
    gains: tuple[Gain, ...]
    split: Split
    out: str = ""
    written: tuple[int, int] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def title(self) -> str:
        return f"Cleaning of {self.source}"

    @property
    def summary(self) -> str:
        """Whether cleaning helps, and how much."""
        if not self.gains:
            found = self.audit.shares
            why = self.audit.no_shares if found is None else f"about {found.false_positives.mean:.1%} look like chance"
            return f"Clean enough: {why}; nothing was removed."
        first = self.gains[0]
        if self.clean:
            amounts = " or ".join(f"{rows:,}" for rows, _ in self.tried)
            return (
                f"Clean enough for {first.model}: training without the {amounts} most suspicious rows did not improve "
                f"it on validation (best difference: {self.metric} {_signed(first.valid)}); nothing was removed."
            )
        n = int(self.removed.sum())
        words = [
            f"{g.model}: {self.metric} {_signed(g.gain[self.metric])}, random removal {_signed(g.control[self.metric])}"
            for g in self.gains
        ]
        return f"{n:,} rows ({n / len(self.removed):.1%}) removed from training. On the test part, {'; '.join(words)}."

    def verdict(self) -> list[str]:
        if self.written is not None:
            return [self.summary, f"Cleaned log: {self.written[0]:,} of {self.written[1]:,} pairs in {self.out}."]
        if self.out:
            return [self.summary, f"{self.out} was not written. Use --share to remove a share of the rows anyway."]
        return [self.summary]

    def tables(self) -> list[Table]:
        if self.clean:
            return []
        rows: list[Sequence[Cell]] = [
            (g.model, m, *(values[m] for values in g.test.values()), _value(g.gain[m]), _value(g.over_control[m]))
            for g in self.gains
            for m in g.gain
        ]
        arms = map(Column, ("all rows", "cleaned", "random removed"))
        differences = (Column(name, better="higher", spec="+.4f") for name in ("gain", "over random"))
        heads = [Column("model", whole=True), Column("metric", whole=True), *arms, *differences]
        n, of = int(self.removed.sum()), len(self.removed)
        title = f"{self.source}: test part, {self.n_users:,} users; {n:,} of {of:,} rows removed"
        narrow = [["± over random"], ["± gain"], ["all rows"]]
        return [Table(title, heads, rows, "Gain: cleaned minus all rows.", section=GAIN, narrow=narrow)]

    def figures(self) -> list[Figure]:
        if self.clean:
            return []
        values = {
            f"{g.model}, {arm}": _value(of[self.metric])
            for g in self.gains
            for arm, of in (("suspects removed", g.gain), ("random rows removed", g.control))
        }
        series = Series.of(self.metric, list(values), list(values.values()))
        label = f"difference in {self.metric} from all rows"
        caption = "Differences on the test part with 95 % bootstrap intervals over users."
        return [Figure("interval", [series], label, caption=caption, alt=self.summary, section=GAIN)]

    def parts(self) -> list[Part]:
        said = (
            "The rows to remove were ranked on the training part alone. The validation part decided whether to remove "
            "rows. The test part was used once, after that. Each model was trained on all rows, without the suspects, "
            f"and without the same number of rows drawn at random ({self.seeds} draws)."
        )
        tried = [f"Without {rows:,} rows: {self.metric} {_signed(valid)} on validation." for rows, valid in self.tried]
        made: list[Part] = [Text("\n\n".join([said, *tried]), GAIN), *self.tables(), *self.figures()]
        shares = self.audit.shares
        if shares is None:
            return [*made, Text(f"No estimate: {self.audit.no_shares}.", CHANCE)]
        figure = log_tables.positions_figure(shares, self.audit.fit, CHANCE)
        table = log_tables.shares_table(shares, self.audit.fit.folds, CHANCE)
        return [*made, figure, table, Text(log_tables.METHOD, CHANCE)]

    def settings(self) -> Mapping[str, Any]:
        return self.config

    def cleaned(self, log: Interactions) -> Interactions:
        """A log with the same vocabularies without the removed rows; times and weights are kept."""
        out = self.split.train.take(self.removed)
        return log.take(~out.contains(log.user_of, log.indices))

    def document(self) -> dict[str, Any]:
        written = None
        if self.written is not None:
            written = {"file": self.out, "pairs": self.written[0], "of": self.written[1]}
        return {
            "source": self.source,
            "clean": self.clean,
            "verdict": self.summary,
            "asked_share": self.asked,
            "shares": None if self.audit.shares is None else asdict(self.audit.shares),
            "rows": len(self.removed),
            "removed": int(self.removed.sum()),
            "tried": [{"rows": rows, "valid": _plain(gain)} for rows, gain in self.tried],
            "split": self.split.how,
            "chosen_by": self.metric,
            "seeds": self.seeds,
            "users": self.n_users,
            "models": [g.document() for g in self.gains],
            "written": written,
        }


def _signed(paired: Paired) -> str:
    d = paired.difference
    bounds = "" if d.low is None or d.high is None else f" ({d.low:+.4f} to {d.high:+.4f})"
    return f"{d.mean:+.4f}{bounds}"


def _value(paired: Paired) -> Value:
    return Value(**vars(paired.difference))


def _plain(paired: Paired) -> dict[str, Any]:
    return {**vars(paired.difference), "p_value": paired.p_value, "users": paired.n_users}


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

    The audit of the training part alone ranks the rows (:class:`taurec.studies.audit.log.audit.Suspects`) and
    estimates an upper bound of the number of false positives (:func:`taurec.studies.audit.log.shares.shares`).
    :data:`PARTS` of that number are left out in turn, and the first model chooses on the validation part; or ``share``
    of the rows is removed. Each user keeps at least one row. Without ``share``, the log is clean enough if the estimate
    is below :data:`CLEAN_SHARE`, or if the first model does not gain on the validation part: the 95 % interval of the
    largest paired difference contains 0. The test part is used only when rows are removed, and only to report. All
    evaluations leave items of removed rows out of the lists, like those of all other training rows, so the arms rank
    the same candidates.

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
    say = on_progress or silent
    runs = {label: candidates(label, "none", fields or {})[0] for label in dict.fromkeys(models)}
    label, first = next(iter(runs.items()))
    parts, name = split_source(source, first)
    if not len(parts.valid) or not len(parts.test):
        raise UsageError(f"cleaning needs a validation and a test part; the split {parts.how!r} has none")
    measured = [str(m) for m in parse_all([first.metric, *metrics])]
    audit = audit_log(parts.train, name, judge=judge, seed=first.seed, on_progress=say)
    nothing, n_users = np.zeros(len(parts.train), dtype=bool), int((parts.test.user_counts > 0).sum())
    found = Fix(name, audit, nothing, True, None, first.metric, seeds, (), n_users, (), parts)
    estimate = 0.0 if audit.shares is None else audit.shares.false_positives.mean
    if share is None and estimate < CLEAN_SHARE:
        return found
    amounts = [share] if share is not None else [estimate * part for part in PARTS]
    before = _Trial(parts, nothing, seeds, measured, say).fit(label, first, ARMS[0])
    trials = []
    for amount in amounts:
        removed = _first_rows(parts.train, audit.suspects.order, round(amount * len(parts.train)))
        trial = _Trial(parts, removed, seeds, measured, say)
        after = trial.fit(label, first, ARMS[1])
        trials.append((trial, after, trial.on_valid(first, before, after)))
    found = replace(found, tried=tuple((int(trial.removed.sum()), valid) for trial, _, valid in trials))
    trial, after, valid = max(trials, key=lambda of: of[2].difference.mean)
    if share is None and not (valid.difference.low or 0.0) > 0:
        return replace(found, gains=(Gain(label, valid, {}, {}, {}, {}),))
    gains = [trial.gain(label, first, before, after, valid)]
    for label, run in list(runs.items())[1:]:
        before, after = trial.fit(label, run, ARMS[0]), trial.fit(label, run, ARMS[1])
        gains.append(trial.gain(label, run, before, after, trial.on_valid(run, before, after)))
    return replace(found, removed=trial.removed, clean=False, asked=share, gains=tuple(gains))


@dataclass(frozen=True, eq=False)
class _Trial:
    """The fits with some rows left out, and their evaluation."""

    parts: Split
    removed: NDArray[np.bool_]
    seeds: int
    metrics: Sequence[str]
    say: Note

    def fit(self, label: str, run: Run, arm: str) -> list[Recommender]:
        """One fitted model per seed; a single one if neither the model nor the rows to remove are random."""
        drawn, n = arm == ARMS[2], int(self.removed.sum())
        deterministic = not draws_at_random(run)
        fitted = []
        for k in range(1 if deterministic and not drawn else self.seeds):
            self.say(f"{label}, {arm}{'' if arm == ARMS[0] else f' ({n:,} rows left out)'}: fit {k + 1}")
            train = self.parts.train
            if drawn:
                order = draw.permutation(draw.key(run.seed + k, "audit-fix-control"), len(train))
                train = train.take(~_first_rows(train, order, n))
            elif arm == ARMS[1]:
                train = train.take(~self.removed)
            model = Recommender.from_run(run.but(seed=run.seed + k)).fit(replace(self.parts, train=train))
            pass_on(model.stopped_by)
            fitted.append(model)
        return fitted

    def evaluate(self, fitted: Sequence[Recommender], part: str) -> Evaluation:
        """Each user's terms, averaged over seeds; the lists leave out all rows of the earlier parts."""
        relevant = self.parts.valid if part == "valid" else self.parts.test
        seen = self.parts.known(part)
        scorers = [UserScorer.of_part(model.ranker, model.split, part) for model in fitted]
        results = [evaluate_ranker(scorer, relevant, seen, self.metrics) for scorer in scorers]
        numerator = np.mean([result.numerator for result in results], axis=0)
        denominator = np.mean([result.denominator for result in results], axis=0)
        return replace(results[0], numerator=numerator, denominator=denominator)

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


def _first_rows(log: Interactions, order: Index, n: int) -> NDArray[np.bool_]:
    """[P] whether a row is among the first n of an order, not counting the last row of each user in it."""
    place = np.empty(len(log), dtype=np.int64)
    place[order] = np.arange(len(log))
    last = np.zeros(log.n_users, dtype=np.int64)
    np.maximum.at(last, log.user_of, place)
    free = order[place[order] != last[log.user_of[order]]]
    chosen = np.zeros(len(log), dtype=bool)
    chosen[free[:n]] = True
    return chosen
