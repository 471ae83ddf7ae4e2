"""Data that the parts exchange: a batch of rows, the ids of its negatives, embeddings. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Layout = Literal["per_row", "shared", "in_batch", "full"]


@dataclass(frozen=True)
class NegativeIds:
    """The negatives of a batch.

    Attributes:
        layout: ``per_row`` ids[B, N]; ``shared`` ids[N] for all rows; ``in_batch`` the batch's own
            items, N = B; ``full`` the whole catalogue, N = I (ids is None for the last two).
        absent: [B, N] bool, True where the row has no such negative; its score becomes -inf. Of ``full``
            it is a coalesced sparse tensor, whose size is that of its True entries.
        logq: log proposal probability, [B, N] or [N], where the source knows it.
    """

    layout: Layout
    ids: Tensor | None = None
    absent: Tensor | None = None
    logq: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Rows of observed pairs and where their negatives are.

    Attributes:
        user, item: [B] int64 indices.
        row: [B] int64, the pair's position in the training log: which identifies it in random draws.
        weight: [B] float32 or None for all ones.
    """

    user: Tensor
    item: Tensor
    row: Tensor
    negatives: NegativeIds
    weight: Tensor | None = None


@dataclass(frozen=True)
class Embeddings:
    """What a backbone yields.

    Attributes:
        user, item: [U, D], [I, D] final vectors, which are scored.
        ego_user, ego_item: [U, d], [I, d] the tables they were made from (the same for MF).
        hops: layer outputs [U + I, d] from layer 0 on, where the backbone has layers.
        at: [n] and [m], the row in ``user`` and in ``item`` of each user and item that was requested, where only some
            final vectors were requested. None where ``user`` and ``item`` hold all of them.
        by_row: whether ``user`` holds the user's vector of each row of a batch, [B, D], instead.
    """

    user: Tensor
    item: Tensor
    ego_user: Tensor
    ego_item: Tensor
    hops: tuple[Tensor, ...] = ()
    at: tuple[Tensor, Tensor] | None = None
    by_row: bool = False
