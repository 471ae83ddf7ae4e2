"""Negatives from earlier batches: a ring of item vectors that the last steps scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling.known import Known
from taurec.sampling.mixed import BatchAndMore
from taurec.sampling.per_row import check_n_epochs
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.sampling.shared import Mask, batch_log_q, masked
from taurec.types import Batch, ItemSide, StepShape


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchAndMemory(BatchAndMore):
    """The items of the batch's rows, then ``vectors`` [M, D] of the items ``ids``, which get no gradient."""

    vectors: Tensor

    def drawn(self) -> None:
        return None

    def at(self, places: Tensor) -> BatchAndMemory:
        return self

    def with_vectors(self, change: ItemSide) -> BatchAndMemory:
        return replace(self, vectors=change(self.vectors) if self.vectors.shape[1] else self.vectors)

    def more(self, item: Tensor) -> Tensor:
        if not self.vectors.shape[1]:  # before the first step their width is not known, and all are absent
            return item.new_zeros(len(self.vectors), item.shape[1])
        return self.vectors.to(item)


@dataclass(frozen=True)
class CrossBatch(Sampler):
    """The items of the batch's other rows, and the vectors of the last ``size`` positives that earlier steps scored.

        N = B + size columns:   <u, v_i> for the batch's items i,   <u, m_k> for the memory's vectors m_k (constants)

    Many negatives at the cost of a few: the memory costs no pass of the backbone and no gradient. Its vectors are as
    old as size / B steps, which is harmless once vectors move slowly; hence the warm-up.

    Args:
        size: vectors in the memory, a ring: a step overwrites the oldest B.
        warmup: epochs in which the memory is filled but not used.
        mask: ``known`` leaves out, in each row, its own column, equal items, and every item that its user has a
            training pair with, in the batch and in the memory; ``equal`` the first two.
    Guarantees: the memory holds exactly the last ``size`` positives in the order of the steps, as they were scored,
        detached. Places that are not yet filled are absent. The ring is saved in checkpoints, so a resumed run ends
        with the same bits. ``logq`` is log(count_j / P), as for ``in-batch``.
    Cost: one matrix product [B, D] x [D, B + size], and a copy of the ring [size, D] a step.
    Raises: UsageError if size is below 1 or warmup is negative.
    Source: Wang et al., CVPR 2020 (cross-batch memory); Wang et al., SIGIR 2021, for two-tower models. Differs from
        the authors' code of the former, which overwrites the last B places when a batch does not fit at the end, and
        has a pair loss with a weight for the memory's part, which is left to the loss here.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> bound = CrossBatch(size=3, warmup=0).bind(train, seed=0)
    >>> bound.observe(Batch(user, item, row, bound.draw(user, item, row, 1)), torch.eye(2), torch.eye(2))
    >>> bound.draw(user, item, row, epoch=1).absent.int().tolist()
    [[1, 0, 1, 0, 1], [0, 1, 0, 1, 1]]
    """

    size: int = 4096
    warmup: int = 1
    mask: Mask = "known"

    needs: ClassVar[frozenset[str]] = frozenset({"steps"})

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"cross-batch: size must be at least 1 vector, got {self.size}; 4096 is usual")
        check_n_epochs("cross-batch", "warmup", self.warmup, 0)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.size": [1024, 4096, 16384]}

    def bind(self, train: Interactions, seed: int) -> BoundCrossBatch:
        return BoundCrossBatch(self, Known(train))

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        columns = batch_size + self.size
        return StepShape(columns, batch_size, batch_size * columns, items=True, logq=True)


class BoundCrossBatch(BoundSampler):
    """:class:`CrossBatch` bound to a log; nothing is drawn, so the seed does not matter.

    Attributes:
        vectors: [size, D]; width 0 before the first step.
        ids: [size] the items of the vectors; -1 where nothing was stored.
        next: the place that the next vector is stored at.
    """

    def __init__(self, how: CrossBatch, known: Known):
        self.how, self.known = how, known
        self.vectors = torch.zeros(how.size, 0)
        self.ids = np.full(how.size, -1)
        self.next = 0
        self._log_q = batch_log_q(known.train)

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> BatchAndMemory:
        """The batch's items and a copy of the ring; ``absent`` [B, B + size] by ``mask`` and where it is not filled."""
        used = self.ids >= 0 if epoch > self.how.warmup else np.zeros(self.how.size, dtype=bool)
        ids = np.where(used, self.ids, 0)
        columns = np.concatenate([item.numpy(), ids])
        absent = masked(self.known, self.how.mask, user, item, columns)
        absent[:, len(item) :] |= torch.from_numpy(~used)
        return BatchAndMemory(
            ids=torch.from_numpy(ids),
            vectors=self.vectors.clone(),
            absent=absent,
            logq=torch.from_numpy(self._log_q[columns]),
        )

    def observe(self, batch: Batch, user: Tensor, item: Tensor) -> None:
        """Store the vectors [B, D] of the batch's positives over the oldest ones."""
        if not self.vectors.shape[1]:
            self.vectors = torch.zeros(self.how.size, item.shape[1], dtype=item.dtype, device=item.device)
        ids, vectors = batch.item.cpu().numpy()[-self.how.size :], item[-self.how.size :]
        places = (self.next + np.arange(len(ids))) % self.how.size
        self.ids[places] = ids
        self.vectors[torch.from_numpy(places).to(item.device)] = vectors
        self.next = int((self.next + len(ids)) % self.how.size)

    def state(self) -> Mapping[str, NDArray[Any]]:
        return {"vectors": self.vectors.cpu().numpy(), "ids": self.ids, "next": np.array([self.next])}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.vectors = torch.from_numpy(state["vectors"].copy()).to(self.vectors.device)
        self.ids, self.next = state["ids"].copy(), int(state["next"][0])
