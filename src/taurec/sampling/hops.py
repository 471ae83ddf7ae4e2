"""MixGCF: negatives put together from the layers of several items, mixed with the positive."""

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
from taurec.kernels.gather_dot import gather_dot
from taurec.sampling.known import Known
from taurec.sampling.layouts import Layout, positive_scores
from taurec.sampling.per_row import BoundPerRow, check_n
from taurec.sampling.proposal import by_popularity
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.types import Embeddings, ItemSide, StepShape

LAYERS = 16
"""Layers, layer 0 included, for which mixing shares are drawn."""

Pooling = Literal["mean", "concat"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedLayers(Layout):
    """For each negative one of its candidates ``ids`` [B, N, C] per layer, mixed with the positive.

    Args:
        share: [B, N, LAYERS] of the positive in each layer.
        layers: [I, d] the items' outputs of the layers, which the step supplies by :meth:`with_layers`.
        pooling: how layers become the final vector.
        change: see :meth:`with_vectors`.
    """

    ids: Tensor
    share: Tensor
    layers: tuple[Tensor, ...] = ()
    pooling: Pooling = "mean"
    change: ItemSide | None = None

    def drawn(self) -> Tensor:
        return self.ids.reshape(-1)

    def at(self, places: Tensor) -> MixedLayers:
        return replace(self, ids=places.view(self.ids.shape))

    def rows_needed(self, item: Tensor, n_items: int) -> None:
        return None  # a backbone that is asked for some rows gives no layers

    def with_vectors(self, change: ItemSide) -> MixedLayers:
        return replace(self, change=change)

    def with_layers(self, embeddings: Embeddings) -> MixedLayers:
        """The same with the layers of the step.

        Raises: UsageError if the final vectors are neither the mean of the layers nor their concatenation.
        """
        item, hops = embeddings.item, embeddings.hops
        if not hops:
            return replace(self, layers=(item,))
        if len(hops) > LAYERS:
            raise UsageError(f"mixgcf mixes up to {LAYERS - 1} layers, this backbone has {len(hops) - 1}")
        layers = tuple(hop[len(hop) - len(item) :] for hop in hops)
        some = self.ids.reshape(-1)[:4]
        final, of_layers = item.detach()[some], [layer.detach()[some] for layer in layers]
        pooled: dict[Pooling, Tensor] = {"concat": torch.cat(of_layers, 1)}
        if len({layer.shape[1] for layer in layers}) == 1:
            pooled["mean"] = torch.stack(of_layers).mean(0)
        for how, vectors in pooled.items():
            if vectors.shape == final.shape and torch.allclose(vectors, final, rtol=1e-3, atol=1e-6):
                return replace(self, layers=layers, pooling=how)
        raise UsageError(
            "mixgcf is defined where final vectors are the mean of the layers (lightgcn) or their concatenation "
            "(ngcf), and those of this backbone are neither; use other negatives, such as dns"
        )

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        b, n, c = self.ids.shape
        widths = [layer.shape[1] for layer in self.layers]
        # Without the columns that a distance adds: a layer's candidates are compared by inner products.
        concat = self.pooling == "concat"
        users = torch.split(user[:, : sum(widths)], widths, 1) if concat else [user[:, : widths[0]]] * len(widths)
        mixed = []
        for number, (of_user, layer) in enumerate(zip(users, self.layers, strict=True)):
            with torch.no_grad():  # the positive's part is the same for all candidates of a layer
                found = gather_dot(of_user.contiguous(), layer, self.ids.view(b, -1), kernel=kernel)
                hardest = found.view(b, n, c).argmax(2, keepdim=True)
            candidate = F.embedding(self.ids.gather(2, hardest)[:, :, 0], layer)
            share = self.share[:, :, number, None].to(layer.dtype)
            mixed.append(share * F.embedding(positive, layer)[:, None] + (1 - share) * candidate)
        points = torch.cat(mixed, 2) if concat else torch.stack(mixed).mean(0)
        if self.change is not None:
            points = self.change(points.reshape(b * n, -1)).view(b, n, -1)
        return positive_scores(user, item, positive), torch.bmm(points, user[:, :, None])[:, :, 0]


@dataclass(frozen=True)
class MixGCF(Sampler):
    """Hop mixing, in each layer the hardest of the negative's candidates mixed with the positive; then pooled.

        e'_l(j) = s_l e_l(i) + (1 - s_l) e_l(j),   s_l ~ U(0, 1)
        v = pool over l of e'_l(j_l),              j_l = argmax over candidates j of <u, e'_l(j)>

    with u the user's final vector (for concatenated layers, its part of that layer), and pool the mean or the
    concatenation, as the backbone has it. For a graph; on ``mf`` there is one layer, and a negative is the hardest
    candidate mixed with the positive.

    Args:
        n: negatives a row.
        pool: candidates of each negative.
        exclude: draw no training positive of the row's user as a candidate.
    Guarantees: candidates and shares are a function of (seed, epoch, row); the choice uses the outputs of the step
        itself, and the gradient reaches the chosen items and the positive. No state, no ``logq``.
    Cost: n * pool products in each layer, and (layers + 2) arrays [B, n, D]; a step computes all final vectors and
        layers, as for ``full`` negatives.
    Raises: UsageError if n or pool is below 1; by the trainer, before the first step, if final vectors are neither mean
        nor concatenation.
    Source: Huang et al., KDD 2021, and their code, which has n 1 and pool 64 as default. Differs from it in: candidates
        are drawn by counter; L2 of the modes that count drawn items counts all candidates; their loss is
        log(1 + sum_n exp(neg_n - pos)), which is ``ssm`` with temperature 1 on dot scores.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = MixGCF(n=2, pool=5).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.share.shape
    (torch.Size([2, 2, 5]), torch.Size([2, 2, 16]))
    """

    n: int = 1
    pool: int = 64
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n("mixgcf", self.n)
        if self.pool < 1:
            raise UsageError(f"mixgcf: pool must be at least 1 candidate, got {self.pool}; the authors use 16 to 64")

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [1, 8, 32], "negatives.pool": [8, 16, 64]}

    def bind(self, train: Interactions, seed: int) -> BoundMixGCF:
        known = Known(train)
        return BoundMixGCF(self, BoundPerRow(known, by_popularity(known, 0.0), seed, self.n * self.pool, self.exclude))

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        cells = batch_size * self.n
        return StepShape(self.n, None, cells * self.pool, vectors=8 * cells, layers=True)


class BoundMixGCF(BoundSampler):
    """:class:`MixGCF` bound to a log; ``candidates`` draws the items."""

    def __init__(self, how: MixGCF, candidates: BoundPerRow):
        self.how, self.candidates = how, candidates

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> MixedLayers:
        """Ids [B, n, pool] and shares [B, n, LAYERS]; a row is absent where its user has every item."""
        b, n = len(row), self.how.n
        drawn = self.candidates.draw(user, item, row, epoch)
        absent = None if drawn.absent is None else drawn.absent[:, :1].expand(-1, n)
        drawn_share = draw.uniform(draw.key(self.candidates.seed, "mixing", epoch), np.asarray(row), n * LAYERS)
        share = torch.from_numpy(drawn_share).view(b, n, LAYERS)
        return MixedLayers(ids=drawn.ids.view(b, n, self.how.pool), absent=absent, share=share)
