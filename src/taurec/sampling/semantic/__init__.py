"""Negatives by meaning: encoders of item texts, samplers that draw what is near, and what a language model writes."""

from __future__ import annotations

from taurec.sampling.semantic.adapter import HNLMRec
from taurec.sampling.semantic.answers import Budget, BudgetReached, KeptAnswers
from taurec.sampling.semantic.encoders import ENCODERS, Encoder, SentenceEncoder, TfIdf
from taurec.sampling.semantic.provider import Completion, OpenAIProvider, TextProvider
from taurec.sampling.semantic.sampler import Semantic
from taurec.sampling.semantic.written import Task

__all__ = [
    "ENCODERS",
    "Budget",
    "BudgetReached",
    "Completion",
    "Encoder",
    "HNLMRec",
    "KeptAnswers",
    "OpenAIProvider",
    "Semantic",
    "SentenceEncoder",
    "Task",
    "TextProvider",
    "TfIdf",
]
