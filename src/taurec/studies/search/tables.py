"""The tables and figures of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taurec.studies.result import Cell, Column, Figure, Series, Table, Value
from taurec.studies.search.verdict import best_of_each, by_valid, is_chosen
from taurec.studies.words import count, number

if TYPE_CHECKING:
    from taurec.studies.search.results import SearchResult, Trial

SHOWN = 12
"""Settings in the table of a terminal; all of them are in the document and on the page."""

TRIED, TEST, CURVE = "What was tried", "On the test part", "Learning curve"
_STAGES = {"baseline": "baseline", "probe": "rounds", "whole": "whole"}


def best_trials(found: SearchResult) -> Table:
    """The best trials: models fitted to the whole log first, then baselines, then the rounds."""
    whole = by_valid([t for t in found.trials if t.stage == "whole"])
    baselines = best_of_each([t for t in found.trials if t.stage == "baseline"])
    rounds = by_valid([t for t in found.trials if t.stage == "probe"])
    shown = [*whole, *baselines, *rounds[: max(3, SHOWN - len(whole) - len(baselines))]]
    title = f"{found.source}: {count(len(found.trials), 'setting')} tried, the best of them by validation"
    chosen = [n for n, t in enumerate(shown) if t.stage != "probe" and is_chosen(t, found)]
    return _trials(title, shown, Column(found.metric, better="higher", spec=".4f"), strong=chosen[:1])


def all_trials(found: SearchResult) -> Table:
    """Every trial in the order of the work."""
    users = "" if found.share == 1 else f" Values of the rounds are those of {found.share:.0%} of the users."
    title = f"All {count(len(found.trials), 'setting')} in the order of the work"
    metric = Column(found.metric, better="higher", spec=".4f")
    return _trials(title, found.trials, metric, f"{found.metric} on validation.{users}", folded=True)


def models(found: SearchResult) -> Table:
    """The best setting of each model that was fitted to the whole log."""
    metric = Column(f"{found.metric} on validation", better="higher", spec=".4f")
    return _trials("Models fitted to the whole log, the best first", _whole(found), metric)


def on_test(found: SearchResult, label: str) -> Table:
    """The test metrics of a model."""
    rows: list[list[Cell]] = [[name, Value(v.mean, v.low, v.high)] for name, v in found.test[label].items()]
    title = f"{label} on the test part, {count(found.n_users, 'user')}"
    return Table(title, ["metric", Column("value", better="higher")], rows, section=TEST)


def figures(found: SearchResult) -> list[Figure]:
    """Quality against time, the test metric, and the learning curve of the chosen model."""
    return [_by_time(found), *_on_test(found), *_curve(found)]


def _trials(
    title: str, trials: list[Trial], metric: Column, note: str = "", strong: list[int] | None = None,
    folded: bool = False,
) -> Table:  # fmt: skip
    columns = [Column("model", whole=True), Column("setting"), Column("part"), metric, Column("epochs")]
    rows: list[list[Cell]] = [
        [
            t.label, t.setting, _STAGES[t.stage], "-" if t.valid is None else t.valid, t.epochs or "-", t.seconds,
            *([t.ended] if folded else []),
        ]
        for t in trials
    ]  # fmt: skip
    more = [Column("finished")] if folded else []
    columns += [Column("time", "s"), *more]
    return Table(title, columns, rows, note, strong or (), TRIED, folded)


def _whole(found: SearchResult) -> list[Trial]:
    return best_of_each([t for t in found.trials if t.stage != "probe" and t.valid is not None])


def _by_time(found: SearchResult) -> Figure:
    whole = _whole(found)
    points = [Series(t.label, [max(t.seconds, 1e-3)], [t.valid or 0.0]) for t in whole]
    caption = "Models fitted to the whole log, each with its best setting, and the seconds of that one fit."
    alt = f"The best is {whole[0].label} with {number(whole[0].valid or 0.0)}"
    y_label = f"{found.metric} on validation"
    return Figure("scatter", points, "seconds", y_label, caption, alt, log_x=True, section=TRIED)


def _on_test(found: SearchResult) -> list[Figure]:
    if not found.test:
        return []
    values = {label: metrics[found.metric] for label, metrics in found.test.items()}
    series = Series.of(found.metric, list(values), [Value(v.mean, v.low, v.high) for v in values.values()])
    alt = ", ".join(f"{label} {number(v.mean)}" for label, v in values.items())
    caption = f"Over {count(found.n_users, 'user')}, with 95 % bootstrap intervals; computed once, after the choice."
    return [Figure("interval", [series], f"{found.metric} on test", "", caption, alt, section=TEST)]


def _curve(found: SearchResult) -> list[Figure]:
    records = [r for r in found.chosen.records if found.metric in r.metrics]
    if len(records) < 2:
        return []
    values = [r.metrics[found.metric] for r in records]
    series = Series(found.chosen.run.label, [float(r.epoch) for r in records], values)
    best = max(records, key=lambda r: r.metrics[found.metric])
    alt = f"Best in epoch {best.epoch} of {len(records)}"
    label = f"{found.metric} on validation"
    return [Figure("line", [series], "epoch", label, "The chosen model after each epoch.", alt, section=CURVE)]
