"""Several models on one log under one protocol."""

from taurec.studies.compare.candidates import BASELINES_ALWAYS, Tune
from taurec.studies.compare.display import on_front
from taurec.studies.compare.memory import peak_memory
from taurec.studies.compare.protocol import compare
from taurec.studies.compare.results import Comparison, Failed, PairedTest, Row

__all__ = [
    "BASELINES_ALWAYS",
    "Comparison",
    "Failed",
    "PairedTest",
    "Row",
    "Tune",
    "compare",
    "on_front",
    "peak_memory",
]
