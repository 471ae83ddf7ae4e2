"""Settings that nobody named, opened for validation to choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taurec.baselines.models import MODELS
from taurec.losses import LOSSES, loss_class
from taurec.run import Choice
from taurec.training.labels import fields_of, parts_of_text
from taurec.training.presets import AUTO, baseline_grid

Settings = Mapping[str, Mapping[str, Any]]


def opened(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Run fields in which every setting that has a short grid is ``auto``, unless it is given.

    These are the settings of a baseline that its grid varies, and the temperature of a loss; of a blend those of its
    halves.

    Args:
        fields: as for :func:`taurec.training.presets.resolve`.

    >>> opened({"model": "ease"})["settings"]
    {'model': {'l2': 'auto'}}
    >>> opened({"loss": "bsl", "settings": {"loss": {"tau_pos": 0.5}}})["settings"]
    {'loss': {'tau_neg': 'auto', 'tau_pos': 0.5}}
    >>> opened({"loss": "sl:0.3"})["settings"], opened({"model": "ease:50"})["settings"]
    ({'loss': {}}, {'model': {}})
    """
    settings: dict[str, dict[str, Any]] = {k: dict(v) for k, v in (fields.get("settings") or {}).items()}
    model = fields.get("model")
    if labels := parts_of_text(model):
        of_trained = {kind: own for kind, own in settings.items() if kind != "model"}
        parts = [_part(label, of_trained) for label in labels]
        own = {"parts": parts, **settings.get("model", {})}
        name = str(model).partition(":")[0]
        return {**fields, "model": name, "settings": {**settings, "model": own}}
    if model is not None:
        name, given = _read(MODELS, model)
        varied = {key for point in baseline_grid(name) for key in point}
        open_ones = dict.fromkeys(sorted(varied - given.keys()), AUTO)
        return {**fields, "settings": {**settings, "model": {**open_ones, **settings.get("model", {})}}}
    name, given = _read(LOSSES, fields.get("loss", "sl"))
    temperature = loss_class(name).temperature
    open_ones = {temperature: AUTO} if temperature and temperature not in given else {}
    return {**fields, "settings": {**settings, "loss": {**open_ones, **settings.get("loss", {})}}}


def _part(label: str, of_trained: Settings) -> dict[str, Any]:
    """The fields of a half; settings of losses, backbones and negatives go to trained ones."""
    fields = fields_of(label)
    return opened(fields if "model" in fields else {**fields, "settings": of_trained})


def _read(registry: Any, given: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(given, Mapping):
        given = Choice(**given)
    return (given.name, dict(given.settings)) if isinstance(given, Choice) else registry.read(given)
