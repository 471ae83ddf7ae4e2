"""The result of a search within a given time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from taurec.evaluation.significance import Interval, Paired
from taurec.losses import loss_class
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.candidates import baseline_grid
from taurec.studies.result import Figure, Part, Result, ShownModels, Table
from taurec.studies.search import tables
from taurec.studies.search.verdict import verdict
from taurec.studies.train_command import train_command

Stage = Literal["baseline", "probe", "whole"]
"""A baseline; a setting in the rounds; a model trained in the time left after the rounds."""


@dataclass(frozen=True)
class Trial:
    """One setting of one model in a search.

    Attributes:
        label: ``ease`` or ``mf:sl``.
        setting: the varied settings, such as ``tau=0.1``.
        run: all settings.
        stage: the part of the search; values of ``probe`` are over some of the users only where ``share`` is
            below 1.
        valid: the best value of the selection metric on validation; None where training failed.
        epochs: number of epochs; 0 for a baseline.
        seconds: the time it took.
        ended: whether training finished; more time would not change the value.
    """

    label: str
    setting: str
    run: Run
    stage: Stage
    valid: float | None
    epochs: int
    seconds: float
    ended: bool


@dataclass(frozen=True)
class SearchResult(Result):
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
        paired: chosen minus second on validation; the same pairs chose the model, which favours it.
        chance: label -> share of bootstrap resamples of the users in which it is the best on validation.
        settings_tested: the two best trained settings of the rounds, first and second, as texts.
        settings_paired: their difference on validation after equal times; None for fewer than two.
        test: label -> test metric -> value with its interval, of chosen and second: computed once, at the end.
        test_paired: chosen minus second on the test part, which was not used to choose.
        n_users: users with test items.
        notes: what was left out, and why.
        reading: how the file was read, for the command that fits the chosen model.
    """

    schema: ClassVar[str] = "taurec.search/1"
    source: str
    budget: float
    seconds: float
    metric: str
    trials: list[Trial]
    share: float
    chosen: Recommender
    ended: bool
    second: str | None
    paired: Paired | None
    chance: Mapping[str, float]
    settings_tested: tuple[str, ...]
    settings_paired: Paired | None
    test: Mapping[str, Mapping[str, Interval]]
    test_paired: Paired | None
    n_users: int
    notes: list[str]
    reading: Mapping[str, Any] = field(default_factory=dict)

    def title(self) -> str:
        return f"A model for {self.source}"

    def verdict(self) -> list[str]:
        return verdict(self)

    def tables(self) -> list[Table]:
        label = self.chosen.run.label
        return [tables.best_trials(self), *([tables.on_test(self, label)] if label in self.test else [])]

    def figures(self) -> list[Figure]:
        return tables.figures(self)

    def parts(self) -> list[Part]:
        on_test = [tables.on_test(self, label) for label in self.test]
        return [*self.figures(), tables.models(self), tables.all_trials(self), *on_test]

    def commands(self) -> list[str]:
        """The command that fits the chosen model."""
        epochs = None if self.ended else len(self.chosen.records)
        return [train_command(self.chosen.run, epochs, self.reading)]

    def settings(self) -> dict[str, Any]:
        return self.chosen.run.model_dump(mode="json")

    def rankers(self) -> ShownModels:
        return ShownModels({self.chosen.run.label: self.chosen.ranker}, self.chosen.split)

    def document(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "split": self.chosen.split.how,
            "budget": self.budget,
            "seconds": self.seconds,
            "chosen_by": self.metric,
            "share_of_users": self.share,
            "tries": [
                {**{name: getattr(t, name) for name in _TRIAL_FIELDS}, "run": t.run.model_dump(mode="json")}
                for t in self.trials
            ],
            "chosen": self.chosen.run.model_dump(mode="json"),
            "ended": self.ended,
            "second": self.second,
            "chance_of_best": dict(self.chance),
            "valid_difference": _paired(self.paired),
            "settings": list(self.settings_tested),
            "settings_difference": _paired(self.settings_paired),
            "test": {label: {name: vars(v) for name, v in values.items()} for label, values in self.test.items()},
            "test_difference": _paired(self.test_paired),
            "users": self.n_users,
            "notes": self.notes,
            "words": self.verdict(),
            "command": self.commands()[0],
        }


_TRIAL_FIELDS = ("label", "setting", "stage", "valid", "epochs", "seconds", "ended")


def _paired(found: Paired | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"difference": vars(found.difference), "p_value": found.p_value, "users": found.n_users}


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
