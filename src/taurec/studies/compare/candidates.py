"""The runs from which validation chooses, for each model of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

from taurec.backbones import BACKBONES
from taurec.baselines import BASELINES
from taurec.errors import UsageError
from taurec.losses import LOSSES, loss_class
from taurec.run import OF_TRAINED_MODELS, Run
from taurec.training.labels import fields_of, parts_of_text
from taurec.training.presets import baseline_grid, resolve, takes_training_fields

Tune = Literal["all", "baselines", "none"]
CLOSED_FORMS = ("ease", "ease-normalised", "slim-local")
"""EASE, that of its relatives that is ahead of it on the logs tried, and that which needs no matrix of all items."""
BASELINES_ALWAYS = ("popularity", "itemknn", *CLOSED_FORMS, "ials")
"""Compared in every study, named or not."""


def candidates(model: object, tune: Tune, fields: Mapping[str, Any], tries: int | None = None) -> list[Run]:
    """The runs that validation chooses from; a value that was given is not varied.

    Args:
        model: as for :func:`parts_of`.
        tune: the models whose grids are used.
        fields: run fields common to all models; fields that only trained models have are left out for baselines.
        tries: maximum number of points of a grid, spread evenly over it; None takes all.
    Raises: UsageError for an unknown name.

    >>> [run.loss.settings["tau"] for run in candidates("mf:sl", "all", {})]
    [0.05, 0.1, 0.2]
    >>> [run.loss.settings["tau"] for run in candidates("mf:sl", "all", {}, tries=1)]
    [0.1]
    """
    parts = parts_of(model)
    allowed = {k: v for k, v in fields.items() if k in Run.model_fields and k not in OF_TRAINED_MODELS}
    if parts_of_text(parts.get("model")):
        return [resolve(**{**(fields if takes_training_fields(parts["model"]) else allowed), **parts})]
    if "model" in parts:
        name, own = BASELINES.read(parts["model"])
        choice = {"name": name, "settings": own}
        grid = baseline_grid(name) if tune != "none" else ({},)
        points = list({json.dumps({**point, **own}): {**point, **own} for point in grid}.values())
        return [resolve(model=choice, settings={"model": point}, **allowed) for point in evenly(points, tries)]
    base: dict[str, Any] = {**fields, **parts}
    name, own = LOSSES.read(base.get("loss", "sl"))
    named = {*base, *(f"loss.{key}" for key in own)}
    named |= {f"{part}.{key}" for part, keys in dict(base.get("settings") or {}).items() for key in keys}
    varied = {k: v for k, v in loss_class(name).grid().items() if k not in named} if tune == "all" else {}
    product_points = [dict(zip(varied, values, strict=True)) for values in product(*varied.values())]
    return [resolve(**_with(base, point)) for point in evenly(product_points, tries)]


def parts_of(model: object) -> dict[str, Any]:
    """The run fields of a model of a comparison.

    Args:
        model: a baseline by name, ``backbone:loss``, ``blend:A+B`` of two of these, or any of them with
            ``module:Class`` for a name; a class or an object of a baseline, of a loss (on ``mf``), or a class of a
            backbone (with ``sl``); a pair of backbone and loss; or a mapping of run fields.
    Raises: UsageError for anything else.

    >>> parts_of("ease"), parts_of("mf:bsl"), parts_of("mf:my_module:MyLoss")
    ({'model': 'ease'}, {'backbone': 'mf', 'loss': 'bsl'}, {'backbone': 'mf', 'loss': 'my_module:MyLoss'})
    """
    if isinstance(model, str):
        return fields_of(model)
    if isinstance(model, Mapping):
        return dict(model)
    if isinstance(model, tuple) and len(model) == 2:
        return {"backbone": model[0], "loss": model[1]}
    if BASELINES.accepts(model):
        return {"model": model}
    if BACKBONES.accepts(model):
        return {"backbone": model, "loss": "sl"}
    if LOSSES.accepts(model):
        return {"backbone": "mf", "loss": model}
    raise UsageError(
        f"{model!r} is not a model; give a name, a baseline, a loss, a backbone, or a (backbone, loss) pair"
    )


def label_of(model: object, run: Run) -> str:
    """The name of a model in tables: a text as it was given, unless it names a class by its module.

    A mapping that names negatives or an order is labelled with them: ``mf:sl in-batch``.
    """
    if isinstance(model, Mapping):
        named = {"negatives": run.negatives, "order": run.order}
        return " ".join([run.label, *(part.label for name, part in named.items() if part and model.get(name))])
    choices = [part for one in (run, *run.parts) for part in ([one.model] if one.model else [one.backbone, one.loss])]
    return model if isinstance(model, str) and not any(":" in part.name for part in choices) else run.label


def halves(model: object, tune: Tune, fields: Mapping[str, Any], tries: int | None = None) -> list[list[Run]]:
    """The runs from which validation chooses each part of a model made of others, alone; empty for other models.

    Only parts that are named by a text have grids; of those given as runs or objects every value is given.

    >>> [[run.text for run in runs] for runs in halves("blend:popularity+mf:sl", "baselines", {})]
    [['popularity'], ['mf(dim=64, init=xavier_uniform):sl(scale_by_tau=False, tau=0.1)']]
    """
    parts = parts_of(model)
    nested = {part: own for part, own in dict(parts.get("settings") or {}).items() if part != "model"}
    common = {**fields, **{k: v for k, v in parts.items() if k not in ("model", "settings")}}
    given = {**common, **({"settings": nested} if nested else {})}
    return [candidates(label, tune, given, tries) for label in parts_of_text(parts.get("model"))]


def note_if_untuned(label: str, runs: Sequence[Run], tune: Tune, tries: int | None) -> str:
    """A note if all grids were requested but nothing of a trained model was varied, or an empty text."""
    if tune != "all" or len(runs) > 1 or runs[0].model is not None or tries == 1:
        return ""
    return f"{label} was compared with one setting: its loss declares no grid, or every value of it was given."


def evenly(points: Sequence[Any], most: int | None) -> list[Any]:
    """At most ``most`` entries of a sequence, evenly spaced: the middles of equal stretches of it.

    >>> evenly("abcdefg", 3), evenly("ab", 3), evenly("abc", 1)
    (['b', 'd', 'f'], ['a', 'b'], ['b'])
    """
    n = len(points)
    if most is None or n <= most:
        return list(points)
    return [points[(2 * i + 1) * n // (2 * most)] for i in range(most)]


def _with(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Run fields with a grid point merged in; ``loss.tau`` sets one value of a part."""
    nested = {part: dict(own) for part, own in dict(base.get("settings") or {}).items()}
    for key in (key for key in point if "." in key):
        part, name = key.split(".")
        nested.setdefault(part, {})[name] = point[key]
    return {**base, **{key: value for key, value in point.items() if "." not in key}, "settings": nested}
