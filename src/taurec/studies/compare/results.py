"""The result of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from taurec.baselines.models import is_closed_form
from taurec.data.split import Split
from taurec.evaluation.significance import Interval, Paired, Spread
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare import display
from taurec.studies.evidence import ChosenModel, plain
from taurec.studies.result import Figure, Part, ShownModels, Table
from taurec.studies.warm_cold import EXACT, MEAN, WarmCold
from taurec.studies.words import LEVEL, count, difference_words, number, seconds


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Attributes:
        label: ``ease`` or ``mf:bsl``.
        valid: the selection metric on validation, mean over seeds.
        p_value: of the paired sign-flip test against the best row on the selection metric, corrected
            by Holm for the number of rows; None for the best row itself.
        epochs: until the best epoch, first seed; 0 for a baseline and a blend.
        seconds: to fit the chosen setting once, validation included.
        tune_seconds: for all settings and seeds together.
        tried: number of settings that validation chose from; of a blend, those of its halves, each chosen alone.
        peak_mb: the largest growth of the process's memory while fitting, of a blend the sum of its halves; None where
            it cannot be read.
        metrics: test metric -> mean over users (and seeds) with its 95 % bootstrap interval over users.
        spread: test metric -> mean and standard deviation over seeds; the deviation is None for one seed, and for
            a model without random draws.
        run: the settings chosen on validation.
        apart: the test metrics of users with and without training rows; None unless there are both.
    """

    label: str
    valid: float
    p_value: float | None
    epochs: int
    seconds: float
    tune_seconds: float
    tried: int
    peak_mb: float | None
    metrics: dict[str, Interval]
    spread: dict[str, Spread]
    run: Run
    apart: WarmCold | None = None

    @property
    def trained(self) -> bool:
        """Whether it is trained with a loss, or a half of it is; a baseline is not."""
        return self.run.trained

    @property
    def closed_form(self) -> bool:
        """Whether it is a closed form, or a blend of two."""
        return is_closed_form(self.run)

    @property
    def has_settings(self) -> bool:
        """Whether there is anything to choose; popularity has no setting."""
        return self.run.model is None or bool(self.run.model.settings)


@dataclass(frozen=True)
class Failed:
    """A model without a row, since no setting of it could be fitted and evaluated."""

    label: str
    reason: str


@dataclass(frozen=True)
class PairedTest:
    """The best trained model and the best baseline by validation, compared once on the test part.

    Both were chosen without the test part, so the test of their difference needs no correction.
    """

    trained: str
    baseline: str
    paired: Paired
    """On the selection metric, trained minus baseline."""


@dataclass(frozen=True)
class Comparison(ChosenModel):
    """Models compared on one split of a log.

    Attributes:
        source: name of the data.
        rows: the models, in the order asked for.
        metric: chose settings and epochs on validation.
        seeds: number of seeds of each trained model.
        n_users: users with test items.
        split: the parts of the log.
        chosen: the fitted model with the highest validation value: the one to use. Test data did not choose it.
        models: label -> the model with its chosen setting and the first seed.
        versus: the best trained model compared with the best baseline; None if no model was trained.
        shown: the metrics of the table in a terminal; all of a row if empty.
        notes: remarks, such as on a model of which nothing was varied.
        failed: the models that failed, in the order asked for.
    """

    schema: ClassVar[str] = "taurec.compare/1"
    source: str
    rows: list[Row]
    metric: str
    seeds: int
    n_users: int
    split: Split
    chosen: Recommender
    models: Mapping[str, Recommender] = field(default_factory=dict)
    versus: PairedTest | None = None
    shown: tuple[str, ...] = ()
    notes: Sequence[str] = ()
    failed: Sequence[Failed] = ()

    @property
    def best(self) -> Row:
        """The row with the highest test value of the selection metric: a finding, not a choice."""
        return max(self.rows, key=lambda row: row.metrics[self.metric].mean)

    @property
    def closed_form(self) -> Row | None:
        """The row of the best closed form by validation."""
        return max((row for row in self.rows if row.closed_form), key=lambda row: row.valid, default=None)

    @property
    def chosen_label(self) -> str:
        """The label of :attr:`chosen` in the rows."""
        labels = (label for label, model in self.models.items() if model is self.chosen)
        return next(labels, self.chosen.run.label)

    def row(self, label: str) -> Row:
        """The row of a model."""
        return next(row for row in self.rows if row.label == label)

    def title(self) -> str:
        return f"Models compared on {self.source}"

    def verdict(self) -> list[str]:
        lines = [self._best_on_test(), self._held_out(), self._kinds(), self._model_to_use(), self._front()]
        lines += [self._time(), self._seeds()]
        return [line for line in [*lines, *self._failed(), *self.notes] if line]

    def tables(self) -> list[Table]:
        shown = self.shown or list(self.rows[0].metrics)
        return [display.ranking(self, shown), *display.warm_and_cold(self, shown)]

    def figures(self) -> list[Figure]:
        return display.figures(self)

    def parts(self) -> list[Part]:
        """Among others how groups of users and items are served, which is computed by this call."""
        protocol: list[Part] = [display.protocol(self), display.settings_table(self)]
        return [*self.figures(), *display.page_tables(self), *display.group_results(self), *protocol]

    def rankers(self) -> ShownModels:
        return ShownModels({label: self.models[label].ranker for label in display.shown_models(self)}, self.split)

    def document(self) -> dict[str, Any]:
        versus = plain(self.versus)
        if versus is not None:
            versus |= {k: v for k, v in versus.pop("paired").items() if k != "users"}
        return plain(
            {
                "source": self.source,
                "split": self.split.how,
                "chosen_by": self.metric,
                "seeds": self.seeds,
                "users": self.n_users,
                "best": self.best.label,
                "chosen": self.chosen_label,
                "front": {cost: display.on_front(self.rows, self.metric, (cost,)) for cost in display.COSTS},
                "trained_against_baseline": versus,
                "closed_form": self.closed_form.label if self.closed_form else None,
                "words": self.verdict(),
                "rows": self.rows,
                "failed": self.failed,
            }
        )

    def _best_on_test(self) -> str:
        """The best model on the test part, which models the test does not separate from it, and how settings were
        chosen."""
        best = self.best
        equal = [row.label for row in self.rows if display.mark(self, row) == "="]
        said = f"Best by {self.metric}: {best.label}"
        if equal:
            said += f"; not significantly different (paired test, p >= {LEVEL:g}, Holm): {', '.join(equal)}"
        elif len(self.rows) > 1:
            said += f", ahead of every other model (paired test, p < {LEVEL:g}, Holm)"
        tuned = [row.label for row in self.rows if row.tried > 1]
        settings = f"Settings of {', '.join(tuned)} and all epochs" if tuned else "Epochs"
        if tuned and len(tuned) == sum(row.has_settings for row in self.rows):
            settings = "Settings and epochs"
        return f"{said}. {settings} were chosen on validation; ± is half of the 95 % bootstrap interval over users."

    def _held_out(self) -> str:
        """By what held-out users are ranked, in a split by users."""
        if self.split.given is None:
            return ""
        exact = [label for label, model in self.models.items() if model.ranker.folds_in]
        others = [label for label in self.models if label not in exact]
        by = [f"by {how} of {', '.join(labels)}" for how, labels in ((EXACT, exact), (MEAN, others)) if labels]
        return f"No row of the test users is trained on; they are ranked from their given rows, {'; '.join(by)}."

    def _kinds(self) -> str:
        """The trained model against the baseline, and which of them to prefer."""
        if self.versus is None:
            return ""
        v = self.versus
        trained, baseline = self.row(v.trained), self.row(v.baseline)
        said = difference_words(v.trained, v.baseline, self.metric, v.paired, "on test")
        cost = f"one fit takes {seconds(trained.seconds)} for {v.trained}, {seconds(baseline.seconds)} for {v.baseline}"
        if v.paired.p_value >= LEVEL:
            cheaper = v.baseline if baseline.seconds <= trained.seconds else v.trained
            prefer = f"{cheaper} is the better choice, because it is cheaper: {cost}"
        elif v.paired.difference.mean > 0:
            prefer = f"training a model improves accuracy on this log; {cost}"
        else:
            prefer = f"{v.baseline} is the better choice on this log; {cost}"
        best, kind, more = self.closed_form, "baseline", ""
        if baseline is best:
            kind = "closed form"
        elif best is not None:
            more = f" The best closed form by validation is {best.label}."
        return (
            f"Best trained model ({v.trained}) against the best {kind} ({v.baseline}), both by validation: {said} So "
            f"{prefer}.{more}"
        )

    def _model_to_use(self) -> str:
        """The model that validation chose, where it is not the one with the highest test value."""
        label = self.chosen_label
        if label == self.best.label:
            return ""
        p = self.row(label).p_value
        between = "" if p is None else f" (p = {p:.2g} for the difference of the two on test)"
        return f"Use {label}: it is the best on validation, so it was chosen without the test part{between}."

    def _front(self) -> str:
        fit = display.on_front(self.rows, self.metric)
        tuned = display.on_front(self.rows, self.metric, ("tune_seconds",))
        memory = display.on_front(self.rows, self.metric, ("seconds", "peak_mb"))
        said = (
            f"On the Pareto front of {self.metric} and seconds of one fit (no other model is both better and cheaper): "
            f"{', '.join(fit)}"
        )
        counted = f"if the cost includes tuning: {', '.join(tuned)}"
        if set(tuned) == set(fit):
            counted = "the same if the cost includes tuning"
        more = [label for label in memory if label not in fit]
        return f"{said}; {counted}" + (f"; if memory is a cost, also: {', '.join(more)}." if more else ".")

    def _time(self) -> str:
        """The number of settings tried for each model, and the time that they took."""
        seeds = f", with {count(self.seeds, 'seed')}" if self.seeds > 1 else ""
        spent = [f"{row.label} {row.tried} in {seconds(row.tune_seconds)}" for row in self.rows]
        return f"Number of settings tried, and the time for all of them{seeds}: {', '.join(spent)}."

    def _failed(self) -> list[str]:
        return [f"{one.label} failed: {one.reason}. The comparison covers the other models." for one in self.failed]

    def _seeds(self) -> str:
        spreads = [(row.spread[self.metric].std, row.label) for row in self.rows if self.metric in row.spread]
        known = [(std, label) for std, label in spreads if std is not None]
        if not known:
            return ""
        std, label = max(known)
        return (
            f"The standard deviation of {self.metric} over {count(self.seeds, 'seed')} is at most {number(std)} "
            f"({label}); the ± does not include it."
        )
