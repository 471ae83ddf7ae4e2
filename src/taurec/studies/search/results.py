"""What a search within a given time finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from taurec.evaluation.significance import Interval, Paired
from taurec.losses import loss_class
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.studies.compare.candidates import baseline_grid

Stage = Literal["baseline", "probe", "whole"]
"""A baseline; a turn or more in the rounds; trained with the time that was left after them."""


@dataclass(frozen=True)
class Try:
    """One setting of one model that was tried.

    Attributes:
        label: ``ease`` or ``mf:sl``.
        setting: what was varied, such as ``tau=0.1``.
        run: all of its settings.
        stage: where its value is from; values of ``probe`` are those of a part of the users where ``share`` is below 1.
        valid: the best value of the selection metric on validation; None where training failed.
        epochs: how many it was trained; 0 for a baseline.
        seconds: the time it took.
        ended: whether more time would have changed nothing.
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
class Probe:
    """A model chosen within a budget, and how sure the choice is.

    Attributes:
        source: the name of the data.
        budget, seconds: the time given and the time taken.
        metric: chooses on validation.
        tries: everything that was tried, in the order of the work.
        share: of the users that took part in the rounds; 1 for all.
        chosen: the fitted model with the highest validation value.
        ended: whether its training came to its end within the time.
        second: the label of the best other model among those fitted on the whole log; None if there is none.
        paired: chosen minus second on validation; the same pairs chose the model, which favours it.
        chance: label -> how often it is the best on validation when users are drawn with replacement.
        settings: the two best trained settings of the rounds, first and second, as texts.
        settings_paired: their difference on validation after equal times; None for fewer than two.
        test: label -> test metric -> value with its interval, of chosen and second: looked at once, at the end.
        test_paired: chosen minus second on the test part, which had no say in the choice.
        n_users: users with test items.
        notes: what was left out, and why.
    """

    source: str
    budget: float
    seconds: float
    metric: str
    tries: list[Try]
    share: float
    chosen: Recommender
    ended: bool
    second: str | None
    paired: Paired | None
    chance: Mapping[str, float]
    settings: tuple[str, ...]
    settings_paired: Paired | None
    test: Mapping[str, Mapping[str, Interval]]
    test_paired: Paired | None
    n_users: int
    notes: list[str]


def setting_text(run: Run) -> str:
    """What a search varies in a run, in words.

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
