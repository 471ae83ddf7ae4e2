"""LightGCN: the mean of what a vector becomes as it is averaged along the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from taurec import draw
from taurec.backbones.combine import Combination, Combine, held, width
from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.dropout import check_rate, keep_scale, keep_scale_wide
from taurec.backbones.graph import Adjacency, edge_work
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.kernels.hop import Csr, hop, layers_of_hops, mean_at_rows, mean_of_hops
from taurec.kernels.hop_half import Workspace, growth_of, mean_at_rows_half
from taurec.types import Embeddings


class LightGCN(Backbone):
    """LightGCN (He et al. 2020): linear propagation, no weights, no activation.

        E^{k+1} = D^-1/2 A D^-1/2 E^k,      E = mean_{k=0..layers} E^k

    or another combination of the layers, by name.

    Args:
        train: the training part; its pairs are the edges, each of weight 1.
        dim: width of the vectors.
        layers: number of hops; 0 is MF.
        init: ``xavier_uniform`` as in the paper and the authors' TensorFlow code; their PyTorch
            code draws ``normal:0.1``.
        edge_dropout: share of the pairs left out in a training step, the others divided by
            1 - edge_dropout; off by default, as in the paper.
        storage: how layers are stored between hops in a step that needs some rows only (negatives from the batch):
            ``float32``, or ``float16``, which is faster and off by about 5e-4 of a vector's length, see
            :mod:`taurec.kernels.hop_half`. All other steps, and ranking, are float32.
        message_dropout: share of the numbers of each layer's output that are set to 0 in a training step, the
            others divided by 1 - message_dropout, before the next hop and the mean see them; layer 0 stays whole.
            Off by default, as in the paper; the authors of Adap-tau and BSL use it. A step then computes all rows,
            in float32.
        combine: how the layers become the final vectors: ``mean``, ``sum``, ``weighted``, ``learned``, ``last``,
            ``product``, ``concat``, ``concat_unit``, ``concat_weighted`` or ``concat_neighbours``, see
            :class:`taurec.backbones.combine.Combination`. The mean and the sum have a kernel that stores no layers.
            ``product`` multiplies small numbers: with small initial vectors or more than three layers use cosine scores
            and ``init=normal:0.1``, since a vector no longer than 1e-12 has the cosine 0.
        weights: one number for each layer, layer 0 first, for ``weighted`` and ``concat_weighted``.
        seed: of the tables and of the dropout.
    Returns: of ``embed``: final vectors [U, D], [I, D] and the ``layers + 1`` layers in ``hops``, with D = dim, or
        dim * (layers + 1) where layers are concatenated; given the rows that are needed, these rows alone, their places
        in ``at``, and no ``hops``.
    Raises: UsageError for a setting out of its range, and for ``float16`` with a combination other than mean and sum.
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
        storage: Literal["float32", "float16"] = "float32",
        message_dropout: float = 0.0,
        combine: Combine = "mean",
        weights: tuple[float, ...] = (),
        seed: int = 0,
    ):
        super().__init__(train, dim, init, seed)
        if layers < 0:
            raise UsageError(f"layers is the number of hops and cannot be negative, got {layers}")
        check_rate("edge_dropout", edge_dropout)
        check_rate("message_dropout", message_dropout)
        self.layers = layers
        self.edge_dropout = edge_dropout
        self.message_dropout = message_dropout
        self.storage = storage
        self.combination = Combination(combine, layers, weights)
        if storage == "float16" and self.combination.of_mean is None:
            raise UsageError(
                f"storage='float16' is for the mean and the sum of the layers, got combine={combine!r}; "
                f"use storage='float32'"
            )
        self.adjacency = Adjacency(train, "symmetric")
        growth = growth_of(self.adjacency.matrix()) / (1 - edge_dropout) if storage == "float16" else 0.0
        self._room = Workspace(growth)
        self._at = (0, 0)
        # Values stand in the order of users' pairs, then of items': the pair behind each value.
        pair = np.concatenate([np.arange(len(train)), np.argsort(train.indices, kind="stable")])
        self.register_buffer("_both", torch.from_numpy(pair if edge_dropout else pair[:0]), persistent=False)

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"backbone.layers": [1, 2, 3]}

    @classmethod
    def width(cls, settings: Mapping[str, Any]) -> int:
        return width(settings["combine"], int(settings["layers"]), int(settings["dim"]))

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        layers, dropped = int(settings["layers"]), settings["message_dropout"] > 0
        if dropped:
            tables = 9 + 4 * layers
        else:
            tables = 8 if size.few_rows else 9 + 2 * layers
        more = held(settings["combine"], layers, at_rows=size.few_rows and not dropped)
        return StepBytes(fixed=67 * size.log.pairs, step=int((tables + more) * size.tables))

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        return edge_work(size)

    @property
    def _halves(self) -> bool:
        """Whether a step at some rows stores its layers as float16."""
        dropped = self.training and self.message_dropout > 0
        return self.storage == "float16" and self.layers > 0 and not dropped

    def kernels(self, at_rows: bool) -> dict[str, str]:
        operation = "hop_half" if at_rows and self._halves else "hop"
        return {"hop": self.adjacency.hop_kernel(self.user, self.kernel, operation)}

    def begin_step(self, epoch: int, step: int) -> None:
        self._at = (epoch, step)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        weight = self._edge_weight() if self.training and self.edge_dropout else None
        matrix = self.adjacency.matrix(edge_weight=weight)
        if self.training and self.message_dropout and self.layers:
            return self._embed_dropped(matrix)
        if rows is None:
            return self._embed_all(matrix)
        (users, user_at), (items, item_at) = (torch.unique(side, return_inverse=True) for side in rows)
        needed = torch.cat([users, items + len(self.user)])
        final = self._at_rows(matrix, needed)
        user, item = torch.split_with_sizes(final, [len(users), len(items)])
        return Embeddings(user, item, self.user, self.item, at=(user_at, item_at))

    def _embed_all(self, matrix: Csr) -> Embeddings:
        sizes, x = [len(self.user), len(self.item)], torch.cat([self.user, self.item])
        times = self.combination.of_mean
        if times is None:
            hops = layers_of_hops(*matrix, x, self.layers, kernel=self.kernel)
            final = self.combination(hops, self.kernel)
        else:
            final, hops = mean_of_hops(*matrix, x, self.layers, kernel=self.kernel)
            final = final if times == 1 else final * times
        user, item = torch.split_with_sizes(final, sizes)
        return Embeddings(user, item, self.user, self.item, hops)

    def _at_rows(self, matrix: Csr, needed: Tensor) -> Tensor:
        """The final vectors [K, D] of these nodes."""
        times = self.combination.of_mean
        if times is None:
            x = torch.cat([self.user, self.item])
            layers = layers_of_hops(*matrix, x, self.layers, needed, kernel=self.kernel)
            return self.combination(layers, self.kernel)
        if self._halves:
            mean = mean_at_rows_half(matrix, self.user, self.item, self.layers, needed, self._room, kernel=self.kernel)
        else:
            x = torch.cat([self.user, self.item])
            mean = mean_at_rows(*matrix, x, self.layers, needed, kernel=self.kernel)
        return mean if times == 1 else mean * times

    def _embed_dropped(self, matrix: Csr) -> Embeddings:
        """With message dropout no two layers are the same linear map, so the hops are taken one by one."""
        epoch, step = self._at
        hops = [torch.cat([self.user, self.item])]
        for k in range(self.layers):
            x = hop(*matrix, hops[-1], kernel=self.kernel)
            stream = draw.key(self.seed, f"message_dropout:{k}", epoch)
            hops.append(x * keep_scale_wide(self.message_dropout, stream, step, *x.shape).to(x))
        final = self.combination(hops, self.kernel)
        user, item = torch.split_with_sizes(final, [len(self.user), len(self.item)])
        return Embeddings(user, item, self.user, self.item, tuple(hops))

    def _edge_weight(self) -> Tensor:
        epoch, step = self._at
        stream = draw.key(self.seed, "edge_dropout", epoch)
        of_pair = keep_scale(self.edge_dropout, stream, step, len(self._both) // 2)[:, 0]
        return of_pair.to(self.adjacency.value)[self._both]
