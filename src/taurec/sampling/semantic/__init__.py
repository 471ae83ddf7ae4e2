"""Negatives by meaning: encoders of item texts, and samplers that draw what is near."""

from __future__ import annotations

from taurec.sampling.semantic.adapter import HNLMRec
from taurec.sampling.semantic.encoders import ENCODERS, Encoder, SentenceEncoder, TfIdf
from taurec.sampling.semantic.sampler import Semantic

__all__ = ["ENCODERS", "Encoder", "HNLMRec", "Semantic", "SentenceEncoder", "TfIdf"]
