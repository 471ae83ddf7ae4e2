"""Samplers of negatives that the rows of a batch share: common draws, the batch's own items, the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.sampling.known import Known
from taurec.sampling.layouts import CatalogueNegatives, InBatchNegatives, SharedNegatives
from taurec.sampling.per_row import check_alpha, check_n
from taurec.sampling.proposal import Even, Proposal, base_of, by_popularity
from taurec.sampling.protocol import BaseDistribution, BoundSampler, Sampler
from taurec.types import StepShape

Mask = Literal["known", "equal"]
"""Columns that a row may not use: its own item, and with ``known`` all that its user has a training pair with."""


def masked(known: Known, mask: Mask, user: Tensor, item: Tensor, columns: Index) -> Tensor:
    """[B, N] which of the items ``columns`` [N], which all rows share, a row may not use."""
    absent = item[:, None] == torch.from_numpy(columns)[None, :]
    if mask == "known":
        absent |= torch.from_numpy(known.among(user.numpy(), columns))
    return absent


def batch_log_q(train: Interactions) -> NDArray[np.float32]:
    """[I] log(count_j / P), of the probability with which a shuffled row has item j; an item without pairs counts once.

    >>> batch_log_q(Interactions.from_pairs([0, 1], [0, 0])).tolist()
    [0.0]
    """
    log_q: NDArray[np.float32] = np.log(np.maximum(train.item_counts, 1) / max(len(train), 1)).astype(np.float32)
    return log_q


@dataclass(frozen=True)
class Shared(Sampler):
    """One set of n ids for all rows of a batch, each item j with probability q_j ~ count_j^alpha.

    Drawn with replacement, so ids may repeat; alpha 0 is uniform over all items. Which ids a batch
    gets depends on (seed, epoch, the smallest row position in the batch): not on the order of its
    rows, but on which rows it holds, as a shared set must.

    Args:
        n: negatives of the batch.
        alpha: exponent of the popularity; 0 is uniform.
        exclude: mark the training positives of each row's user absent in that row.
    Raises: UsageError if n is below 1, alpha is negative, or there is nothing to count.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = Shared(5, exclude=True).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.absent.shape, drawn.logq.shape
    (torch.Size([5]), torch.Size([2, 5]), torch.Size([5]))
    """

    n: int = 1000
    alpha: float = 0.0
    exclude: bool = False

    def __post_init__(self) -> None:
        check_n("shared", self.n)
        check_alpha("shared", self.alpha)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [250, 1000, 4000]}

    def bind(self, train: Interactions, seed: int) -> BoundShared:
        known = Known(train)
        return BoundShared(known, by_popularity(known, self.alpha), seed, self.n, self.exclude)

    def of_users(self) -> Shared:
        return replace(self, exclude=True)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return SharedNegatives.shape(batch_size, self.n, n_items, logq=True)


@dataclass(frozen=True, eq=False)
class BoundShared(BoundSampler):
    """:class:`Shared` bound to a log and a seed."""

    known: Known
    proposal: Proposal
    seed: int
    n: int
    exclude: bool

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> SharedNegatives:
        """Ids [n] and ``logq`` [n], not restricted by ``absent`` [B, n]."""
        first = int(row.min()) if len(row) else 0
        stream = draw.key(self.seed, "shared-negatives", epoch)
        ids = self.proposal.pick(draw.bits(stream, [first], self.n)[0])
        absent = torch.from_numpy(self.known.among(user.numpy(), ids)) if self.exclude else None
        logq = torch.from_numpy(self.proposal.log_q(ids))
        return SharedNegatives(ids=torch.from_numpy(ids), absent=absent, logq=logq)

    def base_distribution(self) -> BaseDistribution:
        return base_of(self.proposal, self.exclude)


@dataclass(frozen=True)
class InBatch(Sampler):
    """The items of the batch's other rows: with shuffled rows, item j with probability count_j / P.

    ``logq`` [B] is that log-probability, for the sampling-bias correction.

    Args:
        mask: which columns a row may not use.
            ``known``: its own column, equal items, and every item its user has a training pair with.
            ``equal``: its own column and equal items.
            ``diagonal``: its own column only, as in the official BSL code, where the other B - 1
            positives of the batch are negatives whatever they are.
    Source: Yi et al., RecSys 2019 (logQ); Wu et al., 2022, arXiv 2201.02327 (in-batch SSM). Differs from
        the official BSL code, which masks as ``diagonal``.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1]), torch.tensor([0, 1, 2])
    >>> InBatch().bind(train, seed=0).draw(user, item, row, epoch=0).absent.int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """

    mask: Mask | Literal["diagonal"] = "known"

    def bind(self, train: Interactions, seed: int) -> BoundInBatch:
        return BoundInBatch(Known(train), self.mask)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return InBatchNegatives.shape(batch_size, n_items, logq=True)


class BoundInBatch(BoundSampler):
    """:class:`InBatch` bound to a log; nothing is drawn, so the seed does not matter."""

    def __init__(self, known: Known, mask: Mask | Literal["diagonal"]):
        self.known, self.mask = known, mask
        self._log_q = batch_log_q(known.train)

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> InBatchNegatives:
        """No ids: the columns are the batch's items; ``absent`` [B, B] by ``mask``."""
        if self.mask == "diagonal":
            absent = torch.eye(len(item), dtype=torch.bool)
        else:
            absent = masked(self.known, self.mask, user, item, item.numpy())
        return InBatchNegatives(absent=absent, logq=torch.from_numpy(self._log_q[item.numpy()]))

    def base_distribution(self) -> BaseDistribution:
        return base_of(by_popularity(self.known, 1.0), self.mask == "known")


@dataclass(frozen=True)
class Full(Sampler):
    """The whole catalogue: every item is a negative of every row, without sampling.

    Args:
        exclude_positive: the row's own item is absent. False for a loss whose sum runs over all
            items, True for one that adds the positive itself (with SSM that is cross-entropy).
        exclude_known: the user's other training positives are absent.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> Full().bind(train, seed=0).draw(user, item, row, epoch=0).absent.to_dense().int().tolist()
    [[0, 0, 1], [0, 1, 0]]
    """

    exclude_positive: bool = True
    exclude_known: bool = False

    def bind(self, train: Interactions, seed: int) -> BoundFull:
        return BoundFull(Known(train), self.exclude_positive, self.exclude_known)

    def of_users(self) -> Full:
        return Full(exclude_positive=True, exclude_known=True)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return CatalogueNegatives.shape(batch_size, n_items)


@dataclass(frozen=True, eq=False)
class BoundFull(BoundSampler):
    """:class:`Full` bound to a log; nothing is drawn, so the seed does not matter."""

    known: Known
    exclude_positive: bool
    exclude_known: bool

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> CatalogueNegatives:
        """No ids: the columns are all items; ``absent`` [B, I] sparse, or None where nothing is excluded."""
        if not (self.exclude_positive or self.exclude_known):
            return CatalogueNegatives()
        shape = (len(user), self.known.train.n_items)
        cells = np.arange(shape[0]) * shape[1] + item.numpy()
        if self.exclude_known:
            change = np.union1d if self.exclude_positive else np.setdiff1d
            cells = change(self.known.cells(user.numpy()), cells)
        places = torch.from_numpy(np.stack(np.divmod(cells, shape[1])))
        true = torch.ones(len(cells), dtype=torch.bool)
        absent = torch.sparse_coo_tensor(places, true, shape, is_coalesced=True, check_invariants=False)
        return CatalogueNegatives(absent=absent)

    def base_distribution(self) -> BaseDistribution:
        return base_of(Even(self.known), self.exclude_known)
