"""One draw of negatives for all rows of a user, for backbones whose users' vectors are the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.sampling.layouts import positive_scores
from taurec.sampling.protocol import BaseDistribution, BoundSampler, NegativeSampler, Vectors
from taurec.types import Batch, Embeddings, ItemSide, Negatives, Once, StepShape


@dataclass(frozen=True)
class OncePerUser:
    """The negatives of another sampler, drawn once for each user of a batch and shared by the user's rows.

    Args:
        sampler: as :meth:`taurec.sampling.protocol.Sampler.of_users` gives it.
    Guarantees: the draw of a user is that of the user's smallest row position in the batch.

    >>> from taurec.sampling import Uniform
    >>> train = Interactions.from_pairs([0, 0, 1], [2, 5, 3])
    >>> user, item, row = torch.tensor([1, 0, 0]), torch.tensor([3, 2, 5]), torch.tensor([2, 0, 1])
    >>> drawn = OncePerUser(Uniform(4, exclude=True)).bind(train, seed=0).draw(user, item, row, epoch=1)
    >>> drawn.once().place.tolist(), drawn.items(item).shape
    ([1, 0, 0], torch.Size([3, 4]))
    """

    sampler: NegativeSampler

    @property
    def needs(self) -> frozenset[str]:
        return self.sampler.needs

    def bind(self, train: Interactions, seed: int) -> BoundOncePerUser:
        return BoundOncePerUser(self.sampler.bind(train, seed))

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return replace(self.sampler.shape(batch_size, n_items), gathered=False)


class BoundOncePerUser(BoundSampler):
    """What :class:`OncePerUser` binds."""

    def __init__(self, bound: BoundSampler):
        self.bound, self.trained = bound, bound.trained

    def on(self, device: torch.device) -> BoundOncePerUser:
        return BoundOncePerUser(self.bound.on(device))

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> UserNegatives:
        order = np.argsort(row.numpy(), kind="stable")  # which sorts by user too
        _, start, back = np.unique(user.numpy()[order], return_index=True, return_inverse=True)
        place = np.empty_like(back)
        place[order] = back
        first = torch.from_numpy(order[start])
        drawn = self.bound.draw(user[first], item[first], row[first], epoch)
        return UserNegatives(drawn, first, torch.from_numpy(place))

    def base_distribution(self) -> BaseDistribution | None:
        return self.bound.base_distribution()

    def look(self, vectors: Vectors) -> None:
        self.bound.look(vectors)

    def observe(self, batch: Batch, user: Tensor, item: Tensor) -> None:
        self.bound.observe(batch, user, item)

    def state(self) -> Mapping[str, NDArray[Any]]:
        return self.bound.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.bound.load_state(state)


@dataclass(frozen=True, eq=False)
class UserNegatives:
    """Negatives of K users for B rows, as :class:`taurec.types.Negatives` of B rows.

    Args:
        negatives: of K rows.
        first, place: see :class:`taurec.types.Once`.
    """

    negatives: Negatives
    first: Tensor
    place: Tensor

    def once(self) -> Once:
        return Once(self.negatives, self.first, self.place)

    @property
    def absent(self) -> Tensor | None:
        absent = self.negatives.absent
        if absent is None or not absent.is_sparse:
            return None if absent is None else absent.index_select(0, self.place)
        rows, columns = absent.indices()
        count = torch.bincount(rows, minlength=len(self.first))
        start, each = count.cumsum(0) - count, count[self.place]
        row = torch.repeat_interleave(torch.arange(len(each), device=each.device), each)
        begin = (start[self.place] - (each.cumsum(0) - each))[row]
        places = torch.stack([row, columns[torch.arange(len(row), device=row.device) + begin]])
        true, shape = torch.ones(len(row), dtype=torch.bool, device=row.device), (len(each), absent.shape[1])
        return torch.sparse_coo_tensor(places, true, shape, is_coalesced=True, check_invariants=False)

    @property
    def logq(self) -> Tensor | None:
        logq = self.negatives.logq
        return logq if logq is None or logq.ndim == 1 else logq.index_select(0, self.place)

    def to(self, device: torch.device) -> UserNegatives:
        return UserNegatives(self.negatives.to(device), self.first.to(device), self.place.to(device))

    def drawn(self) -> Tensor | None:
        return self.negatives.drawn()

    def at(self, places: Tensor) -> UserNegatives:
        return replace(self, negatives=self.negatives.at(places))

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        return self.negatives.rows_needed(item, n_items)

    def narrow(self, item: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        return item, positive

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        of = user.index_select(0, self.first), item, positive.index_select(0, self.first)
        neg = self.negatives.scores(*of, kernel, d_item)[1]
        return positive_scores(user, item, positive), neg.index_select(0, self.place)

    def with_vectors(self, change: ItemSide) -> UserNegatives:
        return replace(self, negatives=self.negatives.with_vectors(change))

    def with_layers(self, embeddings: Embeddings) -> UserNegatives:
        return replace(self, negatives=self.negatives.with_layers(embeddings))

    def items(self, positive: Tensor) -> Tensor | None:
        items = self.negatives.items(positive.index_select(0, self.first))
        return items if items is None or items.ndim == 1 else items.index_select(0, self.place)

    def columns(self, item: Tensor) -> Tensor | None:
        return self.negatives.columns(item)

    def streams(self, rows: int) -> bool:
        return self.negatives.streams(len(self.first))

    def scored_by(self, user: Tensor, item: Tensor, kernel: str, rows: int, d_item: Tensor | None = None) -> str:
        return self.negatives.scored_by(user, item, kernel, len(self.first), d_item)
