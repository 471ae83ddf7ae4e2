"""The search for a model within a given time."""

from taurec.studies.search.budget import search
from taurec.studies.search.pool import MODELS
from taurec.studies.search.results import SearchResult, Trial

__all__ = ["MODELS", "SearchResult", "Trial", "search"]
