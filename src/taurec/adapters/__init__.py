"""Losses of TauRec in the training loops of other libraries."""

from __future__ import annotations

from taurec.adapters.lightning import lightning_module
from taurec.adapters.sentence_transformers import SentenceTransformerLoss

__all__ = ["SentenceTransformerLoss", "lightning_module"]
