"""``taurec list``: what can be chosen, with its settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from taurec.registry import Registry

KINDS = ("losses", "backbones", "baselines", "negatives", "orders", "metrics", "datasets")


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen: its name, its settings with their defaults, and what it is."""

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
    columns = [kind, *(["settings"] if settings else []), "what it is"]
    rows = [[e.name, *([_settings_text(e)] if settings else []), e.about] for e in found]
    output.say(table(columns, rows, whole=[kind], dim=["settings"]))


def entries(kind: str) -> list[Entry]:
    """Everything of one kind; UsageError for an unknown kind."""
    makers: dict[str, Callable[[], list[Entry]]] = {
        **{name: (lambda name=name: _of_registry(_registry(name))) for name in KINDS[:5]},  # type: ignore[misc]
        "metrics": _metrics,
        "datasets": _datasets,
    }
    if kind not in makers:
        raise UsageError(f"nothing to list under {kind!r}{did_you_mean(kind, KINDS)}")
    return makers[kind]()


def _registry(kind: str) -> Registry[Any]:
    if kind == "losses":
        from taurec.losses import LOSSES

        return LOSSES
    if kind == "backbones":
        from taurec.backbones import BACKBONES

        return BACKBONES
    if kind == "baselines":
        from taurec.baselines import BASELINES

        return BASELINES
    from taurec.sampling import NEGATIVES, ORDERS

    return NEGATIVES if kind == "negatives" else ORDERS


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

    return [Entry(name, {}, getattr(value, "about", "") or first_sentence(value)) for name, value in DATASETS.items()]


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
