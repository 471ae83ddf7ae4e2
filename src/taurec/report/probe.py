"""A search within a given time as tables and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from taurec.report.comparison import LEVEL
from taurec.report.tables import count, metric_table, number, seconds, table

if TYPE_CHECKING:
    from taurec.evaluation.significance import Paired
    from taurec.studies.search import Probe, Try

STAGES = {"baseline": "baseline", "probe": "rounds", "whole": "whole"}
SHOWN = 12
"""Settings in the table; all of them are in the JSON document."""


def probe_tables(found: Probe) -> list[Table]:
    """What was tried, the best of each stage first, and the chosen model on the test part."""
    tables = [_tried(found)]
    label = found.chosen.run.label
    if label in found.test:
        tables.append(metric_table(found.test[label], f"{label} on the test part, {count(found.n_users, 'user')}"))
    return tables


def probe_words(found: Probe) -> list[str]:
    """What was chosen, how sure that is, and what was left out."""
    lines = [_chosen(found), *_model(found), *_setting(found), *_on_test(found), _time(found)]
    return lines + [f"Note: {note}." for note in found.notes]


def versus_words(first: str, second: str, metric: str, paired: Paired, where: str) -> str:
    """One sentence on a difference: its size, its interval, and whether it is told from chance.

    >>> from taurec.evaluation.significance import Interval, Paired
    >>> versus_words("ease", "mf:sl", "ndcg@20", Paired(Interval(0.0123, 0.01, 0.0146), 0.001, 50), "on test")
    'ease is ahead of mf:sl on test by 0.0123 ndcg@20 (95 % interval 0.0100 to 0.0146, p = 0.001).'
    """
    d = paired.difference
    low, high = d.low, d.high
    if paired.p_value < LEVEL and d.mean < 0 and low is not None and high is not None:
        low, high = -high, -low  # of how far it is behind
    between = "" if low is None or high is None else f"95 % interval {number(low)} to {number(high)}, "
    if paired.p_value >= LEVEL:
        size = f"{'+' if d.mean >= 0 else '-'}{number(abs(d.mean))}"
        return f"{first} and {second} are not told apart {where}: {size} {metric} ({between}p = {paired.p_value:.2g})."
    way = "ahead of" if d.mean > 0 else "behind"
    return f"{first} is {way} {second} {where} by {number(abs(d.mean))} {metric} ({between}p = {paired.p_value:.2g})."


def _tried(found: Probe) -> Table:
    ranked = sorted(found.tries, key=lambda t: (-_ORDER[t.stage], -(t.valid if t.valid is not None else -1.0)))
    whole = [t for t in ranked if t.stage == "whole"]
    baselines = best_of_each([t for t in ranked if t.stage == "baseline"])
    rounds = [t for t in ranked if t.stage == "probe"][: max(3, SHOWN - len(whole) - len(baselines))]
    rows = [
        [
            t.label,
            t.setting,
            STAGES[t.stage],
            "-" if t.valid is None else number(t.valid),
            t.epochs or "-",
            seconds(t.seconds),
        ]
        for t in (*whole, *baselines, *rounds)
    ]
    title = f"{found.source}: {count(len(found.tries), 'setting')} tried, the best of them by validation"
    heads = ["model", "setting", "part", found.metric, "epochs", "time"]
    right = [found.metric, "epochs", "time"]
    return table(heads, rows, title=title, right=right, whole=["model"], strong=[_place(found, whole, baselines)])


_ORDER = {"probe": 0, "baseline": 1, "whole": 2}


def _place(found: Probe, whole: list[Try], baselines: list[Try]) -> int:
    """The row of the chosen model."""
    run = found.chosen.run
    return next(
        (n for n, t in enumerate([*whole, *baselines]) if t.run.label == run.label and _same(t, found)),
        0,
    )


def _same(tried: Try, found: Probe) -> bool:
    best = found.chosen.best
    return best is not None and tried.valid == best.metrics[found.metric]


def best_of_each(tries: list[Try]) -> list[Try]:
    """The best setting of each model, the best model first."""
    best: dict[str, Try] = {}
    for t in sorted(tries, key=lambda t: -(t.valid if t.valid is not None else -1.0)):
        best.setdefault(t.label, t)
    return list(best.values())


def _chosen(found: Probe) -> str:
    run = found.chosen.run
    setting = next((t.setting for t in found.tries if t.run.label == run.label and _same(t, found)), "")
    said = f"Chosen for this log: {run.label}{f' with {setting}' if setting else ''}"
    if run.model is not None:
        if any(t.stage == "whole" for t in found.tries):
            return f"{said}, a baseline; no trained model was better on validation within this time."
        return f"{said}, a baseline; there was no time to train a model on the whole log. Give more."
    return f"{said}." if found.ended else f"{said}; its training was ended by the clock, more time may win more."


def _model(found: Probe) -> list[str]:
    if found.second is None or found.paired is None:
        return []
    label = found.chosen.run.label
    said = versus_words(label, found.second, found.metric, found.paired, "on validation")
    share = f"{label} is the best in {found.chance[label]:.0%} of resamples of the users"
    return [f"{said} {share}; the same pairs chose it, which favours it."]


def _setting(found: Probe) -> list[str]:
    if len(found.settings) < 2:
        return []
    first, second = found.settings
    if found.settings_paired is None:
        return [f"Of the trained settings {first} came first in the rounds, {second} second."]
    return [
        f"Of the trained settings, after equal times: "
        f"{versus_words(first, second, found.metric, found.settings_paired, 'on validation')}"
    ]


def _on_test(found: Probe) -> list[str]:
    if found.second is None or found.test_paired is None:
        return []
    label, said = found.chosen.run.label, "on the test part (which had no say in the choice)"
    lines = [versus_words(label, found.second, found.metric, found.test_paired, said)]
    if found.chosen.run.model is None and found.test_paired.p_value >= LEVEL and ":" not in found.second:
        lines.append(f"{found.second} is the simpler choice and costs less.")
    return lines


def _time(found: Probe) -> str:
    stages = {stage: [t for t in found.tries if t.stage == stage] for stage in STAGES}
    spent = [
        f"{count(len(tries), 'setting')} {what} {seconds(sum(t.seconds for t in tries))}"
        for what, tries in (
            ("of baselines", stages["baseline"]),
            ("in the rounds", stages["probe"]),
            ("on the whole log", stages["whole"]),
        )
        if tries
    ]
    users = "" if found.share == 1 else f" In the rounds a drawn {found.share:.0%} of the users took part."
    return f"{seconds(found.seconds)} of {seconds(found.budget)} were used: {', '.join(spent)}.{users}"
