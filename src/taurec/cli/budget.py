"""A budget of time as people write it, and ``taurec compare --budget``: what fits this log within it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.search import Probe

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|m|s)(?:in|ours?|inutes?|ec|econds?)?\s*")


def parse_budget(text: str) -> float:
    """Seconds of a duration.

    >>> parse_budget("10m"), parse_budget("1h30m"), parse_budget("90s"), parse_budget("1.5 hours"), parse_budget("45")
    (600.0, 5400.0, 90.0, 5400.0, 45.0)
    """
    plain = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return float(plain)
    parts = _PART.findall(plain)
    if not parts or _PART.sub("", plain) or len({unit for _, unit in parts}) < len(parts):
        raise UsageError(f"--budget {text!r} is no duration; write for example 90s, 10m or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def search(
    source: str,
    seconds: float,
    started: float,
    models: Sequence[str],
    metrics: Sequence[str],
    fields: Mapping[str, Any],
    output: Output,
) -> Probe:
    """Search within the time, which counts from the start of the command, with progress."""
    from taurec.cli.output import progress_line
    from taurec.studies.search import probe

    with progress_line(output) as say:
        return probe(source, seconds, models, metrics=metrics, fields=fields, on_progress=say, started=started)


def show(found: Probe, fields: Mapping[str, Any], output: Output) -> None:
    """A search for people: what was tried, what was chosen and how sure, and the command that makes it."""
    from taurec.cli.train_command import train_command
    from taurec.report.probe import probe_tables, probe_words

    for part in probe_tables(found):
        output.say(part)
        output.say()
    for line in probe_words(found):
        output.say(line)
    output.say("\nThe command that makes it:")
    output.command(train_command(found.chosen.run, None if found.ended else len(found.chosen.records), fields))


def document(found: Probe, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A search as plain values."""
    from taurec.cli.train_command import train_command
    from taurec.report.probe import probe_words

    run = found.chosen.run
    return {
        "source": found.source,
        "split": found.chosen.split.how,
        "budget": found.budget,
        "seconds": found.seconds,
        "chosen_by": found.metric,
        "share_of_users": found.share,
        "tries": [
            {**{name: getattr(t, name) for name in _TRY_FIELDS}, "run": t.run.model_dump(mode="json")}
            for t in found.tries
        ],
        "chosen": run.model_dump(mode="json"),
        "ended": found.ended,
        "second": found.second,
        "chance_of_best": dict(found.chance),
        "valid_difference": _paired(found.paired),
        "settings": list(found.settings),
        "settings_difference": _paired(found.settings_paired),
        "test": {label: {name: vars(v) for name, v in values.items()} for label, values in found.test.items()},
        "test_difference": _paired(found.test_paired),
        "users": found.n_users,
        "notes": found.notes,
        "words": probe_words(found),
        "command": train_command(run, None if found.ended else len(found.chosen.records), fields),
    }


_TRY_FIELDS = ("label", "setting", "stage", "valid", "epochs", "seconds", "ended")


def _paired(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"difference": vars(found.difference), "p_value": found.p_value, "users": found.n_users}
