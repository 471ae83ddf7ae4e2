"""Several models on one log under one protocol, and the search for a model within a given time."""

from taurec.comparison.candidates import BASELINES_ALWAYS, Tune
from taurec.comparison.front import on_front
from taurec.comparison.memory import peak_memory
from taurec.comparison.probe_results import Probe, Try
from taurec.comparison.probing import probe
from taurec.comparison.protocol import compare
from taurec.comparison.results import Comparison, Row, Versus

__all__ = [
    "BASELINES_ALWAYS",
    "Comparison",
    "Probe",
    "Row",
    "Try",
    "Tune",
    "Versus",
    "compare",
    "on_front",
    "peak_memory",
    "probe",
]
