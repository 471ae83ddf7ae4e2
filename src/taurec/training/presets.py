"""Completion of a run: a value for every field and every setting.

Fields that are not given come from the preset that the backbone declares, then from that of the loss, then from the
defaults. Presets were chosen on validation data of ``debian`` and ``ml-100k``; a given value always wins. A resolved
run names every setting, so a later change of a default does not alter it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from taurec.backbones import BACKBONES, Backbone, backbone_class
from taurec.baselines.models import MODELS
from taurec.data.interactions import Interactions
from taurec.errors import UsageError, did_you_mean
from taurec.evaluation.metrics import parse as parse_metric
from taurec.kernels import NAMES as KERNELS
from taurec.losses import LOSSES, EmbeddingLoss, loss_class
from taurec.registry import Registry
from taurec.run import OF_TRAINED_MODELS, Choice, Run
from taurec.sampling import NEGATIVES, ORDERS
from taurec.training.labels import fields_of, parts_of_text


def resolve(**fields: Any) -> Run:
    """A run with all its settings, from a few fields as people write them.

    Registry fields (``model``, ``backbone``, ``loss``, ``negatives``, ``order``) take texts such as
    ``uniform:800`` or ``{"name": ..., "settings": {...}}``; ``settings={"loss": {"tau_neg": 0.1}}``
    sets single values of them. Fields that are not given come from the preset of the backbone, then from that of the
    loss, then from the defaults.
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
    if fields.get("model") is not None and (parts := _parts_of(fields["model"], nested)):
        return _made_of(parts, fields, nested)
    if fields.get("model") is not None:
        if set(nested) - {"model"}:
            raise UsageError(
                f"a baseline has no {', '.join(sorted(set(nested) - {'model'}))} to set; it takes model settings"
            )
        fields["model"] = _baseline(fields["model"], nested)
        _check_names(fields)
        return Run.of(**fields)
    chosen = _choice("backbone", fields.get("backbone", "mf"), nested)
    backbone = backbone_class(chosen.name)
    loss = _loss(fields.get("loss", "sl"), nested, backbone)
    declared = loss_class(loss.name)
    of_loss = {key: value for key, value in declared.preset().items() if "." not in key}
    of_backbone = {key: value for key, value in backbone.preset(declared).items() if "." not in key}
    preset = {**of_loss, **of_backbone}
    fields = {**preset, **fields, "loss": loss, "backbone": chosen}
    fields["negatives"] = _choice("negatives", fields["negatives"], nested)
    if issubclass(declared, EmbeddingLoss) and fields["negatives"] != _choice("negatives", preset["negatives"], {}):
        raise UsageError(f"loss {loss.name!r} uses no negatives, got {fields['negatives'].text}; leave negatives out")
    order = fields.get("order") or backbone.order or ("user-blocks" if "group" in declared.needs else "shuffled")
    fields["order"] = _choice("order", order, nested)
    _check_names(fields)
    return Run.of(**fields)


def takes_training_fields(model: object) -> bool:
    """Whether a part of the model that a text names is trained, so that fields such as ``epochs`` have an effect.

    >>> takes_training_fields("blend:mf:sl+ease"), takes_training_fields("blend:ease+slim-local")
    (True, False)
    """
    return any("model" not in fields_of(part) for part in parts_of_text(model))


OF_PARTS = ("source", "reading", "split", "valid", "test", "seed", "metric", "device", "threads")
"""Fields that a model made of others has in common with its parts."""


def _parts_of(model: Any, nested: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """The parts that a model made of others is given with; empty for any other model."""
    given: Any = nested.get("model", {}).get("parts", ())
    return list(given or _own(model)[1].get("parts", ()) or parts_of_text(model))


def _own(model: Any) -> tuple[str, dict[str, Any]]:
    """The name of a model and the settings that it is given with; of a text the name alone."""
    if isinstance(model, str):
        return model.partition(":")[0], {}
    if isinstance(model, Mapping):
        model = Choice(**model)
    return (model.name, dict(model.settings)) if isinstance(model, Choice) else MODELS.read(model)


def _made_of(parts: Sequence[Any], fields: Mapping[str, Any], nested: Mapping[str, Mapping[str, Any]]) -> Run:
    """The run of a model made of others; fields and settings of trained models go to those of its parts.

    Args:
        parts: labels, mappings of run fields, or runs; a run is taken as it is.
    """
    given = {name: value for name, value in fields.items() if name != "model"}
    of_trained = {kind: own for kind, own in nested.items() if kind != "model"}
    trained, runs = False, list[Run]()
    for part in parts:
        own = fields_of(part) if isinstance(part, str) else part
        if isinstance(own, Mapping) and own.get("model") is None:
            own, trained = resolve(**{"settings": of_trained, **given, **own}), True
        elif isinstance(own, Mapping):
            own = resolve(**{k: v for k, v in given.items() if k not in OF_TRAINED_MODELS} | dict(own))
        runs.append(own)
    if of_trained and not trained:
        raise UsageError(f"no part of the model is trained here, so it has no {', '.join(sorted(of_trained))} to set")
    common = {name: getattr(runs[0], name) for name in OF_PARTS} | {k: v for k, v in given.items() if k in OF_PARTS}
    for name in ("source", "reading", "split", "valid", "test"):
        values = [getattr(run, name) for run in (Run.of(**common), *runs)]
        if any(value != values[0] for value in values):
            raise UsageError(
                f"the parts of a model share their data, and {name} has several values: {values}; give one"
            )
    name, settings = _own(fields["model"])
    settings |= {**nested.get("model", {}), "parts": [run.model_dump(mode="json") for run in runs]}
    _check_names(common)
    return Run.of(**common, model=_choice("model", Choice(name=name, settings=settings), {}))


def auto_settings(choice: Choice) -> list[str]:
    """The settings of a loss or a baseline with the value ``auto``, which are chosen when the data is known.

    >>> auto_settings(Choice(name="sl", settings={"tau": "auto", "scale_by_tau": False}))
    ['tau']
    """
    return [name for name, value in choice.settings.items() if value == AUTO]


def has_auto(run: Run) -> bool:
    """Whether a setting of a run, or of one of its parts, is ``auto``."""
    choice = run.loss if run.model is None else run.model
    return any(value == AUTO for value in choice.settings.values()) or any(has_auto(part) for part in run.parts)


def settled(run: Run, numbers: Mapping[str, float] | None = None) -> Run:
    """The run with numbers in place of ``auto`` in its loss: the given ones, else those of the backbone's preset for
    this loss, else the loss's defaults.

    >>> settled(resolve(loss="sl", settings={"loss": {"tau": "auto"}})).loss.settings["tau"]
    0.1
    """
    names = auto_settings(run.loss)
    if not names:
        return run
    defaults, given = LOSSES.settings(run.loss.name), numbers or {}
    preset = backbone_class(run.backbone.name).preset(loss_class(run.loss.name))
    found = {name: given.get(name, preset.get(f"loss.{name}", defaults[name].default)) for name in names}
    return run.but(loss=run.loss.model_copy(update={"settings": {**run.loss.settings, **found}}))


def baseline_grid(model: str) -> Sequence[Mapping[str, Any]]:
    """The grid of a baseline's settings, from which validation chooses."""
    declared: Any = MODELS[model]
    return tuple(declared.GRID)


def default_settings(model: str) -> dict[str, Any]:
    """The settings of a baseline that have a default, with it."""
    return {
        name: parameter.default
        for name, parameter in MODELS.settings(model).items()
        if parameter.default is not inspect.Parameter.empty
    }


def _loss(given: Any, nested: Mapping[str, Mapping[str, Any]], backbone: type[Backbone]) -> Choice:
    """A loss with all its settings; its temperature may be ``auto``."""
    if isinstance(given, Mapping):
        given = Choice(**given)
    if not isinstance(given, Choice):
        name, own = _read("loss", given, nested)
        given = Choice(name=name, settings=own)
    declared = loss_class(given.name)
    both = {**declared.preset(), **backbone.preset(declared)}
    preset = {k.removeprefix("loss."): v for k, v in both.items() if k.startswith("loss.")}
    settings = {**preset, **given.settings, **nested.get("loss", {})}
    auto = [key for key, value in settings.items() if value == AUTO and key in LOSSES.settings(given.name)]
    if wrong := [key for key in auto if key != declared.temperature]:
        only = f"of {given.name} only {declared.temperature} can"
        can = only if declared.temperature else f"{given.name} has no temperature to find"
        raise UsageError(f"loss.{wrong[0]} cannot be auto; {can}")
    numbers = {key: value for key, value in settings.items() if key not in auto}
    found = _choice("loss", Choice(name=given.name, settings=numbers), {})
    return found.model_copy(update={"settings": {**found.settings, **dict.fromkeys(auto, AUTO)}})


def _baseline(given: Any, nested: Mapping[str, Mapping[str, Any]]) -> Choice:
    """A baseline with all its settings; those that its grid varies may be ``auto``."""
    if isinstance(given, Mapping):
        given = Choice(**given)
    name, own = (given.name, given.settings) if isinstance(given, Choice) else _read("model", given, nested)
    settings = {**own, **nested.get("model", {})}
    varied = {key for point in baseline_grid(name) for key in point}
    auto = [key for key, value in settings.items() if value == AUTO and key in varied]
    numbers = {key: value for key, value in settings.items() if key not in auto}
    found = _choice("model", Choice(name=name, settings=numbers), {})
    return found.model_copy(update={"settings": {**found.settings, **dict.fromkeys(auto, AUTO)}}) if auto else found


AUTO = "auto"
"""Value of a setting that is chosen on validation: a temperature (:mod:`taurec.training.auto_temperature`), or a
setting of a baseline that its grid varies (:mod:`taurec.tuning`)."""

REGISTRIES: dict[str, Registry[Any]] = {
    "model": MODELS,
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
    for part in run.parts:
        check_parts(part)
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
