"""XSimGCL: one noisy propagation, whose final vectors are contrasted with one of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.perturbed import PerturbedGraph, distinct
from taurec.backbones.protocol import Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.types import Batch, Embeddings


class XSimGCL(PerturbedGraph):
    """XSimGCL (Yu et al. 2023): LightGCN's layers 1 to L with noise in training, contrasted with one of the layers.

        F^{k+1} = D^-1/2 A D^-1/2 F^k + noise,       E = mean_{k=1..L} F^k,       F^0 the tables
        noise   = eps sign(.) * n / |n| by row,      n uniform over (0, 1)^d
        term    = weight (contrast of the users + contrast of the items)

    In training the loss of the run scores these vectors, so that one propagation serves both; ranking has no noise.
    The contrast is over the users and over the positive items of the batch, each once, between the final vectors and
    layer l:

        -mean_a log( exp(cos(E_a, F^l_a) / tau) / sum_b exp(cos(E_a, F^l_b) / tau) )

    Args:
        train: the training part; its pairs are the edges, each of weight 1.
        dim: width of the vectors.
        layers: L, at least 1.
        contrast_layer: l, from 1 to L.
        eps: length of the noise.
        weight: of the contrast beside the loss (lambda of the paper); 0 leaves it out.
        tau: temperature of the contrast.
        init: of the tables.
        seed: of the tables and of the noise.
    Returns: of ``embed``: final vectors [U, dim], [I, dim] and the ``layers + 1`` layers in ``hops``. In training it
        computes all rows, also where some are asked for.
    Raises: UsageError for a setting out of its range.
    Source: Yu et al., TKDE 2023, arXiv 2209.02544 (numbers of equations not checked); the authors' code in SELFRec.
    Differs from the authors' code in: the noise is drawn by counter, of 16 bits; L2 is the run's, theirs is
        ``unsquared``.

    >>> model = XSimGCL(Interactions.from_pairs([0, 1], [0, 0]), dim=2, layers=1)
    >>> noise = model.embed().user - model.eval().embed().user
    >>> round(float(noise[0].norm().detach()), 4)
    0.2
    """

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 64,
        layers: int = 3,
        contrast_layer: int = 1,
        eps: float = 0.2,
        weight: float = 0.2,
        tau: float = 0.15,
        init: str = "xavier_uniform",
        seed: int = 0,
    ):
        super().__init__(train, dim, layers, eps, weight, tau, init, seed)
        if not 1 <= contrast_layer <= layers:
            raise UsageError(f"contrast_layer is a layer from 1 to layers={layers}, got {contrast_layer}")
        self.contrast_layer = contrast_layer

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"backbone.layers": [2, 3], "backbone.eps": [0.05, 0.1, 0.2], "backbone.weight": [0.05, 0.1, 0.2, 0.5]}

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        tables = 9 + 2 * int(settings["layers"])
        return StepBytes(fixed=67 * size.log.pairs, step=tables * size.tables + cls.contrast_bytes(size))

    def embed(self, rows: Rows | None = None) -> Embeddings:
        if not self.training:
            return self.clean(rows)
        return self.of_layers((torch.cat([self.user, self.item]), *self.perturbed("view")))

    def own_term(self, batch: Batch, embeddings: Embeddings) -> Tensor | None:
        """The weighted contrast of the users and of the items of the batch between final vectors and the layer."""
        if not self.weight:
            return None
        layer = torch.split_with_sizes(embeddings.hops[self.contrast_layer], [len(self.user), len(self.item)])
        final = embeddings.user, embeddings.item
        sides = [
            (F.embedding(ids, a), F.embedding(ids, b))
            for (ids, _), a, b in zip(distinct(batch, embeddings), final, layer, strict=True)
        ]
        return self.weighted_contrast(*sides)
