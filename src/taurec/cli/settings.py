"""Fields of a run from options and ``--set KEY=VALUE``; an unknown key is refused with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from taurec.cli.options import FIELDS
from taurec.errors import UsageError, did_you_mean

PARTS = ("loss", "backbone", "negatives", "order", "model")
_NOT_SET = frozenset({"source", "reading", "data_hash", "found", *PARTS})


def run_fields(assignments: Iterable[str] | None = None, **options: Any) -> dict[str, Any]:
    """Arguments of :func:`taurec.training.presets.resolve` from named options and ``--set`` texts.

    Args:
        assignments: ``loss.tau_neg=0.1`` sets one value of a part, ``lr=0.01`` a field of the run.
        options: run fields; None where the option was not given.
    Raises: UsageError for a text without ``=``, an unknown part or field, a key given twice, and for
        training options given with a baseline, which would have no effect.

    >>> run_fields(["loss.tau_neg=0.1", "l2=0.01"], loss="bsl", lr=None)
    {'loss': 'bsl', 'l2': '0.01', 'settings': {'loss': {'tau_neg': '0.1'}}}
    """
    fields = {name: value for name, value in options.items() if value is not None}
    nested: dict[str, dict[str, str]] = {}
    for text in assignments or ():
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"--set {text!r} has no value; write KEY=VALUE, for example --set loss.tau_neg=0.1")
        part, dot, name = key.partition(".")
        _check_known(key, part if dot else None)
        target, name = (nested.setdefault(part, {}), name) if dot else (fields, key)
        if name in target:
            raise UsageError(f"{key} is given twice; give it once")
        target[name] = value.strip()
    if nested:
        fields["settings"] = nested
    _refuse_without_effect(fields, nested)
    return fields


def _check_known(key: str, part: str | None) -> None:
    from taurec.run import Run

    accepted = [name for name in Run.model_fields if name not in _NOT_SET]
    if part is not None and part not in PARTS:
        raise UsageError(f"--set {key}: unknown part {part!r}{did_you_mean(part, PARTS)}")
    if key in PARTS:
        raise UsageError(f"--set {key}: name a setting of it, as in {key}.NAME=VALUE, or choose it with --{key}")
    if part is None and key not in accepted:
        from taurec.training.presets import REGISTRIES

        owners = [kind for kind, known in REGISTRIES.items() if any(key in known.settings(name) for name in known)]
        if owners:
            raise UsageError(
                f"--set {key}: a run has no field {key!r}, but parts have such a setting; write --set "
                f"{' or --set '.join(f'{kind}.{key}=VALUE' for kind in owners)}"
            )
        parts = [f"{name}.NAME" for name in PARTS]
        raise UsageError(f"--set {key}: a run has no field {key!r}{did_you_mean(key, [*accepted, *parts])}")


def _refuse_without_effect(fields: Mapping[str, Any], nested: Mapping[str, Any]) -> None:
    if "model" not in fields:
        if "model" in nested:
            raise UsageError("--set model.*: no baseline is chosen; add --model, for example --model ease")
        return
    from taurec.run import OF_TRAINED_MODELS
    from taurec.training.presets import takes_training_fields

    if takes_training_fields(fields["model"]):
        return
    idle = [
        f"--{name.replace('_', '-')}" if name in FIELDS else f"--set {name}"
        for name in fields
        if name in OF_TRAINED_MODELS
    ]
    idle += [f"--set {part}.{key}" for part in nested if part != "model" for key in nested[part]]
    if idle:
        raise UsageError(
            f"--model {fields['model']} is not trained, so {', '.join(idle)} would have no effect; "
            f"drop {'it' if len(idle) == 1 else 'them'}, or drop --model"
        )


def split_names(values: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """Split ids or names of repeatable options at commas; a known id that contains a comma stays whole.

    >>> split_names(["a,b", "c,d"], known=["c,d"])
    ['a', 'b', 'c,d']
    """
    whole = set(known)
    parts = [part.strip() for value in values for part in ([value] if value in whole else value.split(","))]
    return [part for part in parts if part]
