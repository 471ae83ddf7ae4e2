"""From the names of models to the runs that validation chooses from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

from taurec.baselines import BASELINES
from taurec.errors import UsageError, did_you_mean
from taurec.run import OF_TRAINED_MODELS, Run
from taurec.training.presets import GRIDS, resolve

Tune = Literal["all", "baselines", "none"]
BASELINES_ALWAYS = ("popularity", "itemknn", "ease", "ials")
"""Compared in every study, named or not."""


def candidates(label: str, tune: Tune, fields: Mapping[str, Any], tries: int | None = None) -> list[Run]:
    """The runs that validation chooses from; a value that was given is not varied.

    Args:
        label: a baseline by name, or ``backbone:loss``.
        tune: whose grids are tried.
        fields: run fields common to all models; what only trained models have is left out for baselines.
        tries: maximum number of points of a grid, spread evenly over it; None takes all.
    Raises: UsageError for an unknown name.

    >>> [run.loss.settings["tau"] for run in candidates("mf:sl", "all", {})]
    [0.05, 0.1, 0.2]
    >>> [run.loss.settings["tau"] for run in candidates("mf:sl", "all", {}, tries=1)]
    [0.1]
    """
    if ":" in label:
        backbone, loss = label.split(":", 1)
        base: dict[str, Any] = {"backbone": backbone, "loss": loss, **fields}
        named = set(fields) | {
            f"{part}.{key}" for part, keys in dict(fields.get("settings") or {}).items() for key in keys
        }
        grid = {k: v for k, v in GRIDS.get(loss, {}).items() if k not in named} if tune == "all" else {}
        points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        return [resolve(**_with(base, point)) for point in evenly(points, tries)]
    if label not in BASELINES:
        raise UsageError(f"unknown model {label!r}{did_you_mean(label, BASELINES)}, or backbone:loss such as mf:bsl")
    settings: Sequence[Mapping[str, Any]] = getattr(BASELINES[label], "GRID", ({},)) if tune != "none" else ({},)
    allowed = {k: v for k, v in fields.items() if k in Run.model_fields and k not in OF_TRAINED_MODELS}
    return [resolve(model=label, settings={"model": dict(point)}, **allowed) for point in evenly(settings, tries)]


def evenly(points: Sequence[Any], most: int | None) -> list[Any]:
    """At most ``most`` entries of a sequence, from the middles of equal stretches of it.

    >>> evenly("abcdefg", 3), evenly("ab", 3), evenly("abc", 1)
    (['b', 'd', 'f'], ['a', 'b'], ['b'])
    """
    n = len(points)
    if most is None or n <= most:
        return list(points)
    return [points[(2 * i + 1) * n // (2 * most)] for i in range(most)]


def _with(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Run fields with a grid point merged in; ``loss.tau`` sets one value of a part."""
    merged = dict(base)
    nested = {k: dict(v) for k, v in dict(base.get("settings") or {}).items()}
    for key, value in point.items():
        if "." in key:
            part, name = key.split(".")
            nested.setdefault(part, {})[name] = value
        else:
            merged[key] = value
    return {**merged, "settings": nested}
