"""The result of ``taurec tune``: the best setting, how certain it is, all trials, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from taurec.studies.result import Cell, Column, Figure, Part, Result, Series, ShownModels, Table, Value
from taurec.studies.train_command import train_command
from taurec.studies.tune.space import settings_text, value_text
from taurec.studies.words import count, difference_words, number, seconds

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval, Paired
    from taurec.recommender import Recommender

SHOWN = 10
"""Trials in the table of a terminal; all of them are in the document and on the page."""
_STATES = {"complete": "complete", "pruned": "stopped early", "failed": "failed"}
TRIALS, MATTERED, TEST = "Trials", "What mattered", "On the test part"


@dataclass(frozen=True)
class Trial:
    """One setting and its value.

    Attributes:
        number: from 1; trial 1 is the preset.
        state: ``pruned`` if it was below the median of earlier trials at the same epoch.
        value: the best validation value; None if training failed before the first.
        epochs: number of epochs trained.
        seconds: the time it took.
        values: setting -> value.
        error: why training failed, or no text.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
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
class Tuning(Result):
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
        test: label -> test metric -> value with its interval, computed once: the chosen setting first.
        test_paired: label -> chosen minus that model on the test part; p-values are corrected (Holm).
        n_users: users with test items.
        notes: what was left out, and why.
    """

    schema: ClassVar[str] = "taurec.tune/1"
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
    test: Mapping[str, Mapping[str, Interval]]
    test_paired: Mapping[str, Paired]
    n_users: int
    notes: Sequence[str] = field(default_factory=tuple)

    def title(self) -> str:
        return f"Settings of {self.chosen.run.label} for {self.source}"

    def verdict(self) -> list[str]:
        return [
            self._chosen(), *self._on_validation(), *self._on_test(), *self._mattered(), self._spent(),
            *(f"Note: {note}." for note in self.notes),
        ]  # fmt: skip

    def tables(self) -> list[Table]:
        ranked = sorted(self._with_value(), key=lambda t: (t.state != "complete", -(t.value or 0.0)))
        title = f"{self.source}: {count(len(self.trials), 'trial')} of {self.chosen.run.label}"
        shown = ranked[:SHOWN]
        few = self._trials(f"{title}, the best by validation", shown, strong=[0])
        return [few, self._settings(), *([self._test()] if self.test else [])]

    def figures(self) -> list[Figure]:
        return [self._by_trial(), *(self._by_setting(one) for one in self.searched)]

    def parts(self) -> list[Part]:
        by_trial, *by_setting = self.figures()
        every = self._trials(f"All {count(len(self.trials), 'trial')}", self.trials, folded=True)
        shown = [self._test()] if self.test else []
        return [*shown, by_trial, self.tables()[0], every, self._settings(), *by_setting]

    def commands(self) -> list[str]:
        """The command that trains the best setting."""
        return [train_command(self.chosen.run)]

    def settings(self) -> dict[str, Any]:
        return self.chosen.run.model_dump(mode="json")

    def rankers(self) -> ShownModels:
        return ShownModels({self.chosen.run.label: self.chosen.ranker}, self.chosen.split)

    def document(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "chosen_by": self.metric,
            "planned": self.planned,
            "seconds": self.seconds,
            "trials": [{**vars(t), "values": dict(t.values)} for t in self.trials],
            "best": self.best,
            "chosen": self.chosen.run.model_dump(mode="json"),
            "settings": [dict(vars(one)) for one in self.searched],
            "valid_difference": None if self.valid_paired is None else _paired(self.valid_paired),
            "valid": dict(self.valid),
            "test": {label: {name: vars(v) for name, v in values.items()} for label, values in self.test.items()},
            "test_differences": {label: _paired(found) for label, found in self.test_paired.items()},
            "users": self.n_users,
            "notes": list(self.notes),
            "words": self.verdict(),
            "command": self.commands()[0],
        }

    @property
    def _best(self) -> Trial:
        return next(t for t in self.trials if t.number == self.best)

    def _with_value(self) -> list[Trial]:
        return [t for t in self.trials if t.value is not None]

    def _chosen(self) -> str:
        best = self._best
        value = f"{self.metric} {number(best.value or 0.0)} on validation, trial {best.number} of {len(self.trials)}"
        return f"Chosen for this log: {self.chosen.run.label} with {settings_text(best.values)} ({value})."

    def _on_validation(self) -> list[str]:
        if self.best == 1:
            return ["No trial is better on validation than the preset, which was trial 1."]
        if self.valid_paired is None:
            return []
        said = difference_words("The chosen setting", "the preset", self.metric, self.valid_paired, "on validation")
        return [f"{said} The same pairs chose it, which favours it."]

    def _on_test(self) -> list[str]:
        if not self.test_paired:
            return []
        said = [
            difference_words("The chosen setting" if n == 0 else "It", label, self.metric, paired, "on the test part")
            for n, (label, paired) in enumerate(self.test_paired.items())
        ]
        corrected = " p-values on the test part are corrected for the number of tests (Holm)." if len(said) > 1 else ""
        return [" ".join(said) + corrected + " The test part was used once, after the choice."]

    def _mattered(self) -> list[str]:
        known = [(one.importance, one.name) for one in self.searched if one.importance is not None]
        if len(known) < 2:
            return []
        share, name = max(known)
        return [f"{name} mattered most: importance {share:.2f} of 1 (PED-ANOVA over the complete trials)."]

    def _spent(self) -> str:
        states = [t.state for t in self.trials]
        parts = [f"{states.count(s)} {text}" for s, text in _STATES.items() if s in states]
        spent = seconds(sum(t.seconds for t in self.trials))
        short = "" if len(self.trials) >= self.planned else f" of {self.planned} planned; the budget ended the search"
        return f"{count(len(self.trials), 'trial')} ({', '.join(parts)}) took {spent}{short}."

    def _trials(self, title: str, trials: Sequence[Trial], strong: Sequence[int] = (), folded: bool = False) -> Table:
        names = [one.name for one in self.searched]
        metric = Column(self.metric, better="higher", spec=".4f")
        columns = [Column("trial"), *(Column(name) for name in names), metric, Column("epochs"), Column("time", "s")]
        rows: list[list[Cell]] = [
            [
                t.number, *(_plain(t.values[name]) for name in names), t.value, t.epochs, t.seconds,
                _STATES[t.state] + (f": {t.error}" if folded and t.error else ""),
            ]
            for t in trials
        ]  # fmt: skip
        note = f"{self.metric} on validation. Trial 1 is the preset."
        narrow = (["time"], ["epochs"])
        return Table(title, [*columns, Column("state")], rows, note, strong, TRIALS, folded, narrow)

    def _settings(self) -> Table:
        columns = [
            Column("setting", whole=True), Column("searched"), Column("preset"), Column("best"),
            Column("importance", spec=".2f"), Column("correlation", spec="+.2f"),
        ]  # fmt: skip
        ranked = sorted(self.searched, key=lambda one: -(one.importance or 0.0))
        rows: list[list[Cell]] = [
            [one.name, one.searched, _plain(one.preset), _plain(one.best), one.importance, one.correlation]
            for one in ranked
        ]
        note = (
            "Over the complete trials. Importance: share of each setting in what separates the best quarter of the "
            "trials (PED-ANOVA). Correlation: Spearman's rank correlation with the value; above 0, larger was better."
        )
        return Table("The settings that were varied", columns, rows, note, section=MATTERED)

    def _test(self) -> Table:
        metrics = list(next(iter(self.test.values())))
        rows: list[list[Cell]] = [
            [label, *(Value(values[m].mean, values[m].low, values[m].high) for m in metrics)]
            for label, values in self.test.items()
        ]
        columns = [Column("model", whole=True), *(Column(m, better="higher") for m in metrics)]
        title = f"Test part, {count(self.n_users, 'user')}"
        note = "Computed once, after the choice; the settings of the baselines are the best on validation."
        return Table(title, columns, rows, note, strong=[0], section=TEST)

    def _by_trial(self) -> Figure:
        shown = [t for t in self.trials if t.state == "complete" and t.value is not None]
        x, values = [float(t.number) for t in shown], [t.value or 0.0 for t in shown]
        best_so_far = [max(values[: n + 1]) for n in range(len(values))]
        series = [Series("a trial", x, values), Series("best so far", x, best_so_far)]
        alt = f"The best is trial {self.best} with {number(self._best.value or 0.0)}"
        caption = "Complete trials in their order; trial 1 is the preset."
        return Figure("line", series, "trial", f"{self.metric} on validation", caption, alt, section=TRIALS)

    def _by_setting(self, one: Setting) -> Figure:
        shown = [t for t in self.trials if t.state == "complete" and t.value is not None]
        values, y = [t.values[one.name] for t in shown], [t.value or 0.0 for t in shown]
        label = f"{self.metric} on validation"
        caption = f"Complete trials by {one.name}; the label is the number of the trial."
        alt = f"The best has {one.name} {value_text(one.best)}"
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
            groups = list(dict.fromkeys(map(str, values)))
            best = [max(b for v, b in zip(values, y, strict=True) if str(v) == group) for group in groups]
            caption = f"The best complete trial by {one.name}."
            return Figure("bar", [Series("best", groups, best)], one.name, label, caption, alt, section=MATTERED)
        points = [Series(str(t.number), [v], [b]) for t, v, b in zip(shown, values, y, strict=True)]
        log = "logarithmic" in one.searched
        return Figure("scatter", points, one.name, label, caption, alt, log_x=log, section=MATTERED)


def _plain(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) else str(value)


def _paired(found: Paired) -> dict[str, Any]:
    return {"difference": vars(found.difference), "p_value": found.p_value, "users": found.n_users}
