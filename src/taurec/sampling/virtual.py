"""Virtual negatives: points between the vectors of two items, whose gradient reaches both items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling.closest import closest_on_arcs, closest_on_segments
from taurec.sampling.known import Known
from taurec.sampling.layouts import Layout, positive_scores
from taurec.sampling.per_row import BoundPerRow, check_n
from taurec.sampling.proposal import by_popularity
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.types import ItemSide, StepShape

HELD = 6
"""Arrays [B, N, D] that a step with virtual negatives holds, those of the gradient included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VirtualNegatives(Layout):
    """Points made from the vectors of the items ``ids`` [B, N, ends] of each row.

    Args:
        change: how a vector becomes one side of the score, such as scaling to length 1; set by :meth:`with_vectors`.
    """

    ids: Tensor
    change: ItemSide | None = None

    @classmethod
    def shape(cls, batch_size: int, n: int, ends: int) -> StepShape:
        cells = batch_size * n
        return StepShape(n, batch_size + cells * ends, cells, vectors=HELD * cells)

    def drawn(self) -> Tensor:
        return self.ids.reshape(-1)

    def at(self, places: Tensor) -> VirtualNegatives:
        return replace(self, ids=places.view(self.ids.shape))

    def rows_needed(self, item: Tensor, n_items: int) -> Tensor | None:
        return None if 2 * self.ids.numel() > n_items else super().rows_needed(item, n_items)

    def with_vectors(self, change: ItemSide) -> VirtualNegatives:
        return replace(self, change=change)

    def raw(self, item: Tensor) -> Tensor:
        """The item table without the columns that ``change`` adds to a vector."""
        return item if self.change is None else item[:, : item.shape[1] - self.change.added]

    def finished(self, points: Tensor) -> Tensor:
        """Points [B, N, D] as one side of the score."""
        if self.change is None:
            return points
        return self.change(points.reshape(-1, points.shape[-1])).view(*points.shape[:2], -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class InterpolatedNegatives(VirtualNegatives):
    """(1 - share) v_a + share v_b, with a the first of ``ids`` and b the second, or the positive if there is none.

    Args:
        share: [B, N].
    """

    share: Tensor

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        vectors, share = self.raw(item), self.share[:, :, None].to(item.dtype)
        first = F.embedding(self.ids[:, :, 0], vectors)
        other = F.embedding(self.ids[:, :, 1] if self.ids.shape[2] == 2 else positive[:, None], vectors)
        points = self.finished(first + share * (other - first))
        return positive_scores(user, item, positive), torch.bmm(points, user[:, :, None])[:, :, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosestNegatives(VirtualNegatives):
    """The points between the items ``ids`` [B, N, 2] that are closest to the points between user and positive.

    Args:
        anchor: score them with the closest points between user and positive instead of with the user.
    """

    anchor: bool

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert self.change is None or not self.change.added, "closest points are defined on cosine and dot scores"
        one, two = user[:, None], F.embedding(positive, item)[:, None]
        ends = F.embedding(self.ids[:, :, 0], item), F.embedding(self.ids[:, :, 1], item)
        with torch.no_grad():
            on_sphere = self.change is not None and self.change.unit
            closest = closest_on_arcs if on_sphere else closest_on_segments
            weights = closest(one.expand_as(ends[0]), two.expand_as(ends[0]), *ends)
        # The weights are constants: at the closest points, moving along the lines changes the distance by nothing.
        from_user, from_positive, from_first, from_second = (w[:, :, None] for w in weights)
        points = self.finished(from_first * ends[0] + from_second * ends[1])
        of_row = self.finished(from_user * one + from_positive * two) if self.anchor else one
        return positive_scores(user, item, positive), (of_row * points).sum(-1)


@dataclass(frozen=True)
class Interpolated(Sampler):
    """Virtual negatives between two sampled negatives, or between a sampled negative and the row's positive.

        v_n = (1 - l_n) v_a + l_n v_b,    l_n ~ U(0, reach),    a uniform,  b uniform or the positive

    They fill the space between items, where no item is. With cosine scores the vectors are of length 1 before they
    are mixed, and v_n is brought to length 1 again.

    Args:
        n: negatives a row.
        reach: the largest share of the second end, from 0 (the sampled items themselves) to 1.
        between: ``negatives``: the second end is another uniform item. ``positive``: it is the row's own item, which
            makes negatives harder the larger ``reach`` is; stay well below 1.
        exclude: draw no training positive of the row's user as an end.
    Guarantees: ends and shares are a function of (seed, epoch, row); l_n is uniform; the gradient reaches both ends.
        No state, no ``logq``.
    Cost: n vectors of D numbers a row are built and held for the gradient, about 6 B n D numbers a step.
    Raises: UsageError if n is below 1 or reach is not in 0..1.
    Source: the interpolation (EDIS) of ESANS, Xing et al., WWW 2025, arXiv 2502.16077, in its abstract; that shares are
        uniform, and which ends are used, is from memory. No code was found.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = Interpolated(n=3, reach=0.5).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, bool((drawn.share < 0.5).all())
    (torch.Size([2, 3, 2]), True)
    """

    n: int = 64
    reach: float = 0.5
    between: Literal["negatives", "positive"] = "negatives"
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n("interpolated", self.n)
        if not 0 <= self.reach <= 1:
            raise UsageError(f"interpolated: reach is a largest share and must be in 0..1, got {self.reach}")

    @property
    def ends(self) -> int:
        """Items drawn for each negative."""
        return 2 if self.between == "negatives" else 1

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.n": [16, 64, 256], "negatives.reach": [0.1, 0.25, 0.5]}

    def bind(self, train: Interactions, seed: int) -> BoundEnds:
        return BoundEnds(train, seed, self.n, self.ends, self.exclude, self.reach)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return VirtualNegatives.shape(batch_size, self.n, self.ends)


@dataclass(frozen=True)
class LoOp(Sampler):
    """The hardest point between two sampled negatives, in closed form.

        (a, b) = argmin over a, b in [0, 1] of |x(a) - y(b)|,
        x(a) from the user's vector (a = 0) to the positive's (1),  y(b) from one uniform item to another

    The negative's score is that of y(b) with x(a). With dot scores the lines are straight, x(a) = (1 - a) u + a v_i;
    with cosines they are arcs of great circles between vectors of length 1.

    Args:
        n: negatives a row, each from its own two items.
        anchor: False scores y(b) with the user's vector instead of x(a).
        exclude: draw no training positive of the row's user as an end.
    Guarantees: no point of the two lines is closer (tested against a search over a grid); the gradient is that of the
        closest distance, as weights along the lines count as constants. Ends are a function of (seed, epoch, row).
        No state, no ``logq``.
    Cost: as ``interpolated``, and the closed form: about 10 scalar products of [B, n] pairs of vectors.
    Raises: UsageError if n is below 1; by the trainer for scores that are neither cosines nor dot products.
    Source: Vasudeva et al., ICCV 2021, arXiv 2108.09335, and their code, whose pairs are images of one class and of
        another. Differs from it in: the pair is a user and an item; n pairs of uniform items instead of all pairs of a
        batch and their minimum; scores, and the losses of this library, instead of distances; the minimum over arcs is
        taken over all candidates, while the released code accepts an inner point only where its first angle is not
        positive.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> LoOp(n=3).bind(train, seed=0).draw(user, item, row, epoch=0).ids.shape
    torch.Size([2, 3, 2])
    """

    n: int = 64
    anchor: bool = True
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n("loop", self.n)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [16, 64, 256]}

    def bind(self, train: Interactions, seed: int) -> BoundEnds:
        return BoundEnds(train, seed, self.n, 2, self.exclude, anchor=self.anchor)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return replace(VirtualNegatives.shape(batch_size, self.n, 2), distances=False)


class BoundEnds(BoundSampler):
    """Draws the ends of virtual negatives: ``ends`` uniform items for each of n negatives of a row.

    With ``reach`` the points are interpolated, else they are the closest ones.
    """

    def __init__(
        self,
        train: Interactions,
        seed: int,
        n: int,
        ends: int,
        exclude: bool,
        reach: float | None = None,
        anchor: bool = True,
    ):
        self.seed, self.n, self.ends, self.reach, self.anchor = seed, n, ends, reach, anchor
        known = Known(train)
        self._items = BoundPerRow(known, by_popularity(known, 0.0), seed, n * ends, exclude)

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> VirtualNegatives:
        """Ids [B, n, ends]; a row is absent where its user has every item."""
        drawn = self._items.draw(user, item, row, epoch)
        ids = drawn.ids.view(len(row), self.n, self.ends)
        absent = None if drawn.absent is None else drawn.absent[:, :1].expand(-1, self.n)
        if self.reach is None:
            return ClosestNegatives(ids=ids, absent=absent, anchor=self.anchor)
        share = self.reach * draw.uniform(draw.key(self.seed, "share", epoch), np.asarray(row), self.n)
        return InterpolatedNegatives(ids=ids, absent=absent, share=torch.from_numpy(share))
