"""Types that the parts exchange: a batch, its negatives, embeddings, the sizes of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class StepShape:
    """What a step with these negatives reads and holds, and what is known of them; declared before anything is drawn.

    Attributes:
        columns: N, negatives of a row.
        rows: item rows that a step reads, positives included; None for the whole table.
        held: scores of negatives that a step holds at once.
        gathered: whether each row's scores are gathered from the item table, which lets the kernel write the
            gradient of the items itself.
        vectors: vectors of D numbers that a step holds for its negatives, beyond the rows that it reads.
        items: whether the item of each negative is known, see :meth:`Negatives.items`.
        logq: whether the log of the probability of each negative is known, see :class:`Negatives`.
        distances: whether the scores may be distances.
        layers: whether the negatives are made from the layer outputs of the backbone, see
            :meth:`Negatives.with_layers`.
    """

    columns: int
    rows: int | None
    held: int
    gathered: bool = False
    vectors: int = 0
    items: bool = False
    logq: bool = False
    distances: bool = True
    layers: bool = False


class ItemSide(Protocol):
    """How vectors [n, D] become the items' side of a score, a dot product: of length 1, with columns added, or as they
    are.

    Attributes:
        unit: whether they get length 1.
        added: columns that are added to them.
    """

    @property
    def unit(self) -> bool: ...

    @property
    def added(self) -> int: ...

    def __call__(self, vectors: Tensor) -> Tensor: ...


class Negatives(Protocol):
    """The negatives of a batch of B rows: N scores for each row.

    How they are laid out (ids for each row, ids that all rows share, the batch's own items, the catalogue, vectors)
    is known only to the class; see :mod:`taurec.sampling.layouts` for the classes and a base class with defaults.

    Attributes:
        absent: [B, N] bool, True where a row has no such negative; its score becomes -inf. A coalesced sparse tensor
            where the True entries are few.
        logq: log of the probability with which each negative was proposed, [B, N] or [N]; None if not known.
    """

    @property
    def absent(self) -> Tensor | None: ...

    @property
    def logq(self) -> Tensor | None: ...

    def to(self, device: torch.device) -> Negatives:
        """The same on another device."""
        ...

    def drawn(self) -> Tensor | None:
        """[M] ids of the items that were drawn, repeats included: L2 counts them, and a step reads their rows.

        None where no id was drawn (the batch's own items, the whole catalogue, vectors).
        """
        ...

    def at(self, places: Tensor) -> Negatives:
        """The same with every drawn id replaced by its position [M] in a smaller item table."""
        ...

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        """Ids of all items whose final vectors the scores read, repeats allowed; None for all items.

        Args:
            item: [B] the positives, which come first in the result; :meth:`drawn` ids follow.
        """
        ...

    def narrow(self, item: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        """The item table that is scored, and the positions of the positives in it; it has only the rows needed."""
        ...

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Dot products ``pos[B]`` and ``neg[B, N]`` of user [B, D] with the positives and with the negatives.

        Args:
            item, positive: as :meth:`narrow` gave them.
            kernel: how per-row scores are gathered.
            d_item: where the gradient of the items goes, for a layout whose :class:`StepShape` is ``gathered``.
        """
        ...

    def with_vectors(self, change: ItemSide) -> Negatives:
        """The same with ``change``, such as scaling to length 1, applied to vectors that are not in the item table."""
        ...

    def with_layers(self, embeddings: Embeddings) -> Negatives:
        """The same told of the vectors and the layer outputs that the step computed, for negatives made from layers."""
        ...

    def items(self, positive: Tensor) -> Tensor | None:
        """The item of each column, [B, N] or for all rows [N]; None for the whole catalogue and for vectors.

        Args:
            positive: [B] the items of the batch's rows.
        """
        ...

    def columns(self, item: Tensor) -> Tensor | None:
        """[N, D] the vectors with which all rows are scored; None where each row has its own."""
        ...

    def streams(self, rows: int) -> bool:
        """Whether the scores of this many rows should be reduced in tiles instead of held."""
        ...

    def scored_by(self, user: Tensor, item: Tensor, kernel: str, rows: int, d_item: Tensor | None = None) -> str:
        """The kernel that :meth:`scores` runs for this many rows."""
        ...

    def once(self) -> Once | None:
        """The negatives without repeats, where rows share theirs; None where each row has its own."""
        ...


class Once(NamedTuple):
    """Negatives of K <= B rows, and which of them each of B rows has.

    Attributes:
        negatives: of K rows.
        first: [K] a row of the batch that has them.
        place: [B] which of the K each row has.
    """

    negatives: Negatives
    first: Tensor
    place: Tensor


@dataclass(frozen=True)
class Batch:
    """Rows of observed pairs and their negatives.

    Attributes:
        user, item: [B] int64 indices.
        row: [B] int64, the pair's position in the training log; draws are keyed by it.
        weight: [B] float32 or None for all ones.
    """

    user: Tensor
    item: Tensor
    row: Tensor
    negatives: Negatives
    weight: Tensor | None = None


@dataclass(frozen=True)
class LeftOut:
    """What a user's vector is without one of the items that it is the sum of: ``user[b] - share[b] * item[j]``.

    Attributes:
        at: [B] the row in ``Embeddings.user`` of each row of the batch.
        share: [B] the factor of an item's vector in that of the row's user.
        item: [I, D] the vectors of which users are sums.
        everywhere: whether a pair's negatives are scored with that vector too.
    """

    at: Tensor
    share: Tensor
    item: Tensor
    everywhere: bool = False

    def without(self, user: Tensor, items: Tensor) -> Tensor:
        """The vectors of the rows' users [B, D] without one item each, [B]; or [B, M] items, giving [B * M, D].

        >>> left_out = LeftOut(torch.tensor([0]), torch.tensor([0.5]), torch.tensor([[2.0], [6.0]]))
        >>> left_out.without(torch.tensor([[4.0]]), torch.tensor([[0, 1]]))
        tensor([[3.],
                [1.]])
        """
        own, share = F.embedding(items.reshape(-1), self.item), self.share
        if items.ndim == 2:
            each = torch.arange(len(items), device=items.device).repeat_interleave(items.shape[1])
            user, share = F.embedding(each, user), share.index_select(0, each)
        return user - share[:, None] * own


@dataclass(frozen=True)
class Embeddings:
    """The vectors that a backbone computes.

    Attributes:
        user, item: [U, D], [I, D] final vectors, which are scored.
        ego_user, ego_item: [U, d], [I, d] the tables they were made from (the same for MF). Where users have no table
            and ``ego_user`` is one of items, see ``of_histories``.
        hops: layer outputs [U + I, d] from layer 0 on, where the backbone has layers.
        at: [n] and [m], the row in ``user`` and in ``item`` of each user and item that was requested, where only some
            final vectors were requested. None where ``user`` and ``item`` hold all of them.
        by_row: whether ``user`` holds the user's vector of each row of a batch, [B, D], instead.
        of_histories: whether ``ego_user`` is [I, d], the table of the items of histories; in the L2 term its row of the
            pair's item takes the place of the user's.
        left_out: the item that a pair's score leaves out of its user's vector; None where no item is left out.
    """

    user: Tensor
    item: Tensor
    ego_user: Tensor
    ego_item: Tensor
    hops: tuple[Tensor, ...] = ()
    at: tuple[Tensor, Tensor] | None = None
    by_row: bool = False
    of_histories: bool = False
    left_out: LeftOut | None = None

    def of_pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B] each, the rows in ``user`` and in ``item`` of the pairs of the batch for which they were computed.

        >>> e = Embeddings(torch.ones(2, 1), torch.ones(3, 1), torch.ones(9, 1), torch.ones(9, 1))
        >>> ids = torch.tensor([1, 0])
        >>> e.of_pairs(Batch(ids, ids + 1, ids, negatives=None))
        (tensor([1, 0]), tensor([2, 1]))
        """
        if self.left_out is not None:
            return self.left_out.at, batch.item
        if self.by_row:
            return torch.arange(len(batch.user), device=batch.user.device), batch.item
        if self.at is None:
            return batch.user, batch.item
        user, item = self.at
        return user, item[: len(batch.item)]
