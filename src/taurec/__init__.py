"""TauRec: recommendation with the softmax family of losses (SL, BSL, MML); tau is the temperature.

>>> import taurec
>>> log = taurec.planted(n_users=60, n_items=40, seed=1).log
>>> model = taurec.Recommender(model="ease").fit(log)
>>> len(model.recommend("0", k=5))
5
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Recommender": "taurec.recommender",
    "Recommendations": "taurec.recommender",
    "Run": "taurec.run",
    "Interactions": "taurec.data.interactions",
    "read_interactions": "taurec.data.readers",
    "split": "taurec.data.split",
    "planted": "taurec.data.planted",
    "compare": "taurec.studies.compare",
    "search": "taurec.studies.search",
    "LOSSES": "taurec.losses",
    "BACKBONES": "taurec.backbones",
    "BASELINES": "taurec.baselines",
    "NEGATIVES": "taurec.sampling",
    "ORDERS": "taurec.sampling",
    "UsageError": "taurec.errors",
    "DataError": "taurec.errors",
    "TaurecError": "taurec.errors",
}

_RENAMED = {"probe": "search"}
"""Former public names, accepted with a warning until 0.4."""

__all__ = [
    "BACKBONES",
    "BASELINES",
    "LOSSES",
    "NEGATIVES",
    "ORDERS",
    "DataError",
    "Interactions",
    "Recommendations",
    "Recommender",
    "Run",
    "TaurecError",
    "UsageError",
    "__version__",
    "compare",
    "planted",
    "read_interactions",
    "search",
    "split",
]

if TYPE_CHECKING:
    from taurec.backbones import BACKBONES
    from taurec.baselines import BASELINES
    from taurec.data.interactions import Interactions
    from taurec.data.planted import planted
    from taurec.data.readers import read_interactions
    from taurec.data.split import split
    from taurec.errors import DataError, TaurecError, UsageError
    from taurec.losses import LOSSES
    from taurec.recommender import Recommendations, Recommender
    from taurec.run import Run
    from taurec.sampling import NEGATIVES, ORDERS
    from taurec.studies.compare import compare
    from taurec.studies.search.budget import search


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that ``import taurec`` stays light."""
    if name in _RENAMED:
        import warnings

        new = _RENAMED[name]
        warnings.warn(f"taurec.{name} is now taurec.{new}; {name} is removed in 0.4", DeprecationWarning, stacklevel=2)
        name = new
    if name not in _PUBLIC:
        raise AttributeError(f"module 'taurec' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
