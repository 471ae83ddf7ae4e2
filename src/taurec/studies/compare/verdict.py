"""A comparison in sentences: which model is ahead and how certain that is, and when a baseline is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.studies.compare.front import on_front
from taurec.studies.compare.tables import mark
from taurec.studies.words import LEVEL, count, difference_words, number, seconds

if TYPE_CHECKING:
    from taurec.studies.compare.results import Comparison


def verdict(found: Comparison) -> list[str]:
    """The findings, one or two sentences each, the most important first."""
    lines = [
        best_on_test(found),
        _kinds(found),
        _model_to_use(found),
        _front(found),
        _time(found),
        _seeds(found),
        *found.notes,
    ]
    return [line for line in lines if line]


def best_on_test(found: Comparison) -> str:
    """The best model on the test part, which models the test does not separate from it, and how settings were
    chosen."""
    best = found.best
    equal = [row.label for row in found.rows if mark(found, row) == "="]
    said = f"Best by {found.metric}: {best.label}"
    if equal:
        said += f"; not significantly different (paired test, p >= {LEVEL:g}, Holm): {', '.join(equal)}"
    elif len(found.rows) > 1:
        said += f", ahead of every other model (paired test, p < {LEVEL:g}, Holm)"
    tuned = [row.label for row in found.rows if row.tried > 1]
    settings = f"Settings of {', '.join(tuned)} and all epochs" if tuned else "Epochs"
    if tuned and len(tuned) == sum(row.has_settings for row in found.rows):
        settings = "Settings and epochs"
    return f"{said}. {settings} were chosen on validation; ± is half of the 95 % bootstrap interval over users."


def _kinds(found: Comparison) -> str:
    """The trained model against the baseline, and which of them to prefer."""
    if found.versus is None:
        return ""
    v = found.versus
    trained, baseline = found.row(v.trained), found.row(v.baseline)
    said = difference_words(v.trained, v.baseline, found.metric, v.paired, "on test")
    cost = f"one fit takes {seconds(trained.seconds)} and {seconds(baseline.seconds)}"
    if v.paired.p_value >= LEVEL:
        cheaper = v.baseline if baseline.seconds <= trained.seconds else v.trained
        prefer = f"{cheaper} is the better choice as the cheaper one ({cost})"
    elif v.paired.difference.mean > 0:
        prefer = f"training pays here, at its price ({cost})"
    else:
        prefer = f"{v.baseline} is the better choice on this log ({cost})"
    return f"Best trained model against best baseline, both by validation: {said} So {prefer}."


def _model_to_use(found: Comparison) -> str:
    """The model that validation chose, where it is not the one with the highest test value."""
    label = found.chosen_label
    if label == found.best.label:
        return ""
    p = found.row(label).p_value
    difference = "" if p is None else f" (p = {p:.2g} between the two on test)"
    return f"Validation prefers {label}, so that is the one to use: it was chosen without the test part{difference}."


def _front(found: Comparison) -> str:
    fit = on_front(found.rows, found.metric)
    tuned = on_front(found.rows, found.metric, ("tune_seconds",))
    memory = on_front(found.rows, found.metric, ("seconds", "peak_mb"))
    said = f"No other model is both better and cheaper, by {found.metric} and seconds of one fit: {', '.join(fit)}"
    said += "; the same with tuning counted" if set(tuned) == set(fit) else f"; with tuning counted: {', '.join(tuned)}"
    more = [label for label in memory if label not in fit]
    return said + (f"; with memory as a cost also: {', '.join(more)}." if more else ".")


def _time(found: Comparison) -> str:
    """Settings tried of each model, and the time for them."""
    seeds = f" and {count(found.seeds, 'seed')}" if found.seeds > 1 else ""
    spent = [f"{row.label} {row.tried} in {seconds(row.tune_seconds)}" for row in found.rows]
    return f"Settings tried and time for all of them{seeds}: {', '.join(spent)}."


def _seeds(found: Comparison) -> str:
    spreads = [(row.spread[found.metric].std, row.label) for row in found.rows if found.metric in row.spread]
    known = [(std, label) for std, label in spreads if std is not None]
    if not known:
        return ""
    std, label = max(known)
    return (
        f"Over {count(found.seeds, 'seed')} the standard deviation of {found.metric} is at most {number(std)} "
        f"({label}); it is not in the ±."
    )
