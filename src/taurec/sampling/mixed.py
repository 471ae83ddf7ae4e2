"""The batch's own items together with uniform ones, as negatives that all rows share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.sampling.known import Known
from taurec.sampling.layouts import Layout
from taurec.sampling.per_row import check_n
from taurec.sampling.proposal import Even, by_popularity
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.sampling.shared import Mask, masked
from taurec.types import StepShape


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchAndMore(Layout):
    """The items of the batch's rows, then the items ``ids`` [M]: N = B + M columns that all rows share."""

    ids: Tensor

    def drawn(self) -> Tensor | None:
        return self.ids

    def at(self, places: Tensor) -> BatchAndMore:
        return type(self)(ids=places, absent=self.absent, logq=self.logq)

    def items(self, positive: Tensor) -> Tensor:
        return torch.cat([positive, self.ids])

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        own = F.embedding(positive, item)
        return (user * own).sum(-1), user @ torch.cat([own, self.more(item)]).T

    def more(self, item: Tensor) -> Tensor:
        """[M, D] the vectors of the columns that are not the batch's."""
        return F.embedding(self.ids, item)


@dataclass(frozen=True)
class Mixed(Sampler):
    """The items of the batch's other rows and n uniform items, shared by all rows of the batch.

        N = B + n columns,      q_j = (B count_j / P + n / I) / (B + n)

    In-batch negatives alone never contain an item without training pairs, and overweight popular ones; the uniform
    part reaches the whole catalogue. ``logq`` is log q_j of the mixture, for losses with the correction: an item that
    is in the batch was also possible as a uniform draw, and the reverse.

    Args:
        n: uniform items of the batch; 0 is not allowed, see ``in-batch``.
        mask: ``known`` leaves out, in each row, its own column, equal items, and every item that its user has a
            training pair with; ``equal`` the first two.
    Guarantees: a column of the mixture, chosen at random, is item j with probability q_j if rows are shuffled. The
        uniform items depend on (seed, epoch, the smallest row position of the batch), as for ``shared``. No state.
    Cost: one matrix product [B, D] x [D, B + n].
    Raises: UsageError if n is below 1 or the catalogue is empty.
    Source: Yang et al., WWW 2020 (mixed negative sampling). The batch size decides the mixture, so there is no
        ``base_distribution``.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = Mixed(n=4).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.absent.shape, round(float(drawn.logq[0].exp()), 4)
    (torch.Size([4]), torch.Size([2, 6]), 0.3333)
    """

    n: int = 512
    mask: Mask = "known"

    def __post_init__(self) -> None:
        check_n("mixed", self.n)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [64, 512, 4096]}

    def bind(self, train: Interactions, seed: int) -> BoundMixed:
        return BoundMixed(Known(train), seed, self.n, self.mask)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        columns = batch_size + self.n
        return StepShape(columns, columns, batch_size * columns, items=True, logq=True)


class BoundMixed(BoundSampler):
    """:class:`Mixed` bound to a log and a seed."""

    def __init__(self, known: Known, seed: int, n: int, mask: Mask):
        self.known, self.seed, self.n, self.mask = known, seed, n, mask
        self._even = by_popularity(known, 0.0)
        assert isinstance(self._even, Even)
        self._share = known.train.item_counts / max(len(known.train), 1)

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> BatchAndMore:
        """Ids [n]; ``absent`` [B, B + n] by ``mask``, ``logq`` [B + n] of the mixture."""
        first = int(row.min()) if len(row) else 0
        ids = self._even.pick(draw.bits(draw.key(self.seed, "mixed", epoch), [first], self.n)[0])
        columns = np.concatenate([item.numpy(), ids])
        b, n_items = len(item), self.known.train.n_items
        q = (b * self._share[columns] + self.n / n_items) / (b + self.n)
        return BatchAndMore(
            ids=torch.from_numpy(ids),
            absent=masked(self.known, self.mask, user, item, columns),
            logq=torch.from_numpy(np.log(q).astype(np.float32)),
        )
