"""Views of a graph with noise in every layer, and how alike two views are: what SimGCL and XSimGCL have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from taurec import draw
from taurec.backbones.combine import Combination
from taurec.backbones.cost import StepSize
from taurec.backbones.graph import Adjacency, edge_work
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.kernels.hop import Csr, hop, layers_of_hops, mean_of_hops
from taurec.kernels.unit_rows import unit_rows
from taurec.types import Batch, Embeddings

_BLOCK = 1 << 14


class PerturbedGraph(Backbone):
    """LightGCN without layer 0 in the mean; the base of backbones with a contrast between noisy views of it.

        E^{k+1} = D^-1/2 A D^-1/2 E^k,      E = mean_{k=1..layers} E^k

    Args:
        train, dim, init, seed: as for every backbone.
        layers: number of propagations, at least 1.
        eps: length of the noise.
        weight: of the contrast beside the loss; 0 leaves it out.
        tau: temperature of the contrast.
    """

    def __init__(
        self, train: Interactions, dim: int, layers: int, eps: float, weight: float, tau: float, init: str, seed: int
    ):
        super().__init__(train, dim, init, seed)
        if layers < 1:
            raise UsageError(
                f"layers is the number of propagations; the mean leaves layer 0 out, so at least 1, got {layers}"
            )
        for name, value in (("eps", eps), ("weight", weight)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is a finite number, at least 0; got {value}")
        if not 0 < tau < math.inf:
            raise UsageError(f"tau is a temperature above 0; got {tau}")
        self.layers, self.eps, self.weight, self.tau = layers, eps, weight, tau
        self.adjacency = Adjacency(train, "symmetric")
        self.combination = Combination("mean", layers - 1)
        self._at = (0, 0)

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        return edge_work(size)

    @staticmethod
    def contrast_bytes(size: StepSize) -> int:
        """Memory of the scores of a contrast, of the users and of the items of a batch."""
        return 12 * (min(size.batch, size.log.users) ** 2 + min(size.batch, size.log.items) ** 2)

    def kernels(self, at_rows: bool) -> dict[str, str]:
        return {"hop": self.adjacency.hop_kernel(self.user, self.kernel)}

    def begin_step(self, epoch: int, step: int) -> None:
        self._at = (epoch, step)

    def clean(self, rows: Rows | None = None) -> Embeddings:
        """The embeddings without noise."""
        matrix, x = self.adjacency.matrix(), torch.cat([self.user, self.item])
        if rows is None:
            return self.of_layers(layers_of_hops(*matrix, x, self.layers, kernel=self.kernel))
        (users, user_at), (items, item_at) = (torch.unique(side, return_inverse=True) for side in rows)
        needed = torch.cat([users, items + len(self.user)])
        # The mean of layers 1..L is one propagation of the mean of layers 0..L-1.
        mean, _ = mean_of_hops(*matrix, x, self.layers - 1, kernel=self.kernel)
        final = hop(*matrix, mean, rows=needed, kernel=self.kernel)
        user, item = torch.split_with_sizes(final, [len(users), len(items)])
        return Embeddings(user, item, self.user, self.item, at=(user_at, item_at))

    def of_layers(self, hops: Sequence[Tensor]) -> Embeddings:
        """The embeddings of layers 0..L [U + I, d]."""
        user, item = torch.split_with_sizes(self.combination(hops[1:]), [len(self.user), len(self.item)])
        return Embeddings(user, item, self.user, self.item, tuple(hops))

    def perturbed(self, view: str, rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """Layers 1..L of this step's view of that name, at some rows or at all."""
        epoch, step = self._at
        streams = [draw.key(self.seed, f"{view}:{k}", epoch) for k in range(1, self.layers + 1)]
        matrix, x = self.adjacency.matrix(), torch.cat([self.user, self.item])
        return perturbed_layers(matrix, x, self.eps, streams, step, rows, kernel=self.kernel)

    def weighted_contrast(self, *sides: tuple[Tensor, Tensor]) -> Tensor:
        """``weight`` times the sum of :func:`contrast` over sides, the users and the items."""
        first, *others = (contrast(one, two, self.tau, kernel=self.kernel) for one, two in sides)
        return self.weight * sum(others, start=first)


def distinct(batch: Batch, embeddings: Embeddings) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The users and the positive items of a batch, each once: their ids, and the places of their vectors.

    Both ascend. A backbone whose places do not ascend with the ids cannot use it.
    """
    user, item = embeddings.of_pairs(batch)
    return (torch.unique(batch.user), torch.unique(user)), (torch.unique(batch.item), torch.unique(item))


def contrast(one: Tensor, two: Tensor, tau: float, *, kernel: str = "auto") -> Tensor:
    """The InfoNCE of two views [n, d] of the same n nodes, a scalar.

        -mean_a log( exp(cos(one_a, two_a) / tau) / sum_b exp(cos(one_a, two_b) / tau) )

    >>> view = torch.eye(2)
    >>> contrast(view, view, tau=1.0)
    tensor(0.3133)
    """
    scores = unit_rows(one, kernel=kernel) @ unit_rows(two, kernel=kernel).T / tau
    return -F.log_softmax(scores, 1).diagonal().mean()


def perturbed_layers(
    matrix: Csr,
    x: Tensor,
    eps: float,
    streams: Sequence[int],
    step: int,
    rows: Tensor | None = None,
    *,
    kernel: str = "auto",
) -> tuple[Tensor, ...]:
    """Layers 1..L of a propagation that adds :func:`perturbation` to each before the next.

    Args:
        matrix: a symmetric A [n, n].
        x: [n, d], layer 0.
        eps: length of the noise.
        streams: a value of :func:`taurec.draw.key` for each of the L layers.
        step: number of the step.
        rows: [K] distinct and ascending; the layers then have these rows alone.
    Returns: L times [n, d] or [K, d]; the gradient is that without noise, which is constant around x.
    """
    found = []
    for k, stream in enumerate(streams, 1):
        asked = rows if k == len(streams) else None
        x = hop(*matrix, x, rows=asked, kernel=kernel)
        x = x + perturbation(x.detach(), eps, stream, step, asked)
        found.append(x if rows is None or asked is not None else x.index_select(0, rows))
    return tuple(found)


@torch.no_grad()
def perturbation(x: Tensor, eps: float, stream: int, step: int, rows: Tensor | None = None) -> Tensor:
    """Noise of length ``eps`` with the signs of each vector.

        d_r = eps sign(x_r) * n_r / |n_r|,      n_r uniform over (0, 1)^d, of 16 bits

    Args:
        x: [n, d].
        eps: length of the noise.
        stream: a value of :func:`taurec.draw.key`.
        step: number of the step; each has its own draws.
        rows: [n] the nodes that the rows of ``x`` are, by which the draws are keyed; None for 0..n-1.
    Returns: [n, d]; 0 where x is 0.
    Source: Yu et al., SIGIR 2022, arXiv 2112.08679, eq. 7 and 8.

    >>> x = torch.tensor([[3.0, -4.0]])
    >>> d = perturbation(x, 0.1, stream=7, step=1)
    >>> round(float(d.norm()), 4), bool((d.sign() == x.sign()).all())
    (0.1, True)
    """
    nodes = np.arange(len(x)) if rows is None else rows.cpu().numpy()
    drawn = np.empty(x.shape, dtype=np.float32)
    for start in range(0, len(nodes), _BLOCK):
        drawn[start : start + _BLOCK] = draw.lanes(stream, nodes[start : start + _BLOCK], x.shape[1], step)
    noise = torch.from_numpy(drawn).add_(0.5).to(x)
    return noise.mul_(eps / torch.linalg.vector_norm(noise, dim=1, keepdim=True)).mul_(x.sign())
