"""No negatives, for losses of the pairs alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.sampling.layouts import SharedNegatives
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.types import StepShape


@dataclass(frozen=True)
class NoNegatives(Sampler):
    """No negatives at all, for embedding losses, which look at the pairs alone.

    >>> rows = torch.arange(2)
    >>> NoNegatives().bind(Interactions.from_pairs([0, 1], [0, 1]), seed=0).draw(rows, rows, rows, epoch=1).ids
    tensor([], dtype=torch.int64)
    """

    def bind(self, train: Interactions, seed: int) -> BoundNone:
        return BoundNone()

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return SharedNegatives.shape(batch_size, 0, n_items)


class BoundNone(BoundSampler):
    """:class:`NoNegatives`, whatever the log and the seed."""

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> SharedNegatives:
        """An empty shared set."""
        return SharedNegatives(ids=torch.empty(0, dtype=torch.int64))
