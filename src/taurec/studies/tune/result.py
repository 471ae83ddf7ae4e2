"""The result of ``taurec tune``: the best setting, how certain it is, all trials, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from taurec.studies import warm_cold
from taurec.studies.evidence import ChosenModel, metric_cells, metric_columns
from taurec.studies.result import Cell, Column, Figure, Part, Series, Table
from taurec.studies.train_command import train_command
from taurec.studies.tune.space import settings_text, value_text
from taurec.studies.warm_cold import WarmCold
from taurec.studies.words import count, difference_words, number, seconds

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval, Paired
    from taurec.recommender import Recommender
    from taurec.run import Run

SHOWN = 10
"""Trials in the table of a terminal; all of them are in the document and on the page."""
LAST = 3
"""Number of failed trials whose reasons are shown, the last ones."""
ENOUGH = 20
"""Complete trials from which importances and correlations are shown. Of simulated searches over three settings of which
one matters, PED-ANOVA names that one in 48 % with 8 trials and in 80 % with 20 (``tests/studies/test_tune.py``); its
best quarter is then 5 trials instead of 2, and a rank correlation of chance is below 0.45 in 95 % of the cases."""
_STATES = {"complete": "complete", "pruned": "stopped early", "failed": "failed"}
TRIALS, MATTERED, TEST = "Trials", "What mattered", "On the test part"


@dataclass(frozen=True)
class Trial:
    """One setting and its value.

    Attributes:
        number: from 1; trial 1 is the preset.
        state: ``complete``, ``failed``, or ``pruned`` if it was below the median of earlier trials at the same epoch.
        value: the best validation value; None if training failed before the first.
        epochs: number of epochs trained.
        seconds: the time it took.
        values: setting -> value.
        error: why training failed, or no text.
    """

    number: int
    state: str
    value: float | None
    epochs: int
    seconds: float
    values: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Setting:
    """One setting of the search.

    Attributes:
        name: a run field or ``part.setting``.
        searched: its domain in words.
        preset, best: its value in trial 1 and in the best trial.
        importance: by PED-ANOVA, sums to 1 over the settings; None for too few trials.
        correlation: Spearman's, of the setting with the validation value; None for too few trials or categories.
    """

    name: str
    searched: str
    preset: Any
    best: Any
    importance: float | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class Tuning(ChosenModel):
    """Settings chosen on validation, and how certain the choice is.

    Attributes:
        source: the name of the data.
        metric: chooses on validation.
        planned: the number of trials asked for.
        seconds: of this process.
        trials: in the order of their numbers.
        best: the number of the best trial.
        chosen: its fitted model.
        searched: the settings that were varied, with what mattered.
        valid_paired: best minus preset on validation, which chose the best; None if the preset is the best.
        valid: label of a baseline -> its best validation value.
        baselines: label of a baseline -> its run with the settings of that value.
        test: label -> test metric -> value with its interval, computed once: the chosen setting first.
        test_paired: label -> chosen minus that model on the test part; p-values are corrected (Holm).
        n_users: users with test items.
        notes: what was left out, and why.
        test_uses: how often this search, with the calls that it continues, evaluated on the test part.
        apart: label -> test metrics of users with and without training rows, where there are both.
    """

    schema: ClassVar[str] = "taurec.tune/1"
    keys: ClassVar[Mapping[str, str]] = {
        "metric": "chosen_by", "searched": "settings", "valid_paired": "valid_difference",
        "test_paired": "test_differences", "n_users": "users", "baselines": "",
    }  # fmt: skip
    source: str
    metric: str
    planned: int
    seconds: float
    trials: Sequence[Trial]
    best: int
    chosen: Recommender
    searched: Sequence[Setting]
    valid_paired: Paired | None
    valid: Mapping[str, float]
    baselines: Mapping[str, Run]
    test: Mapping[str, Mapping[str, Interval]]
    test_paired: Mapping[str, Paired]
    n_users: int
    notes: Sequence[str] = field(default_factory=tuple)
    test_uses: int = 1
    apart: Mapping[str, WarmCold] = field(default_factory=dict)

    def title(self) -> str:
        return f"Settings of {self.chosen.run.label} for {self.source}"

    def verdict(self) -> list[str]:
        return [
            self._chosen(), *self._better_baselines(), *self._on_validation(), *self._on_test(),
            *self._most_important(), self._effort(), *(f"Note: {note}." for note in self.notes),
        ]  # fmt: skip

    def tables(self) -> list[Table]:
        ranked = sorted(
            (t for t in self.trials if t.value is not None), key=lambda t: (t.state != "complete", -(t.value or 0.0))
        )
        title = f"{self.source}: {count(len(self.trials), 'trial')} of {self.chosen.run.label}, the best by validation"
        failed = [t for t in self.trials if t.state == "failed" and t.value is None][-LAST:]
        on_test = [*self._test(), *warm_cold.tables(self.apart)]
        return [self._trials(title, [*ranked[:SHOWN], *failed], strong=[0]), self._settings(), *on_test]

    def figures(self) -> list[Figure]:
        return [self._by_trial(), *(self._by_setting(one) for one in self.searched)]

    def parts(self) -> list[Part]:
        by_trial, *by_setting = self.figures()
        every = self._trials(f"All {count(len(self.trials), 'trial')}", self.trials, folded=True)
        best, settings, *test = self.tables()
        return [*test, by_trial, best, every, settings, *by_setting]

    def commands(self) -> list[str]:
        """The commands that train the best setting, and before it the baselines that are better on validation."""
        return [
            *(train_command(self.baselines[label]) for label in self._labels_ahead()),
            train_command(self.chosen.run),
        ]

    def document(self) -> dict[str, Any]:
        first = next(iter(self._labels_ahead()), self.chosen.run.label)
        return {**super().document(), "first": first, "commands": self.commands()}

    @property
    def _value(self) -> float:
        """The validation value of the best trial."""
        return next(t.value for t in self.trials if t.number == self.best) or 0.0

    def _complete(self) -> list[Trial]:
        return [t for t in self.trials if t.state == "complete"]

    def _labels_ahead(self) -> list[str]:
        """The baselines that are ahead of the chosen setting on validation, the best first."""
        return sorted((n for n, v in self.valid.items() if v > self._value), key=lambda label: -self.valid[label])

    def _chosen(self) -> str:
        best = next(t for t in self.trials if t.number == self.best)
        value = f"{self.metric} {number(self._value)} on validation, trial {best.number} of {len(self.trials)}"
        return f"Chosen for this log: {self.chosen.run.label} with {settings_text(best.values)} ({value})."

    def _better_baselines(self) -> list[str]:
        if not self._labels_ahead():
            return []
        values = ", ".join(f"{label} {number(self.valid[label])}" for label in self._labels_ahead())
        return [f"A baseline, which needs no such search, has a higher {self.metric} on validation: {values}."]

    def _on_validation(self) -> list[str]:
        if self.best == 1:
            return ["No trial is better on validation than the preset, which was trial 1."]
        if self.valid_paired is None:
            return []
        said = difference_words("The chosen setting", "the preset", self.metric, self.valid_paired, "on validation")
        return [f"{said} This is optimistic, because the same pairs chose the setting."]

    def _on_test(self) -> list[str]:
        said = [
            difference_words("The chosen setting" if n == 0 else "It", label, self.metric, paired, "on the test part")
            for n, (label, paired) in enumerate(self.test_paired.items())
        ]
        if len(said) > 1:
            said.append("p-values on the test part are corrected for the number of tests (Holm).")
        used = "The test part was used once, after the choice."
        if self.test_uses > 1:
            used = (
                f"The test part was used {self.test_uses} times, each time this search or a continuation of it ended. "
                "If its values were a reason to continue, they are too high for the chosen setting."
            )
        return [" ".join([*said, used])] if said else []

    def _most_important(self) -> list[str]:
        known = [(one.importance, one.name) for one in self.searched if one.importance is not None]
        if len(known) < 2:
            return []
        share, name = max(known)
        return [f"{name} mattered most: importance {share:.2f} of 1 (PED-ANOVA over the complete trials)."]

    def _effort(self) -> str:
        states = [t.state for t in self.trials]
        parts = [f"{states.count(s)} {text}" for s, text in _STATES.items() if s in states]
        spent = seconds(sum(t.seconds for t in self.trials))
        short = "" if len(self.trials) >= self.planned else f"; the budget ended the search before all {self.planned}"
        return f"{count(len(self.trials), 'trial')} ({', '.join(parts)}) took {spent}{short}."

    def _trials(self, title: str, trials: Sequence[Trial], strong: Sequence[int] = (), folded: bool = False) -> Table:
        names = [one.name for one in self.searched]
        metric = Column(self.metric, better="higher", spec=".4f")
        columns: list[Column | str] = ["trial", *names, metric, "epochs", Column("time", "s"), "state"]
        rows = [
            [
                t.number, *(_cell(t.values[name]) for name in names), t.value, t.epochs, t.seconds,
                _STATES[t.state] + (f": {t.error}" if t.error else ""),
            ]
            for t in trials
        ]  # fmt: skip
        note = f"{self.metric} on validation. Trial 1 is the preset."
        return Table(title, columns, rows, note, strong, TRIALS, folded, narrow=(["time"], ["epochs"]))

    def _settings(self) -> Table:
        columns: list[Column | str] = [
            Column("setting", whole=True), "searched", "preset", "best", Column("importance", spec=".2f"),
            Column("correlation", spec="+.2f"),
        ]  # fmt: skip
        rows = [
            [one.name, one.searched, _cell(one.preset), _cell(one.best), one.importance, one.correlation]
            for one in sorted(self.searched, key=lambda one: -(one.importance or 0.0))
        ]
        complete = count(len(self._complete()), "complete trial")
        note = (
            f"Over the {complete}. Importance: the share of each setting in the difference between the best quarter "
            "of the trials and all trials (PED-ANOVA). Correlation: Spearman's rank correlation with the value; above "
            "0, larger values of the setting were better."
        )
        if len(self._complete()) < ENOUGH:
            note = f"{complete}: importance and correlation need at least {ENOUGH} and are not shown."
        return Table("The settings that were varied", columns, rows, note, section=MATTERED)

    def _test(self) -> list[Table]:
        if not self.test:
            return []
        metrics = list(next(iter(self.test.values())))
        rows: list[list[Cell]] = [[label, *metric_cells(values, metrics)] for label, values in self.test.items()]
        columns = [Column("model", whole=True), *metric_columns(metrics)]
        title = f"Test part, {count(self.n_users, 'user')}"
        times = "once" if self.test_uses == 1 else f"{self.test_uses} times, the last"
        note = f"Computed {times} after the choice. The baselines have their best settings on validation."
        return [Table(title, columns, rows, note, strong=[0], section=TEST)]

    def _by_trial(self) -> Figure:
        x, values = [float(t.number) for t in self._complete()], [t.value or 0.0 for t in self._complete()]
        series = [Series("a trial", x, values), Series("best so far", x, list(accumulate(values, max)))]
        alt = f"The best is trial {self.best} with {number(self._value)}"
        caption = "Complete trials in their order; trial 1 is the preset."
        return Figure("line", series, "trial", f"{self.metric} on validation", caption, alt, section=TRIALS)

    def _by_setting(self, one: Setting) -> Figure:
        points = [(str(t.number), t.values[one.name], t.value or 0.0) for t in self._complete()]
        label, alt = f"{self.metric} on validation", f"The best has {one.name} {value_text(one.best)}"
        if all(isinstance(value, int | float) and not isinstance(value, bool) for _, value, _ in points):
            series = [Series(trial, [value], [reached]) for trial, value, reached in points]
            caption, log = (
                f"Complete trials by {one.name}; the label is the number of the trial.",
                "log" in one.searched,
            )
            return Figure("scatter", series, one.name, label, caption, alt, log_x=log, section=MATTERED)
        best = dict[str, float]()
        for _, value, reached in points:
            best[str(value)] = max(reached, best.get(str(value), reached))
        bars, caption = Series("best", list(best), list(best.values())), f"The best complete trial by {one.name}."
        return Figure("bar", [bars], one.name, label, caption, alt, section=MATTERED)


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) else str(value)
