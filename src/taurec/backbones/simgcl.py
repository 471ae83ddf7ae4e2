"""SimGCL: LightGCN without layer 0, and a contrast between two noisy views of the graph."""

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
from taurec.types import Batch, Embeddings


class SimGCL(PerturbedGraph):
    """SimGCL (Yu et al. 2022): LightGCN's layers 1 to L, and two views with noise in each layer that are to agree.

        E      = mean_{k=1..L} E^k,                      E^{k+1} = D^-1/2 A D^-1/2 E^k
        view v = mean_{k=1..L} F^k_v,                    F^{k+1}_v = D^-1/2 A D^-1/2 F^k_v + noise,  F^0_v = E^0
        noise  = eps sign(.) * n / |n| by row,           n uniform over (0, 1)^d
        term   = weight (contrast of the users + contrast of the items)

    The loss of the run scores E, without noise, in training as in ranking. The contrast is over the users and over the
    positive items of the batch, each once:

        -mean_a log( exp(cos(F_1a, F_2a) / tau) / sum_b exp(cos(F_1a, F_2b) / tau) )

    Args:
        train: the training part; its pairs are the edges, each of weight 1.
        dim: width of the vectors.
        layers: L, at least 1.
        eps: length of the noise.
        weight: of the contrast beside the loss (lambda of the paper); 0 leaves it out.
        tau: temperature of the contrast.
        init: of the tables.
        seed: of the tables and of the noise.
    Returns: of ``embed``: final vectors [U, dim], [I, dim] and the ``layers + 1`` layers without noise in ``hops``;
        given the rows that are needed, these rows alone, their places in ``at``, and no ``hops``.
    Raises: UsageError for a setting out of its range.
    Source: Yu et al., SIGIR 2022, arXiv 2112.08679 (numbers of equations not checked); the authors' code in SELFRec.
    Differs from the authors' code in: the noise is drawn by counter, of 16 bits; since noise is constant around the
        tables, one backward pass serves the loss and both views, to rounding; L2 is the run's, theirs is ``unsquared``.

    >>> model = SimGCL(Interactions.from_pairs([0, 1], [0, 0]), dim=2, layers=1)
    >>> e = model.embed()
    >>> torch.allclose(e.user[0], model.item[0] / 2**0.5)
    True
    """

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 64,
        layers: int = 3,
        eps: float = 0.1,
        weight: float = 0.5,
        tau: float = 0.2,
        init: str = "xavier_uniform",
        seed: int = 0,
    ):
        super().__init__(train, dim, layers, eps, weight, tau, init, seed)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"backbone.layers": [2, 3], "backbone.eps": [0.05, 0.1, 0.2], "backbone.weight": [0.05, 0.1, 0.2, 0.5]}

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        layers = int(settings["layers"])
        tables = 9 if size.few_rows else 9 + 2 * layers
        return StepBytes(fixed=67 * size.log.pairs, step=tables * size.tables + cls.contrast_bytes(size))

    def embed(self, rows: Rows | None = None) -> Embeddings:
        return self.clean(rows)

    def own_term(self, batch: Batch, embeddings: Embeddings) -> Tensor | None:
        """The weighted contrast of the users and of the items of the batch between the two views of the step."""
        if not self.weight:
            return None
        (users, user_at), (items, item_at) = distinct(batch, embeddings)
        nodes = torch.cat([users, items + len(self.user)])
        clean = torch.cat([F.embedding(user_at, embeddings.user), F.embedding(item_at, embeddings.item)])
        with torch.no_grad():
            moved = [self.combination(self.perturbed(f"view {v}", nodes)) - clean for v in (1, 2)]
        one, two = (torch.split_with_sizes(clean + by, [len(users), len(items)]) for by in moved)
        return self.weighted_contrast((one[0], two[0]), (one[1], two[1]))
