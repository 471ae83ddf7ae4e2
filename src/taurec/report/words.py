"""A comparison in words: who is ahead and how sure, what it costs, and when a baseline is the better choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.report.comparison import LEVEL, verdict
from taurec.report.probe import versus_words
from taurec.report.tables import count, number, seconds
from taurec.studies.compare.front import on_front

if TYPE_CHECKING:
    from taurec.studies.compare import Comparison


def summary(found: Comparison) -> list[str]:
    """The findings of a comparison, one sentence or two each, the most important first."""
    lines = [verdict(found), *_kinds(found), _use(found), _front(found), _budget(found), *_seeds(found), *found.notes]
    return [line for line in lines if line]


def _kinds(found: Comparison) -> list[str]:
    """The trained model against the baseline, and which of them to prefer."""
    if found.versus is None:
        return []
    v = found.versus
    trained, baseline = found.row(v.trained), found.row(v.baseline)
    said = versus_words(v.trained, v.baseline, found.metric, v.paired, "on test")
    cost = f"one fit takes {seconds(trained.seconds)} and {seconds(baseline.seconds)}"
    if v.paired.p_value >= LEVEL:
        cheaper = v.baseline if baseline.seconds <= trained.seconds else v.trained
        judged = f"{cheaper} is the better choice as the cheaper one ({cost})"
    elif v.paired.difference.mean > 0:
        judged = f"training pays here, at its price ({cost})"
    else:
        judged = f"{v.baseline} is the better choice on this log ({cost})"
    return [f"Best trained model against best baseline, both by validation: {said} So {judged}."]


def _use(found: Comparison) -> str:
    """The model to use, which validation chose, where it is not the one with the highest test value."""
    label = found.chosen.run.label
    if label == found.best.label:
        return ""
    p = found.row(label).p_value
    told = "" if p is None else f" (p = {p:.2g} between the two on test)"
    return f"Validation prefers {label}, so that is the one to use: it was chosen without the test part{told}."


def _front(found: Comparison) -> str:
    fit = on_front(found.rows, found.metric)
    tuned = on_front(found.rows, found.metric, ("tune_seconds",))
    memory = on_front(found.rows, found.metric, ("seconds", "peak_mb"))
    said = f"No other model is both better and cheaper, by {found.metric} and seconds of one fit: {', '.join(fit)}"
    said += "; the same with tuning counted" if set(tuned) == set(fit) else f"; with tuning counted: {', '.join(tuned)}"
    more = [label for label in memory if label not in fit]
    return said + (f"; with memory as a cost also: {', '.join(more)}." if more else ".")


def _budget(found: Comparison) -> str:
    """What each model was allowed: settings tried and seconds spent on them."""
    spent = [f"{row.label} {row.tried} in {seconds(row.tune_seconds)}" for row in found.rows]
    return f"Settings tried and time for all of them{_and_seeds(found)}: {', '.join(spent)}."


def _and_seeds(found: Comparison) -> str:
    return f" and {count(found.seeds, 'seed')}" if found.seeds > 1 else ""


def _seeds(found: Comparison) -> list[str]:
    spreads = [(row.spread[found.metric].std, row.label) for row in found.rows if found.metric in row.spread]
    known = [(std, label) for std, label in spreads if std is not None]
    if not known:
        return []
    std, label = max(known)
    return [
        f"Over {count(found.seeds, 'seed')} the standard deviation of {found.metric} is at most {number(std)} "
        f"({label}); it is not in the ±."
    ]
