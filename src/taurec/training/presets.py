"""Sensible settings for each loss, and the completion of a run with every default written out.

The presets were chosen on validation data of ``debian`` and ``ml-100k`` and are fixed; a user's own
value always wins. A resolved run names every setting, so a later change of a default cannot alter it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from taurec.backbones import BACKBONES
from taurec.baselines import BASELINES
from taurec.data.interactions import Interactions
from taurec.errors import UsageError, did_you_mean
from taurec.evaluation.metrics import parse as parse_metric
from taurec.kernels import NAMES as KERNELS
from taurec.losses import LOSSES
from taurec.registry import Registry
from taurec.run import Choice, Run
from taurec.sampling import NEGATIVES, ORDERS

COSINE: Mapping[str, Any] = {"train_score": "cosine", "rank_score": "cosine"}
DOT: Mapping[str, Any] = {"train_score": "dot", "rank_score": "dot"}

POINTWISE: Mapping[str, Any] = {**DOT, "negatives": "uniform:4:true", "lr": 2e-3, "l2": 3e-3}
PAIRWISE: Mapping[str, Any] = {**DOT, "negatives": "uniform:1:true", "lr": 2e-3, "l2": 3e-3}

PRESETS: dict[str, Mapping[str, Any]] = {"bpr": PAIRWISE, "hinge": PAIRWISE, "bce": POINTWISE, "mse": POINTWISE}
"""Run fields by loss, where they differ from :data:`FAMILY`."""

FAMILY: Mapping[str, Any] = {**COSINE, "negatives": "uniform:256", "lr": 1e-2}
"""Run fields of the softmax family and of the margin losses."""

GRIDS: dict[str, dict[str, list[Any]]] = {
    "bpr": {"l2": [1e-4, 1e-3, 1e-2]},
    "hinge": {"l2": [1e-4, 1e-3, 1e-2]},
    "bce": {"l2": [1e-4, 1e-3, 1e-2]},
    "mse": {"l2": [1e-4, 1e-3, 1e-2]},
    "sl": {"loss.tau": [0.05, 0.1, 0.2]},
    "ssm": {"loss.tau": [0.05, 0.1, 0.2]},
    "infonce": {"loss.tau": [0.05, 0.1, 0.2]},
    "bsl": {"loss.tau_neg": [0.05, 0.1, 0.2], "loss.tau_pos": [0.2, 1.0]},
    "ccl": {"loss.margin": [0.2, 0.4, 0.6, 0.8]},
    "mml": {"loss.neg_weight": [20.0, 50.0, 200.0]},
}
"""What a comparison with ``tune="all"`` tries on validation, by loss: dotted keys are settings of a part."""


def resolve(**fields: Any) -> Run:
    """A run with every setting named, from a few fields as people write them.

    Registry fields (``model``, ``backbone``, ``loss``, ``negatives``, ``order``) take texts such as
    ``uniform:800`` or ``{"name": ..., "settings": {...}}``; ``settings={"loss": {"tau_neg": 0.1}}``
    sets single values beside them. What is not given comes from the loss's preset, then the default.
    Every entry is built once for trial, so a value out of range is refused here, before data is read.

    >>> resolve(loss="bsl", settings={"loss": {"tau_neg": 0.2}}).order.text
    'user-blocks(per_user=4)'
    """
    nested: dict[str, dict[str, Any]] = {k: dict(v) for k, v in (fields.pop("settings", None) or {}).items()}
    for kind in nested:
        if kind not in _REGISTRIES:
            raise UsageError(f"no part {kind!r} takes settings{did_you_mean(kind, _REGISTRIES)}")
    if fields.get("model") is not None:
        if set(nested) - {"model"}:
            raise UsageError(
                f"a baseline has no {', '.join(sorted(set(nested) - {'model'}))} to set; it takes model settings"
            )
        fields["model"] = _choice("model", fields["model"], nested)
        _check_names(fields)
        return Run.of(**fields)
    loss = _choice("loss", fields.get("loss", "sl"), nested)
    fields = {**FAMILY, **PRESETS.get(loss.name, {}), **fields, "loss": loss}
    fields["backbone"] = _choice("backbone", fields.get("backbone", "mf"), nested)
    fields["negatives"] = _choice("negatives", fields["negatives"], nested)
    groups = "group" in LOSSES.build(loss.name, given=loss.settings).needs
    order = fields.get("order") or ("user-blocks" if groups else "shuffled")
    fields["order"] = _choice("order", order, nested)
    _check_names(fields)
    return Run.of(**fields)


_REGISTRIES: dict[str, Registry[Any]] = {
    "model": BASELINES,
    "backbone": BACKBONES,
    "loss": LOSSES,
    "negatives": NEGATIVES,
    "order": ORDERS,
}


def _choice(kind: str, given: Any, nested: Mapping[str, Mapping[str, Any]]) -> Choice:
    """A registry entry with all its settings, defaults included."""
    registry = _REGISTRIES[kind]
    if isinstance(given, Mapping):
        given = Choice(**given)
    text, settings = (given.name, given.settings) if isinstance(given, Choice) else (str(given), {})
    name, settings = registry.parse(text, {**settings, **nested.get(kind, {})})
    for key, parameter in registry.settings(name).items():
        if key not in settings and parameter.default is not inspect.Parameter.empty:
            settings[key] = parameter.default
    seed = {"seed": 0} if kind in ("backbone", "model") else {}
    registry.build(name, *((_ONE_PAIR,) if kind == "backbone" else ()), given=settings, **seed)
    return Choice(name=name, settings=dict(sorted(settings.items())))


_ONE_PAIR = Interactions.from_pairs([0], [0])
"""The least log, on which a backbone is built for trial."""


def _check_names(fields: Mapping[str, Any]) -> None:
    kernel = fields.get("kernel", "auto")
    if kernel not in KERNELS:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(str(kernel), KERNELS)}")
    if "metric" in fields:
        parse_metric(fields["metric"])
