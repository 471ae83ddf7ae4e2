"""Negatives drawn for each row on its own: the layout of the papers.

What row r draws depends on (seed, epoch, r) alone, not on the batch it is in. Slot c of a row uses
column c of the row's stream; where a positive is refused, redraw k of that slot uses column c + k * n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError
from taurec.kernels.draws import uniform_ids_without
from taurec.sampling.known import Known
from taurec.sampling.layouts import PerRowNegatives
from taurec.sampling.proposal import Even, Proposal, base_of, by_popularity
from taurec.sampling.protocol import BaseDistribution, BoundSampler, Sampler
from taurec.types import StepShape

if TYPE_CHECKING:
    from taurec.kernels.draws.triton import KnownItems

ROUNDS = 8  # draws of a slot by rejection; what is left then is drawn exactly from the rest


@dataclass(frozen=True)
class Uniform(Sampler):
    """Uniform negatives: each of a row's n ids is any item with probability 1/I, independently.

    Ids may repeat. With ``exclude`` the ids are uniform over the items that the row's user has no
    training pair with; a user who has every item has no negatives, and the row is absent.

    Args:
        n: negatives a row.
        exclude: never draw a training positive of the row's user, the row's own included.
    Raises: UsageError if n is below 1 or the catalogue is empty.
    Source: the official BSL code's ``uniform`` (positives not excluded); the
        excluding form is LightGCN's.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = Uniform(3, exclude=True).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.ids[0].tolist()
    (torch.Size([2, 3]), [1, 1, 1])
    """

    n: int = 800
    exclude: bool = False

    def __post_init__(self) -> None:
        check_n("uniform", self.n)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [64, 256, 1024]}

    def bind(self, train: Interactions, seed: int) -> BoundPerRow:
        known = Known(train)
        return BoundPerRow(known, by_popularity(known, 0.0), seed, self.n, self.exclude)

    def of_users(self) -> Uniform:
        return replace(self, exclude=True)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)


@dataclass(frozen=True)
class Popularity(Sampler):
    """Negatives by popularity: each id is item j with probability q_j = count_j^alpha / sum_k count_k^alpha.

    ``logq`` is log q_j; with ``exclude`` q is restricted to the items that the row's user has no
    training pair with, and ``logq`` is that of the restricted q. Items without training pairs are
    never drawn unless alpha is 0. A user who has every item that can be drawn has no negatives.

    Args:
        n: negatives a row.
        alpha: 0.75 is word2vec's; 1 is the distribution of in-batch negatives; 0 is uniform.
        exclude: never draw a training positive of the row's user.
    Raises: UsageError if n is below 1, alpha is negative, or there is nothing to count.
    Source: Mikolov et al., NeurIPS 2013, arXiv 1310.4546, section 2.2.

    >>> train = Interactions.from_pairs([0, 1, 2, 2], [0, 0, 0, 1])
    >>> at = torch.tensor([0])
    >>> drawn = Popularity(4, alpha=1.0).bind(train, seed=0).draw(at, at, at, epoch=0)
    >>> bool((drawn.logq.exp() == torch.where(drawn.ids == 0, 0.75, 0.25)).all())
    True
    """

    n: int = 800
    alpha: float = 0.75
    exclude: bool = False

    def __post_init__(self) -> None:
        check_n("popularity", self.n)
        check_alpha("popularity", self.alpha)

    def bind(self, train: Interactions, seed: int) -> BoundPerRow:
        known = Known(train)
        return BoundPerRow(known, by_popularity(known, self.alpha), seed, self.n, self.exclude)

    def of_users(self) -> Popularity:
        return replace(self, exclude=True)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)


@dataclass(frozen=True, eq=False)
class BoundPerRow(BoundSampler):
    """A per-row source bound to a log and a seed; with ``device`` its ids are drawn there, with the same values."""

    known: Known
    proposal: Proposal
    seed: int
    n: int
    exclude: bool
    device: torch.device | None = None

    def on(self, device: torch.device) -> BoundPerRow:
        """The same source, drawing on a GPU where its kernels can: uniform ids. Others stay on the CPU."""
        return replace(self, device=device) if isinstance(self.proposal, Even) else self

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PerRowNegatives:
        """Ids [B, n] and their ``logq``; ``absent`` only where a row has no negative (its ids are then 0)."""
        stream, rows = draw.key(self.seed, "negatives", epoch), row.numpy()
        if self.device is not None:
            return self._draw_there(stream, rows, user, self.device)
        if not self.exclude:
            ids = self.proposal.pick_rows(stream, rows, self.n)
            return PerRowNegatives(ids=torch.from_numpy(ids), logq=torch.from_numpy(self.proposal.log_q(ids)))
        users = user.numpy()
        left = self.proposal.left(users)
        ids = self._unknown(stream, users, rows, left > 0)
        with np.errstate(divide="ignore"):
            logq = self.proposal.log_q(ids) - np.log(left)[:, None].astype(np.float32)
        absent = None
        if (left == 0).any():
            ids[left == 0], logq[left == 0] = 0, 0.0
            absent = torch.from_numpy(left == 0)[:, None].expand(-1, self.n)
        return PerRowNegatives(ids=torch.from_numpy(ids), absent=absent, logq=torch.from_numpy(logq))

    def base_distribution(self) -> BaseDistribution:
        return base_of(self.proposal, self.exclude)

    def _draw_there(self, stream: int, rows: Index, user: Tensor, device: torch.device) -> PerRowNegatives:
        from taurec.kernels.draws import triton as gpu_draws

        n_items = self.known.train.n_items
        log_q = self.proposal.log_q(np.zeros((len(rows), 1), np.int64))
        if not self.exclude:
            ids = gpu_draws.uniform_ids(stream, rows, n_items, self.n, device)
            return PerRowNegatives(ids=ids, logq=_wide(log_q, ids))
        known, left = self._known_there, self.proposal.left(user.numpy())
        ids = gpu_draws.uniform_ids_without(stream, rows, n_items, self.n, user.to(device), known, ROUNDS)
        none = left == 0
        log_q = np.where(none, 0.0, log_q[:, 0] - np.log(left, where=~none, out=np.zeros_like(left)).astype(np.float32))
        absent = _wide(none[:, None], ids) if none.any() else None
        return PerRowNegatives(ids=ids, absent=absent, logq=_wide(log_q.astype(np.float32)[:, None], ids))

    @cached_property
    def _known_there(self) -> KnownItems:
        from taurec.kernels.draws.triton import KnownItems

        train = self.known.train
        indptr, indices = (
            torch.from_numpy(np.array(a, np.int64)).to(self.device) for a in (train.indptr, train.indices)
        )
        return KnownItems(indptr, indices, int(train.user_counts.max(initial=0)))

    def _unknown(self, stream: int, users: Index, rows: Index, possible: NDArray[np.bool_]) -> Index:
        """Ids [B, n] that are no positives of the rows' users, in rows where that is possible."""
        if isinstance(self.proposal, Even):
            ids = self._unknown_uniform(stream, users, rows)
            b, c = np.nonzero((ids < 0) & possible[:, None])
        else:
            ids = self.proposal.pick_rows(stream, rows, self.n)
            b, c = np.nonzero(self.known.among(users, ids) & possible[:, None])
            for attempt in range(1, ROUNDS):
                if not len(b):
                    return ids
                again = self.proposal.pick(draw.cells(stream, rows[b], c + attempt * self.n))
                ids[b, c] = again
                refused = self.known.train.contains(users[b], again)
                b, c = b[refused], c[refused]
        if len(b):
            ids[b, c] = self.proposal.pick_free(users[b], draw.cells(stream, rows[b], c + ROUNDS * self.n))
        return ids

    def _unknown_uniform(self, stream: int, users: Index, rows: Index) -> Index:
        train = self.known.train
        return uniform_ids_without(stream, rows, train.n_items, self.n, users, train.indptr, train.indices, ROUNDS)


def _wide(column: NDArray[np.generic], ids: Tensor) -> Tensor:
    """A column [B, 1], the same for each of a row's ids, in their shape and on their device."""
    return torch.from_numpy(column).to(ids.device, non_blocking=True).expand(ids.shape)


def check_n(name: str, n: int) -> None:
    if n < 1:
        raise UsageError(f"{name}: n must be at least 1 negative, got {n}; the papers use 800 or 1000")


def check_n_epochs(name: str, setting: str, value: int, least: int) -> None:
    """Refuse a number of epochs below ``least``."""
    if value < least:
        raise UsageError(f"{name}: {setting} must be at least {least} epochs, got {value}")


def check_alpha(name: str, alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha >= 0):
        raise UsageError(f"{name}: alpha must be 0 (uniform) or more, got {alpha}; 0.75 and 1 are usual")
