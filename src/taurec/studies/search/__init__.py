"""The search for a model within a given time."""

from taurec.studies.search.results import Probe, Try
from taurec.studies.search.search import probe

__all__ = ["Probe", "Try", "probe"]
