"""Published results, each as a function with all settings to reproduce it."""

from __future__ import annotations

from collections.abc import Callable

from taurec.studies.recipes import adap_tau, baselines, bpr, bsl, filters, mml, ours, psl, simplex, talos
from taurec.studies.recipes.recipe import Published, Recipe

_MODULES = (bsl, adap_tau, simplex, bpr, mml, psl, talos, ours, baselines, filters)


def _rows() -> dict[str, Callable[[], Recipe]]:
    """Every public function of the modules of rows, by its name with hyphens."""
    rows: dict[str, Callable[[], Recipe]] = {}
    for module in _MODULES:
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
                rows[name.replace("_", "-")] = value
    return rows


RECIPES: dict[str, Callable[[], Recipe]] = _rows()
"""Row -> the function that describes it."""

__all__ = ["RECIPES", "Published", "Recipe"]
