"""Models by the labels of comparisons: ``ease``, ``mf:sl``, ``blend:ease+mf:sl``, ``my_module:MyBaseline``."""

from __future__ import annotations

from typing import Any

from taurec.backbones import BACKBONES
from taurec.baselines import BASELINES
from taurec.baselines.models import MODELS, is_composite
from taurec.errors import UsageError, did_you_mean
from taurec.plugins import importable


def fields_of(label: str) -> dict[str, Any]:
    """The run fields of a model that a text names.

    Args:
        label: a baseline, with settings if wanted (``ease:50``); ``backbone:loss``; either with ``module:Class`` for a
            name; or ``blend:A+B`` of two of these.
    Raises: UsageError for anything else.

    >>> fields_of("ease"), fields_of("mf:bsl"), fields_of("mf:my_module:MyLoss")
    ({'model': 'ease'}, {'backbone': 'mf', 'loss': 'bsl'}, {'backbone': 'mf', 'loss': 'my_module:MyLoss'})
    >>> fields_of("ease:50"), fields_of("blend:ease+mf:sl")
    ({'model': 'ease:50'}, {'model': 'blend:ease+mf:sl'})
    """
    first, *rest = label.split(":")
    if first in MODELS:
        return {"model": label}
    if not rest:
        known = [*BASELINES, *(plugin.name for plugin in BASELINES.plugins())]
        if label not in known:
            raise UsageError(f"unknown model {label!r}{did_you_mean(label, known)}, or backbone:loss such as mf:bsl")
        return {"model": label}
    if first not in BACKBONES and importable(first):
        dotted = f"{first}:{rest[0]}"
        return {"model": dotted} if len(rest) == 1 else {"backbone": dotted, "loss": ":".join(rest[1:])}
    return {"backbone": first, "loss": ":".join(rest)}


def parts_of_text(text: object) -> list[str]:
    """The labels of the parts that a text names; empty for what is no text of a model made of others.

    >>> parts_of_text("blend:mf:sl+ease"), parts_of_text("ease"), parts_of_text("blend")
    (['mf:sl', 'ease'], [], [])
    """
    if not isinstance(text, str):
        return []
    name, _, rest = text.partition(":")
    return [part.strip() for part in rest.split("+")] if name in MODELS and is_composite(name) and rest else []
