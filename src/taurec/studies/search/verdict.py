"""A search in sentences: what was chosen, how certain that is, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taurec.studies.words import LEVEL, count, difference_words, seconds

if TYPE_CHECKING:
    from taurec.studies.search.results import SearchResult, Trial

PHASES = {"baseline": "of baselines", "probe": "in the rounds", "whole": "on the whole log"}


def verdict(found: SearchResult) -> list[str]:
    """The choice first, then the evidence for it, the time spent, and the notes."""
    lines = [_chosen(found), *_model(found), *_setting(found), *_on_test(found), _time(found)]
    return lines + [f"Note: {note}." for note in found.notes]


def by_valid(trials: Sequence[Trial]) -> list[Trial]:
    """The best on validation first; failed ones last."""
    return sorted(trials, key=lambda t: -(t.valid if t.valid is not None else -1.0))


def best_of_each(trials: Sequence[Trial]) -> list[Trial]:
    """The best setting of each model, the best model first."""
    best: dict[str, Trial] = {}
    for t in by_valid(trials):
        best.setdefault(t.label, t)
    return list(best.values())


def is_chosen(trial: Trial, found: SearchResult) -> bool:
    """Whether a trial is that of the chosen model."""
    best = found.chosen.best
    same = best is not None and trial.valid == best.metrics[found.metric]
    return same and trial.run.label == found.chosen.run.label


def _chosen(found: SearchResult) -> str:
    run = found.chosen.run
    setting = next((t.setting for t in found.trials if is_chosen(t, found)), "")
    said = f"Chosen for this log: {run.label}{f' with {setting}' if setting else ''}"
    if run.model is not None:
        if any(t.stage == "whole" for t in found.trials):
            return f"{said}, a baseline; no trained model was better on validation within this time."
        return f"{said}, a baseline; there was no time to train a model on the whole log. Allow more time."
    return f"{said}." if found.ended else f"{said}; its training was stopped by the budget, more time may improve it."


def _model(found: SearchResult) -> list[str]:
    if found.second is None or found.paired is None:
        return []
    label = found.chosen.run.label
    said = difference_words(label, found.second, found.metric, found.paired, "on validation")
    share = f"{label} is the best in {found.chance[label]:.0%} of resamples of the users"
    return [f"{said} {share}; the same pairs chose it, which favours it."]


def _setting(found: SearchResult) -> list[str]:
    if len(found.settings_tested) < 2:
        return []
    first, second = found.settings_tested
    if found.settings_paired is None:
        return [f"Of the trained settings {first} came first in the rounds, {second} second."]
    said = difference_words(first, second, found.metric, found.settings_paired, "on validation")
    return [f"Of the trained settings, after equal times: {said}"]


def _on_test(found: SearchResult) -> list[str]:
    if found.second is None or found.test_paired is None:
        return []
    label, where = found.chosen.run.label, "on the test part (which was not used to choose)"
    lines = [difference_words(label, found.second, found.metric, found.test_paired, where)]
    if found.chosen.run.model is None and found.test_paired.p_value >= LEVEL and ":" not in found.second:
        lines.append(f"{found.second} is the simpler choice and costs less.")
    return lines


def _time(found: SearchResult) -> str:
    spent = []
    for stage, where in PHASES.items():
        trials = [t for t in found.trials if t.stage == stage]
        if trials:
            spent.append(f"{count(len(trials), 'setting')} {where} {seconds(sum(t.seconds for t in trials))}")
    users = "" if found.share == 1 else f" In the rounds a drawn {found.share:.0%} of the users took part."
    return f"{seconds(found.seconds)} of {seconds(found.budget)} were used: {', '.join(spent)}.{users}"
