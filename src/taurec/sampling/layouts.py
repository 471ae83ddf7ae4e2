"""How the negatives of a batch are laid out: one class a layout, and a base class with defaults for others.

============================ ==================== ================================= ==============================
class                        negatives            cost of scores                    absent
============================ ==================== ================================= ==============================
:class:`PerRowNegatives`     ids [B, N]           gather-dot: the papers' default   known positives, if asked
:class:`SharedNegatives`     ids [N]              one matrix product                known positives of a row's user
:class:`InBatchNegatives`    the batch's items    one matrix product [B, B]         the row's own item, and others
:class:`CatalogueNegatives`  all items            tiles, never [B, I]               the positive, known positives
:class:`VectorNegatives`     [N, D] or [B, N, D]  matrix product                    as the sampler says
============================ ==================== ================================= ==============================

Nothing else in the package asks which layout negatives have.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.kernels import select
from taurec.kernels.gather_dot import gather_dot
from taurec.types import Embeddings, ItemSide, Once, StepShape

#: Scores [B, N] of shared negatives from which on they are reduced in tiles instead of held.
SHARED_WORTH = 1 << 21

Self = TypeVar("Self", bound="Layout")


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Defaults of :class:`taurec.types.Negatives` for negatives that all rows share and that have no ids.

    A subclass is a frozen dataclass. It says at least what its :meth:`columns` are, or gives :meth:`scores` itself.

    Args:
        absent, logq: see :class:`taurec.types.Negatives`.
    """

    absent: Tensor | None = None
    logq: Tensor | None = None

    def to(self: Self, device: torch.device) -> Self:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return replace(self, **{k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)})

    def drawn(self) -> Tensor | None:
        return None

    def at(self: Self, places: Tensor) -> Self:
        return self

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        ids = self.drawn()
        return item if ids is None else torch.cat([item, ids])

    def narrow(self, item: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        return item, positive

    def with_vectors(self: Self, change: ItemSide) -> Self:
        return self

    def with_layers(self: Self, embeddings: Embeddings) -> Self:
        return self

    def items(self, positive: Tensor) -> Tensor | None:
        return None

    def columns(self, item: Tensor) -> Tensor | None:
        return None

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        columns = self.columns(item)
        assert columns is not None, f"{type(self).__name__} gives neither columns nor scores"
        return positive_scores(user, item, positive), user @ columns.T

    def streams(self, rows: int) -> bool:
        return False

    def scored_by(self, user: Tensor, item: Tensor, kernel: str, rows: int, d_item: Tensor | None = None) -> str:
        return "torch"

    def once(self) -> Once | None:
        return None


def positive_scores(user: Tensor, item: Tensor, positive: Tensor) -> Tensor:
    """[B] dot products of the rows' users with their positives.

    By F.embedding, not ``item[positive]``: its backward gives the same bits for any number of threads.
    """
    return (user * F.embedding(positive, item)).sum(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class PerRowNegatives(Layout):
    """Each row's own ids [B, N]."""

    ids: Tensor

    @classmethod
    def shape(cls, batch_size: int, n: int, n_items: int, logq: bool = False) -> StepShape:
        return StepShape(n, batch_size * (n + 1), batch_size * (n + 1), gathered=True, items=True, logq=logq)

    def drawn(self) -> Tensor:
        return self.ids.reshape(-1)

    def items(self, positive: Tensor) -> Tensor | None:
        return self.ids

    def at(self, places: Tensor) -> PerRowNegatives:
        return replace(self, ids=places.view(self.ids.shape))

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        return None if 2 * self.ids.numel() > n_items else super().rows_needed(item, n_items)

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        together = gather_dot(user, item, torch.cat([positive[:, None], self.ids], 1), kernel=kernel, d_item=d_item)
        # One cut: two slices would each fill a [B, 1 + N] with zeros for the gradient, and add them.
        pos, neg = torch.split_with_sizes(together, [1, self.ids.shape[1]], 1)
        return pos[:, 0], neg

    def scored_by(self, user: Tensor, item: Tensor, kernel: str, rows: int, d_item: Tensor | None = None) -> str:
        together = self.ids[:1, :1].expand(rows, 1 + self.ids.shape[1])  # the positive is one of the ids
        return select("gather_dot", user, item, together, d_item, kernel=kernel).name


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedNegatives(Layout):
    """Ids [N] for all rows."""

    ids: Tensor

    @classmethod
    def shape(cls, batch_size: int, n: int, n_items: int, logq: bool = False) -> StepShape:
        return StepShape(n, batch_size + n, batch_size * n, items=True, logq=logq)

    def drawn(self) -> Tensor:
        return self.ids

    def items(self, positive: Tensor) -> Tensor:
        return self.ids

    def at(self, places: Tensor) -> SharedNegatives:
        return replace(self, ids=places)

    def columns(self, item: Tensor) -> Tensor:
        return F.embedding(self.ids, item)

    def streams(self, rows: int) -> bool:
        return self.absent is None and rows * len(self.ids) >= SHARED_WORTH


@dataclass(frozen=True, kw_only=True, eq=False)
class InBatchNegatives(Layout):
    """The items of the batch's rows, N = B."""

    @classmethod
    def shape(cls, batch_size: int, n_items: int, logq: bool = False) -> StepShape:
        return StepShape(batch_size, batch_size, batch_size * batch_size, items=True, logq=logq)

    def narrow(self, item: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        # The other items are not looked at, and the table may be large.
        return F.embedding(positive, item), torch.arange(len(positive), device=positive.device)

    def items(self, positive: Tensor) -> Tensor:
        return positive

    def columns(self, item: Tensor) -> Tensor:
        return item


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogueNegatives(Layout):
    """Every item, N = I; ``absent`` is sparse."""

    @classmethod
    def shape(cls, batch_size: int, n_items: int) -> StepShape:
        return StepShape(n_items, None, 0)

    def rows_needed(self, item: Tensor, n_items: int) -> None:
        return None

    def columns(self, item: Tensor) -> Tensor:
        return item

    def streams(self, rows: int) -> bool:
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorNegatives(Layout):
    """Vectors instead of items: [N, D] for all rows, or [B, N, D] for each row its own. They get no gradient."""

    vectors: Tensor

    @classmethod
    def shape(cls, batch_size: int, n: int, n_items: int) -> StepShape:
        return StepShape(n, batch_size, batch_size * n)

    def with_vectors(self, change: ItemSide) -> VectorNegatives:
        return replace(self, vectors=change(self.vectors))

    def columns(self, item: Tensor) -> Tensor | None:
        return self.vectors if self.vectors.ndim == 2 else None

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if self.vectors.ndim == 2:
            return super().scores(user, item, positive, kernel, d_item)
        neg = torch.bmm(self.vectors, user[:, :, None])[:, :, 0]
        return positive_scores(user, item, positive), neg
