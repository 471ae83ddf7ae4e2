"""The result of a search within a given time: the chosen model, how certain the choice is, and all settings tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from taurec.evaluation.significance import Interval, Paired
from taurec.losses import loss_class
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies import warm_cold
from taurec.studies.evidence import ChosenModel, learning_curve, metric_cells, metric_figure
from taurec.studies.result import Cell, Column, Figure, Part, Series, Table
from taurec.studies.train_command import train_command
from taurec.studies.warm_cold import WarmCold
from taurec.studies.words import LEVEL, count, difference_words, number, seconds
from taurec.training.presets import baseline_grid

SHOWN = 12
"""Settings in the table of a terminal; all of them are in the document and on the page."""
TRIED, TEST, CURVE = "What was tried", "On the test part", "Learning curve"
Stage = Literal["baseline", "probe", "whole"]
"""A baseline; a setting in the rounds; a model trained in the time left after the rounds."""
_STAGES: dict[Stage, tuple[str, str]] = {
    "baseline": ("baseline", "of baselines"),
    "probe": ("rounds", "in the rounds"),
    "whole": ("whole", "on the whole log"),
}
"""In a table and in a sentence."""


@dataclass(frozen=True)
class Trial:
    """One setting of one model in a search.

    Attributes:
        label: ``ease`` or ``mf:sl``.
        setting: the varied settings, such as ``tau=0.1``.
        stage: the part of the search; values of ``probe`` are over some of the users only where ``share`` is
            below 1.
        valid: the best value of the selection metric on validation; None where training failed.
        epochs: number of epochs; 0 for a baseline.
        seconds: the time it took.
        ended: whether training finished; more time would not change the value.
        run: all settings.
    """

    label: str
    setting: str
    stage: Stage
    valid: float | None
    epochs: int
    seconds: float
    ended: bool
    run: Run

    @classmethod
    def of(cls, run: Run, stage: Stage, valid: float | None, epochs: int, seconds: float, ended: bool) -> Trial:
        """With the label and the varied settings of the run."""
        return cls(run.label, setting_text(run), stage, valid, epochs, seconds, ended, run)


@dataclass(frozen=True)
class SearchResult(ChosenModel):
    """A model chosen within a budget, and how certain the choice is.

    Attributes:
        source: the name of the data.
        budget, seconds: the time given and the time taken.
        metric: the validation metric that chooses.
        trials: all settings that were fitted, in the order of the work.
        share: of the users that took part in the rounds; 1 for all.
        chosen: the fitted model with the highest validation value.
        ended: whether its training finished within the time.
        second: the label of the best other model among those fitted on the whole log; None if there is none.
        paired: chosen minus second on validation; optimistic, because the same pairs chose the model.
        chance: label -> share of bootstrap resamples of the users in which it is the best on validation.
        settings_tested: the two best trained settings of the rounds, first and second, as texts.
        settings_paired: their difference on validation after equal times; None for fewer than two.
        test: label -> test metric -> value with its interval, of chosen and second: computed once, at the end.
        test_paired: chosen minus second on the test part, which was not used to choose.
        n_users: users with test items.
        notes: what was left out, and why.
        reading: how the file was read, for the command that fits the chosen model.
        apart: label -> test metrics of users with and without training rows, where there are both.
    """

    schema: ClassVar[str] = "taurec.search/1"
    keys: ClassVar[Mapping[str, str]] = {
        "metric": "chosen_by", "share": "share_of_users", "trials": "tries", "chance": "chance_of_best",
        "paired": "valid_difference", "settings_tested": "settings", "settings_paired": "settings_difference",
        "test_paired": "test_difference", "n_users": "users", "reading": "",
    }  # fmt: skip
    source: str
    budget: float
    seconds: float
    metric: str
    share: float
    trials: list[Trial]
    chosen: Recommender
    ended: bool
    second: str | None
    chance: Mapping[str, float]
    paired: Paired | None
    settings_tested: tuple[str, ...]
    settings_paired: Paired | None
    test: Mapping[str, Mapping[str, Interval]]
    test_paired: Paired | None
    n_users: int
    notes: list[str]
    reading: Mapping[str, Any] = field(default_factory=dict)
    apart: Mapping[str, WarmCold] = field(default_factory=dict)

    def title(self) -> str:
        return f"A model for {self.source}"

    def verdict(self) -> list[str]:
        lines = [self._chosen(), *self._model(), *self._setting(), *self._on_test(), self._time()]
        return lines + [f"Note: {note}." for note in self.notes]

    def tables(self) -> list[Table]:
        """The best trials: models fitted to the whole log first, then baselines, then the rounds."""
        whole, rounds = by_valid(self._of("whole")), by_valid(self._of("probe"))
        shown = [*whole, *best_of_each(self._of("baseline"))]
        strong = [n for n, t in enumerate(shown) if self._is_chosen(t)][:1]
        shown += rounds[: max(3, SHOWN - len(shown))]
        title = f"{self.source}: {count(len(self.trials), 'setting')} tried, the best of them by validation"
        on_test = [self._test(label) for label in self.test if label == self.chosen.run.label]
        return [self._trials(title, self.metric, shown, strong=strong), *on_test, *warm_cold.tables(self.apart, TEST)]

    def parts(self) -> list[Part]:
        metric = f"{self.metric} on validation"
        users = "" if self.share == 1 else f" Values in the rounds are over {self.share:.0%} of the users."
        every = f"All {count(len(self.trials), 'setting')} in the order of the work"
        models = self._trials("Models fitted to the whole log, the best first", metric, self._whole())
        tried = self._trials(every, self.metric, self.trials, note=f"{metric}.{users}")
        on_test = [*(self._test(label) for label in self.test), *warm_cold.tables(self.apart, TEST)]
        return [*self.figures(), models, tried, *on_test]

    def figures(self) -> list[Figure]:
        """Quality against time, the test metric, and the learning curve of the chosen model."""
        whole, label = self._whole(), f"{self.metric} on validation"
        points = [Series(t.label, [max(t.seconds, 1e-3)], [t.valid or 0.0]) for t in whole]
        caption = "Models fitted to the whole log, each with its best setting, and the seconds of that one fit."
        alt = f"The best is {whole[0].label} with {number(whole[0].valid or 0.0)}"
        made = [Figure("scatter", points, "seconds", label, caption, alt, log_x=True, section=TRIED)]
        if self.test:
            values = {model: metrics[self.metric] for model, metrics in self.test.items()}
            users = count(self.n_users, "user")
            caption = f"Over {users}, with 95 % bootstrap intervals; computed once, after the choice."
            made.append(metric_figure(values, self.metric, caption, TEST))
        curve = learning_curve(self.chosen.run.label, self.chosen, self.metric)
        if len(curve.x) > 1:
            best = curve.x[list(curve.y).index(max(curve.y))]
            alt = f"Best in epoch {best:.0f} of {len(curve.x)}"
            caption = "The chosen model after each epoch."
            made.append(Figure("line", [curve], "epoch", label, caption, alt, section=CURVE))
        return made

    def commands(self) -> list[str]:
        """The command that fits the chosen model."""
        epochs = None if self.ended else len(self.chosen.records)
        return [train_command(self.chosen.run, epochs, self.reading)]

    def document(self) -> dict[str, Any]:
        return {"source": self.source, "split": self.chosen.split.how, **super().document()}

    def _of(self, stage: Stage) -> list[Trial]:
        return [t for t in self.trials if t.stage == stage]

    def _whole(self) -> list[Trial]:
        return best_of_each([t for t in self.trials if t.stage != "probe" and t.valid is not None])

    def _is_chosen(self, trial: Trial) -> bool:
        """Whether a trial is that of the chosen model."""
        best = self.chosen.best
        return trial.label == self.chosen.run.label and best is not None and trial.valid == best.metrics[self.metric]

    def _chosen(self) -> str:
        run = self.chosen.run
        setting = next((t.setting for t in self.trials if self._is_chosen(t)), "")
        said = f"Chosen for this log: {run.label}{f' with {setting}' if setting else ''}"
        if run.model is not None:
            if self._of("whole"):
                return f"{said}, a baseline; no trained model was better on validation within this time."
            return f"{said}, a baseline; there was no time to train a model on the whole log. Give a longer budget."
        return f"{said}{'' if self.ended else '; the budget stopped its training, so more time may improve it'}."

    def _model(self) -> list[str]:
        if self.second is None or self.paired is None:
            return []
        label = self.chosen.run.label
        said = difference_words(label, self.second, self.metric, self.paired, "on validation")
        share = f"{label} is the best model in {self.chance[label]:.0%} of the bootstrap resamples of the users"
        return [f"{said} {share}. Both numbers are optimistic, because the same pairs chose the model."]

    def _setting(self) -> list[str]:
        if len(self.settings_tested) < 2:
            return []
        first, second = self.settings_tested
        if self.settings_paired is None:
            return [f"The best trained settings in the rounds were {first} and, second, {second}."]
        said = difference_words(first, second, self.metric, self.settings_paired, "on validation")
        return [f"The two best trained settings, after equal training time: {said}"]

    def _on_test(self) -> list[str]:
        if self.second is None or self.test_paired is None:
            return []
        label, where = self.chosen.run.label, "on the test part (which was not used to choose)"
        lines = [difference_words(label, self.second, self.metric, self.test_paired, where)]
        if self.chosen.run.model is None and self.test_paired.p_value >= LEVEL and ":" not in self.second:
            lines.append(f"{self.second} is a simpler choice and costs less.")
        return lines

    def _time(self) -> str:
        spent = [
            f"{count(len(trials), 'setting')} {where} {seconds(sum(t.seconds for t in trials))}"
            for stage, (_, where) in _STAGES.items()
            if (trials := self._of(stage))
        ]
        users = "" if self.share == 1 else f" The rounds used a random {self.share:.0%} of the users."
        return f"The search used {seconds(self.seconds)} of {seconds(self.budget)}: {', '.join(spent)}.{users}"

    def _test(self, label: str) -> Table:
        names = list(self.test[label])
        rows = list(zip(names, metric_cells(self.test[label], names), strict=True))
        title = f"{label} on the test part, {count(self.n_users, 'user')}"
        return Table(title, ["metric", Column("value", better="higher")], rows, section=TEST)

    def _trials(self, title: str, metric: str, of: list[Trial], strong: Sequence[int] = (), note: str = "") -> Table:
        """With a note it is a folded table, which also says which trials finished."""
        columns = [
            Column("model", whole=True), Column("setting"), Column("part"), Column(metric, better="higher", spec=".4f"),
            Column("epochs"), Column("time", "s"), Column("finished"),
        ]  # fmt: skip
        rows: list[list[Cell]] = [
            [
                t.label, t.setting, _STAGES[t.stage][0], "-" if t.valid is None else t.valid, t.epochs or "-",
                t.seconds, t.ended,
            ]
            for t in of
        ]  # fmt: skip
        shown = len(columns) if note else len(columns) - 1
        return Table(title, columns[:shown], [row[:shown] for row in rows], note, strong, TRIED, folded=bool(note))


def by_valid(trials: Sequence[Trial]) -> list[Trial]:
    """The best on validation first; failed ones last."""
    return sorted(trials, key=lambda t: -(t.valid if t.valid is not None else -1.0))


def best_of_each(trials: Sequence[Trial]) -> list[Trial]:
    """The best setting of each model, the best model first."""
    best: dict[str, Trial] = {}
    for t in by_valid(trials):
        best.setdefault(t.label, t)
    return list(best.values())


def setting_text(run: Run) -> str:
    """The settings of a run that a search varies, as text.

    >>> from taurec.training.presets import resolve
    >>> setting_text(resolve(loss="bsl")), setting_text(resolve(model="ease")), setting_text(resolve(loss="bpr"))
    ('tau_neg=0.1, tau_pos=1', 'l2=500', 'l2=0.003')
    """
    if run.model is not None:
        varied = {key for point in baseline_grid(run.model.name) for key in point}
        given = {k: v for k, v in run.model.settings.items() if k in varied}
    else:
        names = [key.removeprefix("loss.") for key in loss_class(run.loss.name).grid()]
        given = {name: run.loss.settings.get(name, getattr(run, name, None)) for name in names}
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in given.items())


def run_text(run: Run) -> str:
    """The label of a run and its varied settings."""
    return f"{run.label} {setting_text(run)}".strip()
