"""Completion of a run: a value for every field and every setting.

Fields that are not given come from the preset that the loss declares, then from the defaults. Presets were chosen on
validation data of ``debian`` and ``ml-100k``; a given value always wins. A resolved run names every setting, so a later
change of a default does not alter it.
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
from taurec.losses import LOSSES, EmbeddingLoss, loss_class
from taurec.registry import Registry
from taurec.run import Choice, Run
from taurec.sampling import NEGATIVES, ORDERS


def resolve(**fields: Any) -> Run:
    """A run with all its settings, from a few fields as people write them.

    Registry fields (``model``, ``backbone``, ``loss``, ``negatives``, ``order``) take texts such as
    ``uniform:800`` or ``{"name": ..., "settings": {...}}``; ``settings={"loss": {"tau_neg": 0.1}}``
    sets single values of them. Fields that are not given come from the loss's preset, then from the defaults.
    Every entry is built once, so a value out of range is refused here, before data is read. A
    temperature of ``auto`` is kept until the data is known (:mod:`taurec.training.auto_temperature`).

    Raises: UsageError for an unknown name or a value that does not fit; also for negatives chosen for a loss that
        uses none.

    >>> resolve(loss="bsl", settings={"loss": {"tau_neg": 0.2}}).order.text
    'user-blocks(per_user=4)'
    """
    nested: dict[str, dict[str, Any]] = {k: dict(v) for k, v in (fields.pop("settings", None) or {}).items()}
    for kind in nested:
        if kind not in REGISTRIES:
            raise UsageError(f"no part {kind!r} takes settings{did_you_mean(kind, REGISTRIES)}")
    if fields.get("model") is not None:
        if set(nested) - {"model"}:
            raise UsageError(
                f"a baseline has no {', '.join(sorted(set(nested) - {'model'}))} to set; it takes model settings"
            )
        fields["model"] = _choice("model", fields["model"], nested)
        _check_names(fields)
        return Run.of(**fields)
    loss = _loss(fields.get("loss", "sl"), nested)
    declared = loss_class(loss.name)
    preset = {key: value for key, value in declared.preset().items() if "." not in key}
    fields = {**preset, **fields, "loss": loss}
    fields["backbone"] = _choice("backbone", fields.get("backbone", "mf"), nested)
    fields["negatives"] = _choice("negatives", fields["negatives"], nested)
    if issubclass(declared, EmbeddingLoss) and fields["negatives"] != _choice("negatives", preset["negatives"], {}):
        raise UsageError(f"loss {loss.name!r} uses no negatives, got {fields['negatives'].text}; leave negatives out")
    order = fields.get("order") or ("user-blocks" if "group" in declared.needs else "shuffled")
    fields["order"] = _choice("order", order, nested)
    _check_names(fields)
    return Run.of(**fields)


def auto_settings(loss: Choice) -> list[str]:
    """The settings of a loss with the value ``auto``, which are chosen when the data is known.

    >>> auto_settings(Choice(name="sl", settings={"tau": "auto", "scale_by_tau": False}))
    ['tau']
    """
    return [name for name, value in loss.settings.items() if value == AUTO]


def settled(run: Run, numbers: Mapping[str, float] | None = None) -> Run:
    """The run with numbers in place of ``auto`` in its loss: the given ones, else the loss's defaults.

    >>> settled(resolve(loss="sl", settings={"loss": {"tau": "auto"}})).loss.settings["tau"]
    0.1
    """
    return run.but(loss=_settled(run.loss, numbers))


def _settled(loss: Choice, numbers: Mapping[str, float] | None = None) -> Choice:
    defaults, given = LOSSES.settings(loss.name), numbers or {}
    found = {name: given.get(name, defaults[name].default) for name in auto_settings(loss)}
    return loss.model_copy(update={"settings": {**loss.settings, **found}})


def _loss(given: Any, nested: Mapping[str, Mapping[str, Any]]) -> Choice:
    """A loss with all its settings; its temperature may be ``auto``."""
    if isinstance(given, Mapping):
        given = Choice(**given)
    if not isinstance(given, Choice):
        name, own = _read("loss", given, nested)
        given = Choice(name=name, settings=own)
    declared = loss_class(given.name)
    preset = {k.removeprefix("loss."): v for k, v in declared.preset().items() if k.startswith("loss.")}
    settings = {**preset, **given.settings, **nested.get("loss", {})}
    auto = [key for key, value in settings.items() if value == AUTO and key in LOSSES.settings(given.name)]
    if wrong := [key for key in auto if key != declared.temperature]:
        only = f"of {given.name} only {declared.temperature} can"
        can = only if declared.temperature else f"{given.name} has no temperature to find"
        raise UsageError(f"loss.{wrong[0]} cannot be auto; {can}")
    numbers = {key: value for key, value in settings.items() if key not in auto}
    found = _choice("loss", Choice(name=given.name, settings=numbers), {})
    return found.model_copy(update={"settings": {**found.settings, **dict.fromkeys(auto, AUTO)}})


AUTO = "auto"
"""Value of a temperature that is found on validation, see :mod:`taurec.training.auto_temperature`."""

REGISTRIES: dict[str, Registry[Any]] = {
    "model": BASELINES,
    "backbone": BACKBONES,
    "loss": LOSSES,
    "negatives": NEGATIVES,
    "order": ORDERS,
}


def _choice(kind: str, given: Any, nested: Mapping[str, Mapping[str, Any]]) -> Choice:
    """A registry entry with all its settings, defaults included, from a text, a choice, a class or an object."""
    registry = REGISTRIES[kind]
    if isinstance(given, Mapping):
        given = Choice(**given)
    name, settings = (given.name, given.settings) if isinstance(given, Choice) else _read(kind, given, nested)
    settings = registry.checked(name, {**settings, **nested.get(kind, {})})
    for key, parameter in registry.settings(name).items():
        if key not in settings and parameter.default is not inspect.Parameter.empty:
            settings[key] = parameter.default
    seed = {"seed": 0} if kind in ("backbone", "model") else {}
    registry.build(name, *((_ONE_PAIR,) if kind == "backbone" else ()), given=settings, **seed)
    return Choice(name=name, settings=dict(sorted(settings.items())), version=registry.version(name))


def _read(kind: str, given: object, nested: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The name and settings of a text, a class or an object.

    Raises: UsageError for a setting that it and ``nested`` give different values.
    """
    registry, more = REGISTRIES[kind], nested.get(kind, {})
    name, own = registry.read(given)
    defaults = registry.settings(name)
    for key in own.keys() & more.keys():
        mine, other = (registry.checked(name, {key: values[key]})[key] for values in (own, more))
        if mine != other and (isinstance(given, str) or mine != defaults[key].default):
            raise UsageError(
                f"{kind}.{key} has two values: {mine!r} in {kind}={given!r} and {other!r} in the settings; give one"
            )
    return name, own


def check_parts(run: Run) -> None:
    """Refuse a run whose parts from outside the package cannot be imported.

    Raises: UsageError naming the part and the remedy.
    """
    kinds = ("model",) if run.model is not None else ("backbone", "loss", "negatives", "order")
    for kind in kinds:
        choice: Choice | None = getattr(run, kind)
        if choice is None or ":" not in choice.name:
            continue
        try:
            REGISTRIES[kind][choice.name]
        except UsageError as error:
            made = f", made with version {choice.version}" if choice.version else ""
            raise UsageError(
                f"this run cannot be fitted here{made}: {error}. A saved model ranks without it; only fit needs it"
            ) from error


_ONE_PAIR = Interactions.from_pairs([0], [0])
"""A log of one pair, on which a backbone is built to check its settings."""


def _check_names(fields: Mapping[str, Any]) -> None:
    for name in fields.keys() - Run.model_fields.keys():
        chosen = {kind: fields.get(kind) for kind in REGISTRIES}
        for kind, choice in chosen.items():
            if isinstance(choice, Choice) and name in REGISTRIES[kind].settings(choice.name):
                raise UsageError(
                    f"a run has no field {name!r}, which is a setting of {kind} {choice.name!r}; give it as "
                    f"settings={{{kind!r}: {{{name!r}: {fields[name]!r}}}}}"
                )
    kernel = fields.get("kernel", "auto")
    if kernel not in KERNELS:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(str(kernel), KERNELS)}")
    if "metric" in fields:
        parse_metric(fields["metric"])
