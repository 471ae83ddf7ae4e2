"""Where negatives come from: the protocol of a source, and the sources.

A source is a frozen dataclass of settings. ``bind`` gives it the training log and the seed, and what
it returns draws for one batch after another. It never sees scores or embeddings.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.sampling.layouts import Full, InBatch, Shared
from taurec.sampling.noisy import Noisy, NoisyHeldOut
from taurec.sampling.per_row import Popularity, Uniform
from taurec.types import NegativeIds


class BoundNegatives(Protocol):
    """A source that knows its log and seed.

    Laws: a draw is a function of (seed, epoch, rows of the batch); per-row layouts give a row the same
    ids in every batch it may be in.

    A source that holds positives out of training has an attribute ``trained``, the pairs that are left: the rows
    and the graph are made of these.
    """

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> NegativeIds:
        """The negatives of a batch; ``user``, ``item``, ``row`` are [B] int64 on the CPU, as are the ids."""
        ...


class NegativeSource(Protocol):
    """Settings of a source of negatives."""

    def bind(self, train: Interactions, seed: int) -> BoundNegatives: ...


__all__ = [
    "BoundNegatives",
    "Full",
    "InBatch",
    "NegativeSource",
    "Noisy",
    "NoisyHeldOut",
    "Popularity",
    "Shared",
    "Uniform",
]
