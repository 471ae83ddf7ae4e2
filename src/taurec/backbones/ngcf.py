"""NGCF: propagation with learnt weights, an activation and the product of neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taurec import draw
from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.dropout import check_rate, keep_scale
from taurec.backbones.graph import Adjacency, Kind, hop
from taurec.backbones.init import init_table
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError, did_you_mean
from taurec.types import Embeddings

_KINDS: dict[str, Kind] = {"norm": "row_self", "mean": "row"}


class NGCF(Backbone):
    """Neural graph collaborative filtering (Wang et al. 2019), as in the authors' TensorFlow code.

        S       = L E^k                                  L: see ``adjacency``
        E^{k+1} = dropout( leaky(S W1 + b1) + leaky((E^k * S) W2 + b2) )
        final   = [E^0, E^1 / |E^1|, ..., E^K / |E^K|]

    ``leaky`` has slope 0.2; the un-normalised E^k goes on to the next layer; every layer has its own
    W1, W2, b1, b2, all xavier-uniform, the biases too (as 1 x width tables).

    Args:
        train: the training part; its pairs are the edges, each of weight 1.
        dim: width of the tables.
        layers: width of each layer; the final vectors have ``dim + sum(layers)`` columns.
        adjacency: ``norm`` (D + I)^-1 (A + I), the code's default; ``mean`` D^-1 A.
        message_dropout: share of a layer's outputs set to 0 in training, the others scaled up.
        init: of the tables and the weights.
        seed: of the tables, the weights and the dropout.
    Returns: of ``embed``: final vectors and, in ``hops``, [E^0, normalised E^1, ...].
    Source: Wang et al., SIGIR 2019, arXiv 1905.08108, eq. 7, 9.
    Differs from the paper in: L, which the paper makes symmetric with an extra self loop, and two
    activations a layer instead of one. Differs from the authors' code in: node dropout (off there by
    default) is left out. Differs from RecBole's NGCF, which uses the symmetric matrix,
    (E + S) W1 + (E * S) W2 under one activation, and passes the normalised vectors on.

    >>> model = NGCF(Interactions.from_pairs([0, 1], [0, 0]), dim=4, layers=(3, 2))
    >>> model.embed().user.shape
    torch.Size([2, 9])
    """

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 64,
        layers: tuple[int, ...] = (64, 64, 64),
        adjacency: Literal["norm", "mean"] = "norm",
        message_dropout: float = 0.1,
        init: str = "xavier_uniform",
        seed: int = 0,
    ):
        super().__init__(train, dim, init, seed)
        if not layers or min(layers) < 1:
            raise UsageError(f"layers holds the width of each layer, as in 64,64,64; got {layers}")
        if adjacency not in _KINDS:
            raise UsageError(f"unknown adjacency {adjacency!r}{did_you_mean(adjacency, _KINDS)}")
        check_rate("message_dropout", message_dropout)
        self.message_dropout = message_dropout
        self.adjacency = Adjacency(train, _KINDS[adjacency])
        self.layers = nn.ModuleList(
            _Layer(init, seed, k, a, b) for k, (a, b) in enumerate(zip((dim, *layers), layers, strict=False))
        )
        self._at = (0, 0)

    @classmethod
    def width(cls, settings: Mapping[str, Any]) -> int:
        return int(settings["dim"]) + sum(settings["layers"])

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        layers = sum(settings["layers"]) / size.dim  # in widths of the tables
        return StepBytes(fixed=67 * size.log.pairs, step=int((8 + 16 * layers) * size.tables))

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        """It goes with the pairs; most of a step is dense products, which the caches serve at any size."""
        return float(size.log.pairs)

    def kernels(self, at_rows: bool) -> dict[str, str]:
        return {"hop": self.adjacency.hop_kernel(self.user, self.kernel)}

    def begin_step(self, epoch: int, step: int) -> None:
        self._at = (epoch, step)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        x = torch.cat([self.user, self.item])
        hops = [x]
        for k, layer in enumerate(self.layers):
            x = layer(x, hop(self.adjacency, x, kernel=self.kernel))
            if self.training and self.message_dropout:
                x = x * self._keep(k, x)
            hops.append(F.normalize(x, dim=1, eps=1e-6))
        user, item = torch.split_with_sizes(torch.cat(hops, dim=1), [len(self.user), len(self.item)])
        return Embeddings(user, item, self.user, self.item, tuple(hops))

    def _keep(self, k: int, x: Tensor) -> Tensor:
        epoch, step = self._at
        stream = draw.key(self.seed, f"message_dropout:{k}", epoch)
        return keep_scale(self.message_dropout, stream, step, *x.shape).to(x)


class _Layer(nn.Module):
    def __init__(self, init: str, seed: int, k: int, width_in: int, width_out: int):
        super().__init__()
        self.w1 = nn.Parameter(init_table(init, seed, f"w1:{k}", width_in, width_out))
        self.w2 = nn.Parameter(init_table(init, seed, f"w2:{k}", width_in, width_out))
        self.b1 = nn.Parameter(init_table(init, seed, f"b1:{k}", 1, width_out)[0])
        self.b2 = nn.Parameter(init_table(init, seed, f"b2:{k}", 1, width_out)[0])

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        first, second = mapped(side, self.w1), mapped(x * side, self.w2)
        return F.leaky_relu(first + self.b1, 0.2) + F.leaky_relu(second + self.b2, 0.2)


def mapped(x: Tensor, w: Tensor) -> Tensor:
    """``x @ w`` with the same gradients to the bit for one thread and two, see :class:`_Mapped`.

    >>> w = torch.ones(2, 1, requires_grad=True)
    >>> mapped(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), w).sum().backward()
    >>> w.grad[:, 0]
    tensor([4., 6.])
    """
    product: Tensor = _Mapped.apply(x, w)  # type: ignore[no-untyped-call]
    return product


class _Mapped(torch.autograd.Function):
    """``x[R, d] @ w[d, e]``, whose gradient of w is summed over blocks of rows.

    A matrix product over all rows may be cut at other places with another number of threads, and then has other bits.
    """

    ROWS = 1024

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        short = -len(x) % _Mapped.ROWS
        blocks = [F.pad(t, (0, 0, 0, short)).view(-1, _Mapped.ROWS, t.shape[1]) for t in (x, d)]
        return d @ w.T, torch.bmm(blocks[0].transpose(1, 2), blocks[1]).sum(0)
