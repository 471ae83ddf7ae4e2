"""What the field ``model`` of a run may name: a baseline, or a model made of two others."""

from __future__ import annotations

import inspect
from typing import Any

from taurec.baselines import BASELINES
from taurec.baselines.auto import Auto
from taurec.baselines.blend import Blend
from taurec.baselines.protocol import Baseline, Composite, Picker
from taurec.registry import Registry
from taurec.run import Run

MODELS: Registry[Baseline] = BASELINES.extended({"blend": Blend, "auto": Auto})
"""The baselines, which are models without gradient training; ``blend``, whose halves may have it; ``auto``, which names
one of them for a log."""


def is_composite(name: str) -> bool:
    """Whether a model is made of other models.

    >>> is_composite("blend"), is_composite("ease")
    (True, False)
    """
    found = MODELS[name]
    return inspect.isclass(found) and issubclass(found, Composite)


def is_picker(name: str) -> bool:
    """Whether a name stands for a model that the log decides.

    >>> is_picker("auto"), is_picker("blend")
    (True, False)
    """
    found = MODELS[name]
    return inspect.isclass(found) and issubclass(found, Picker)


def is_closed_form(run: Run) -> bool:
    """Whether the model of a run, or every part of it, declares that it is computed by a formula.

    >>> is_closed_form(Run.of(model={"name": "ease"})), is_closed_form(Run.of(model={"name": "ials"}))
    (True, False)
    """
    if run.model is None or run.parts:
        return bool(run.parts) and all(is_closed_form(part) for part in run.parts)
    found: Any = MODELS[run.model.name]  # one from outside need not be a subclass of Baseline
    return Baseline in inspect.getmro(found) and bool(found.closed_form)


def draws_at_random(run: Run) -> bool:
    """Whether another seed gives another model of the same data.

    >>> draws_at_random(Run.of(model={"name": "ease"})), draws_at_random(Run.of(model={"name": "ials"}))
    (False, True)
    """
    if run.model is None or run.parts:
        return run.model is None or any(draws_at_random(part) for part in run.parts)
    return "seed" in MODELS.runtime(run.model.name)
