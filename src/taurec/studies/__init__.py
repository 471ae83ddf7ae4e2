"""Studies: they answer questions about a log with the library. Each returns a :class:`taurec.studies.result.Result`.

:data:`STUDIES` names the studies that have a command. A study is a function whose signature declares the options
(:mod:`taurec.studies.options`); its module imports the library inside the function, so that help answers at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taurec.studies.result import Result

Study = Callable[..., "Result"]

STUDIES: dict[str, str | Study] = {
    "compare": "taurec.studies.choose:compare",
    "tune": "taurec.studies.tune.study:tune",
    "reproduce": "taurec.studies.records:reproduce",
    "negatives": "taurec.studies.negatives:negatives",
    "data check": "taurec.studies.check:check",
    "audit log": "taurec.studies.audit.log.study:log",
    "audit fix": "taurec.studies.audit.fix_study:fix",
    "audit noise": "taurec.studies.audit.noise.study:noise",
    "audit fairness": "taurec.studies.audit.fairness.study:fairness",
    "audit temperature": "taurec.studies.audit.temperature.study:temperature",
}
"""Words of the command -> ``module:function``, or the function itself."""


def study(name: str) -> Study:
    """The function of a study in :data:`STUDIES`."""
    found = STUDIES[name]
    if not isinstance(found, str):
        return found
    module, _, function = found.partition(":")
    loaded: Study = getattr(importlib.import_module(module), function)
    return loaded
