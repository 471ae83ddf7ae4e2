"""LightGCN: the mean of what a vector becomes as it is averaged along the graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from taurec import draw
from taurec.backbones.dropout import check_rate, keep_scale
from taurec.backbones.graph import Adjacency
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.kernels.hop_mean import mean_at_rows, mean_of_hops
from taurec.types import Embeddings


class LightGCN(Backbone):
    """LightGCN (He et al. 2020): linear propagation, no weights, no activation.

        E^{k+1} = D^-1/2 A D^-1/2 E^k,      E = mean_{k=0..layers} E^k

    Args:
        train: the training part; its pairs are the edges, each of weight 1.
        dim: width of the vectors.
        layers: number of hops; 0 is MF.
        init: ``xavier_uniform`` as in the paper and the authors' TensorFlow code; their PyTorch
            code draws ``normal:0.1``.
        edge_dropout: share of the pairs left out in a training step, the others divided by
            1 - edge_dropout; off by default, as in the paper.
        seed: of the tables and of the dropout.
    Returns: of ``embed``: final vectors [U, dim], [I, dim] and the ``layers + 1`` layers in ``hops``; given the
        rows that are needed, the other final vectors are zero and ``hops`` is empty.
    Source: He et al., SIGIR 2020, arXiv 2002.02126, eq. 3, 4, 8 (uniform layer weights).
    Differs from the authors' code in: edge dropout removes a pair in both directions (theirs draws
    the two directions apart), which keeps the matrix symmetric.

    >>> model = LightGCN(Interactions.from_pairs([0], [0]), dim=2, layers=1)
    >>> e = model.embed()
    >>> bool((e.user == (model.user + model.item) / 2).all())
    True
    """

    _both: Tensor

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 64,
        layers: int = 3,
        init: str = "xavier_uniform",
        edge_dropout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(train, dim, init, seed)
        if layers < 0:
            raise UsageError(f"layers is the number of hops and cannot be negative, got {layers}")
        check_rate("edge_dropout", edge_dropout)
        self.layers = layers
        self.edge_dropout = edge_dropout
        self.adjacency = Adjacency(train, "symmetric")
        self._at = (0, 0)
        # Values stand in the order of users' pairs, then of items': the pair behind each value.
        pair = np.concatenate([np.arange(len(train)), np.argsort(train.indices, kind="stable")])
        self.register_buffer("_both", torch.from_numpy(pair if edge_dropout else pair[:0]), persistent=False)

    def begin_step(self, epoch: int, step: int) -> None:
        self._at = (epoch, step)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        weight = self._edge_weight() if self.training and self.edge_dropout else None
        matrix = self.adjacency.matrix(edge_weight=weight)
        x, sizes = torch.cat([self.user, self.item]), [len(self.user), len(self.item)]
        if rows is None:
            mean, hops = mean_of_hops(*matrix, x, self.layers)
            user, item = torch.split_with_sizes(mean, sizes)
            return Embeddings(user, item, self.user, self.item, hops)
        users, items = (torch.unique(side) for side in rows)
        mean = mean_at_rows(*matrix, x, self.layers, torch.cat([users, items + len(self.user)]))
        # In place into fresh zeros: the gradient then takes these rows alone and never fills a table.
        user = torch.zeros_like(self.user).index_copy_(0, users, mean[: len(users)])
        item = torch.zeros_like(self.item).index_copy_(0, items, mean[len(users) :])
        return Embeddings(user, item, self.user, self.item)

    def _edge_weight(self) -> Tensor:
        epoch, step = self._at
        stream = draw.key(self.seed, "edge_dropout", epoch)
        of_pair = keep_scale(self.edge_dropout, stream, step, len(self._both) // 2)[:, 0]
        return of_pair.to(self.adjacency.value)[self._both]
