"""TauRec: recommendation with the softmax family of losses (SL, BSL, MML); tau is the temperature.

>>> import taurec
>>> log = taurec.planted(n_users=60, n_items=40, seed=1).log
>>> model = taurec.Recommender(model="ease").fit(log)
>>> len(model.recommend("0", k=5))
5
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

from taurec._version import __version__ as __version__

Stability = Literal["stable", "provisional", "experimental"]

PUBLIC: dict[str, tuple[str, Stability]] = {
    "Recommender": ("taurec.recommender:Recommender", "stable"),
    "Recommendations": ("taurec.recommender:Recommendations", "stable"),
    "blend": ("taurec.recommender:blend", "experimental"),
    "Run": ("taurec.run:Run", "stable"),
    "Interactions": ("taurec.data.interactions:Interactions", "stable"),
    "Split": ("taurec.data.split:Split", "stable"),
    "read_interactions": ("taurec.data.readers:read_interactions", "stable"),
    "split": ("taurec.data.split:split", "stable"),
    "planted": ("taurec.data.planted:planted", "stable"),
    "Evaluation": ("taurec.evaluation.ranking:Evaluation", "stable"),
    "evaluate_ranker": ("taurec.evaluation.ranking:evaluate_ranker", "provisional"),
    "compare": ("taurec.studies.compare:compare", "provisional"),
    "search": ("taurec.studies.search.budget:search", "provisional"),
    "reproduce": ("taurec.studies.reproduce:reproduce", "provisional"),
    "audit_log": ("taurec.studies.audit.log.audit:audit_log", "experimental"),
    "audit_fix": ("taurec.studies.audit.fix:fix", "experimental"),
    "audit_noise": ("taurec.studies.audit.noise.robustness:noise_curves", "experimental"),
    "audit_fairness": ("taurec.studies.audit.fairness.audit:audit_fairness", "experimental"),
    "audit_temperature": ("taurec.studies.audit.temperature.audit:audit_saved", "experimental"),
    "LOSSES": ("taurec.losses:LOSSES", "stable"),
    "BACKBONES": ("taurec.backbones:BACKBONES", "stable"),
    "BASELINES": ("taurec.baselines:BASELINES", "stable"),
    "NEGATIVES": ("taurec.sampling:NEGATIVES", "stable"),
    "ORDERS": ("taurec.sampling:ORDERS", "stable"),
    "METRICS": ("taurec.evaluation.metrics:METRICS", "stable"),
    "SL": ("taurec.losses:SL", "stable"),
    "BSL": ("taurec.losses:BSL", "stable"),
    "MML": ("taurec.losses:MML", "stable"),
    "ScoreLoss": ("taurec.losses:ScoreLoss", "provisional"),
    "NegativeSampler": ("taurec.sampling:NegativeSampler", "provisional"),
    "Backbone": ("taurec.backbones:Backbone", "provisional"),
    "Baseline": ("taurec.baselines:Baseline", "provisional"),
    "Ranker": ("taurec.ranker:Ranker", "provisional"),
    "TaurecError": ("taurec.errors:TaurecError", "stable"),
    "UsageError": ("taurec.errors:UsageError", "stable"),
    "DataError": ("taurec.errors:DataError", "stable"),
    "testing": ("taurec.testing", "provisional"),
}
"""The public names of ``taurec``: where each one is defined (``module:name``) and how stable it is.

``stable`` changes only after a deprecation, ``provisional`` may change in a minor version and the changelog says how,
``experimental`` may change or go in any version.
"""

RENAMED = {"probe": "search"}
"""Former public names, accepted with a warning until 0.4."""

__all__ = ["__version__", *PUBLIC]

if TYPE_CHECKING:
    from taurec import testing as testing
    from taurec.backbones import BACKBONES as BACKBONES
    from taurec.backbones import Backbone as Backbone
    from taurec.baselines import BASELINES as BASELINES
    from taurec.baselines import Baseline as Baseline
    from taurec.data.interactions import Interactions as Interactions
    from taurec.data.planted import planted as planted
    from taurec.data.readers import read_interactions as read_interactions
    from taurec.data.split import Split as Split
    from taurec.data.split import split as split
    from taurec.errors import DataError as DataError
    from taurec.errors import TaurecError as TaurecError
    from taurec.errors import UsageError as UsageError
    from taurec.evaluation.metrics import METRICS as METRICS
    from taurec.evaluation.ranking import Evaluation as Evaluation
    from taurec.evaluation.ranking import evaluate_ranker as evaluate_ranker
    from taurec.losses import BSL as BSL
    from taurec.losses import LOSSES as LOSSES
    from taurec.losses import MML as MML
    from taurec.losses import SL as SL
    from taurec.losses import ScoreLoss as ScoreLoss
    from taurec.ranker import Ranker as Ranker
    from taurec.recommender import Recommendations as Recommendations
    from taurec.recommender import Recommender as Recommender
    from taurec.recommender import blend as blend
    from taurec.run import Run as Run
    from taurec.sampling import NEGATIVES as NEGATIVES
    from taurec.sampling import ORDERS as ORDERS
    from taurec.sampling import NegativeSampler as NegativeSampler
    from taurec.studies.audit.fairness.audit import audit_fairness as audit_fairness
    from taurec.studies.audit.fix import fix as audit_fix  # noqa: F401
    from taurec.studies.audit.log.audit import audit_log as audit_log
    from taurec.studies.audit.noise.robustness import noise_curves as audit_noise  # noqa: F401
    from taurec.studies.audit.temperature.audit import audit_saved as audit_temperature  # noqa: F401
    from taurec.studies.compare import compare as compare
    from taurec.studies.reproduce import reproduce as reproduce
    from taurec.studies.search.budget import search as search


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that ``import taurec`` stays light."""
    if name in RENAMED:
        import warnings

        new = RENAMED[name]
        warnings.warn(f"taurec.{name} is now taurec.{new}; {name} is removed in 0.4", DeprecationWarning, stacklevel=2)
        name = new
    if name not in PUBLIC:
        raise AttributeError(f"module 'taurec' has no attribute {name!r}")
    module, _, attribute = PUBLIC[name][0].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted(__all__)
