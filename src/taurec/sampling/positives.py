"""Further positives of the rows' users, for losses that compare several positives with the same negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.kernels.gather_dot import gather_dot
from taurec.sampling.protocol import BaseDistribution, BoundSampler, NegativeSampler, Vectors
from taurec.types import Batch, Embeddings, ItemSide, Negatives, Once, StepShape


@dataclass(frozen=True)
class AddPositives:
    """Adds ``m`` positives to the negatives of another sampler; their scores are the first ``m`` columns.

    A positive is drawn uniformly, with repetition, from the training items of the row's user, the row's own included.

    Args:
        sampler: of the negatives.
        m: further positives per row.

    >>> from taurec.sampling import Uniform
    >>> train = Interactions.from_pairs([0, 0, 1], [2, 5, 3])
    >>> at = torch.tensor([0, 1])
    >>> AddPositives(Uniform(2), m=3).bind(train, seed=0).draw(at, torch.tensor([2, 3]), at, epoch=0).more.shape
    torch.Size([2, 3])
    """

    sampler: NegativeSampler
    m: int

    @property
    def needs(self) -> frozenset[str]:
        return self.sampler.needs

    def bind(self, train: Interactions, seed: int) -> BoundAddPositives:
        return BoundAddPositives(self, train, seed)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        own, more = self.sampler.shape(batch_size, n_items), batch_size * self.m
        rows = None if own.rows is None else own.rows + more
        return replace(own, rows=rows, held=own.held + more, gathered=False)


class BoundAddPositives(BoundSampler):
    """What :class:`AddPositives` binds; all but the further positives is the other sampler's."""

    def __init__(self, how: AddPositives, train: Interactions, seed: int):
        self.bound, self.m, self.seed = how.sampler.bind(train, seed), how.m, seed
        self.trained = self.bound.trained
        self.train = train if self.trained is None else self.trained

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PositivesAndNegatives:
        first, count = self.train.indptr[user.numpy()], self.train.user_counts[user.numpy()]
        share = draw.uniform(draw.key(self.seed, "more positives", epoch), row.numpy(), self.m)
        place = np.minimum((share * count[:, None]).astype(np.int64), count[:, None] - 1)
        more = torch.from_numpy(self.train.indices[first[:, None] + place].astype(np.int64))
        return PositivesAndNegatives(more, self.bound.draw(user, item, row, epoch))

    def base_distribution(self) -> BaseDistribution | None:
        return self.bound.base_distribution()

    def look(self, vectors: Vectors) -> None:
        self.bound.look(vectors)

    def observe(self, batch: Batch, user: Tensor, item: Tensor) -> None:
        assert isinstance(batch.negatives, PositivesAndNegatives)
        self.bound.observe(replace(batch, negatives=batch.negatives.negatives), user, item)

    def state(self) -> Mapping[str, NDArray[Any]]:
        return self.bound.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.bound.load_state(state)


@dataclass(frozen=True, eq=False)
class PositivesAndNegatives:
    """Further positives [B, M] and negatives of a batch, as :class:`taurec.types.Negatives` with M + N columns."""

    more: Tensor
    negatives: Negatives

    @property
    def absent(self) -> Tensor | None:
        absent = self.negatives.absent
        if absent is None:
            return None
        return torch.cat([torch.zeros_like(self.more, dtype=torch.bool), absent.to_dense()], 1)

    @property
    def logq(self) -> Tensor | None:
        return self.negatives.logq

    def to(self, device: torch.device) -> PositivesAndNegatives:
        return PositivesAndNegatives(self.more.to(device), self.negatives.to(device))

    def drawn(self) -> Tensor:
        own = self.negatives.drawn()
        more = self.more.reshape(-1)
        return more if own is None else torch.cat([more, own])

    def at(self, places: Tensor) -> PositivesAndNegatives:
        more, own = places[: self.more.numel()].view(self.more.shape), places[self.more.numel() :]
        return PositivesAndNegatives(more, self.negatives.at(own) if len(own) else self.negatives)

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        if self.negatives.rows_needed(item, n_items) is None:
            return None
        return torch.cat([item, self.drawn()])

    def narrow(self, item: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        return item, positive

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        more = gather_dot(user, item, self.more, kernel=kernel)
        pos, neg = self.negatives.scores(user, *self.negatives.narrow(item, positive), kernel, None)
        return pos, torch.cat([more, neg], 1)

    def with_vectors(self, change: ItemSide) -> PositivesAndNegatives:
        return PositivesAndNegatives(self.more, self.negatives.with_vectors(change))

    def with_layers(self, embeddings: Embeddings) -> PositivesAndNegatives:
        return PositivesAndNegatives(self.more, self.negatives.with_layers(embeddings))

    def items(self, positive: Tensor) -> Tensor | None:
        return self.negatives.items(positive)

    def columns(self, item: Tensor) -> None:
        return None

    def streams(self, rows: int) -> bool:
        return False

    def scored_by(self, user: Tensor, item: Tensor, kernel: str, rows: int, d_item: Tensor | None = None) -> str:
        return self.negatives.scored_by(user, item, kernel, rows)

    def once(self) -> Once | None:
        return None
