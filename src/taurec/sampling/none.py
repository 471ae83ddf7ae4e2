"""No negatives, for losses of the pairs alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.types import NegativeIds


@dataclass(frozen=True)
class NoNegatives:
    """No negatives at all, for embedding losses, which look at the pairs alone.

    >>> rows = torch.arange(2)
    >>> NoNegatives().bind(Interactions.from_pairs([0, 1], [0, 1]), seed=0).draw(rows, rows, rows, epoch=1).ids
    tensor([], dtype=torch.int64)
    """

    def bind(self, train: Interactions, seed: int) -> NoNegatives:
        return self

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> NegativeIds:
        """An empty shared set."""
        return NegativeIds("shared", torch.empty(0, dtype=torch.int64))
