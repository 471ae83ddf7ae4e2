"""``taurec list``: losses, backbones and the other choices, with their settings."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from taurec.registry import Registry

_REGISTRIES = {
    "losses": ("taurec.losses", "LOSSES"),
    "backbones": ("taurec.backbones", "BACKBONES"),
    "baselines": ("taurec.baselines", "BASELINES"),
    "negatives": ("taurec.sampling", "NEGATIVES"),
    "orders": ("taurec.sampling", "ORDERS"),
    "encoders": ("taurec.sampling.semantic", "ENCODERS"),
    "metrics": ("taurec.evaluation.metrics", "METRICS"),
}
"""Kinds with a registry: its module and its name."""

KINDS = (*_REGISTRIES, "datasets")


@dataclass(frozen=True)
class Entry:
    """A choice: its name, its settings with their defaults, and one sentence about it."""

    name: str
    settings: dict[str, Any]
    about: str


def list_entries(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(KINDS) + ".")],
    as_json: o.Json = False,
) -> None:
    """List losses, backbones, baselines, negatives, orders, encoders of texts, metrics or datasets."""
    from taurec.cli.output import Output
    from taurec.studies.result import Column, Table

    found = entries(kind)
    output = Output(as_json)
    output.document([vars(entry) for entry in found])
    name, description = Column(kind, whole=True), Column("description")
    if any(entry.settings for entry in found):
        rows = [[e.name, " ".join(f"{k}={_short(v)}" for k, v in e.settings.items()), e.about] for e in found]
        output.say(Table("", [name, Column("settings", dim=True), description], rows))
    else:
        output.say(Table("", [name, description], [[e.name, e.about] for e in found]))


def entries(kind: str) -> list[Entry]:
    """The entries of one kind: those built in, then those of installed packages, which are named but not imported.

    Raises: UsageError for an unknown kind.
    """
    if kind == "datasets":
        from taurec.data.catalog import DATASETS

        return [Entry(name, {}, value.about) for name, value in DATASETS.items()]
    if kind not in _REGISTRIES:
        raise UsageError(f"nothing to list under {kind!r}{did_you_mean(kind, KINDS)}")
    module, variable = _REGISTRIES[kind]
    registry: Registry[Any] = getattr(importlib.import_module(module), variable)
    found = [Entry(p.name, {}, f"{p.target}, of the package {p.package} {p.version}") for p in registry.plugins()]
    if kind == "metrics":
        return [Entry(f"{name}@K", {}, first_sentence(registry[name])) for name in registry] + found
    return [Entry(name, _defaults(registry, name), first_sentence(registry[name])) for name in registry] + found


def _defaults(registry: Registry[Any], name: str) -> dict[str, Any]:
    found = {key: parameter.default for key, parameter in registry.settings(name).items()}
    return {key: None if value is inspect.Parameter.empty else value for key, value in found.items()}


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring on one line, up to the end of its first sentence."""
    paragraph = " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<!\bal)[.:] ", paragraph + " ", maxsplit=1)[0]
    return sentence.replace("``", "").strip().rstrip(".:")


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
