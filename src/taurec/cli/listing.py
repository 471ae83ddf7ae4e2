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
}
"""Kinds with a registry: its module and its name."""

KINDS = (*_REGISTRIES, "metrics", "datasets")


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
    """List losses, backbones, baselines, negatives, orders, metrics or datasets."""
    from taurec.cli.output import Output
    from taurec.report.tables import table

    found = entries(kind)
    output = Output(as_json)
    output.document([vars(entry) for entry in found])
    settings = any(entry.settings for entry in found)
    columns = [kind, *(["settings"] if settings else []), "description"]
    rows = [[e.name, *([_settings_text(e)] if settings else []), e.about] for e in found]
    output.say(table(columns, rows, whole=[kind], dim=["settings"]))


def entries(kind: str) -> list[Entry]:
    """The entries of one kind.

    Raises: UsageError for an unknown kind.
    """
    if kind in _REGISTRIES:
        return _of_registry(_registry(kind))
    if kind == "metrics":
        return _metrics()
    if kind == "datasets":
        return _datasets()
    raise UsageError(f"nothing to list under {kind!r}{did_you_mean(kind, KINDS)}")


def _registry(kind: str) -> Registry[Any]:
    module, name = _REGISTRIES[kind]
    found: Registry[Any] = getattr(importlib.import_module(module), name)
    return found


def _of_registry(registry: Registry[Any]) -> list[Entry]:
    """Built-in entries, then those of installed packages, which are named but not imported."""
    empty = inspect.Parameter.empty
    built_in = [
        Entry(
            name,
            {key: None if p.default is empty else p.default for key, p in registry.settings(name).items()},
            first_sentence(registry[name]),
        )
        for name in registry
    ]
    return built_in + _offered(registry)


def _offered(registry: Registry[Any]) -> list[Entry]:
    return [Entry(p.name, {}, f"{p.target}, of the package {p.package} {p.version}") for p in registry.plugins()]


def _metrics() -> list[Entry]:
    from taurec.evaluation.metrics import METRICS

    return [Entry(f"{name}@K", {}, first_sentence(METRICS[name])) for name in METRICS] + _offered(METRICS)


def _datasets() -> list[Entry]:
    from taurec.data.catalog import DATASETS

    return [Entry(name, {}, value.about) for name, value in DATASETS.items()]


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring on one line, up to the end of its first sentence."""
    paragraph = " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<!\bal)[.:] ", paragraph + " ", maxsplit=1)[0]
    return sentence.replace("``", "").strip().rstrip(".:")


def _settings_text(entry: Entry) -> str:
    return " ".join(f"{key}={_short(value)}" for key, value in entry.settings.items())


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
