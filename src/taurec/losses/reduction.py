"""How a loss reduces over a row's negatives: the declaration that lets a kernel stream the catalogue.

A loss of this library is a reduction over negatives followed by a formula on [B]:

    loss(pos, neg) == loss.combine(pos, *loss.reduce(pos, neg))

Whoever can produce the reduction in blocks, never holding [B, I], gets the loss over the whole
catalogue from ``combine``. :class:`RowReduce` is at once the declaration, the plain form that every
loss is computed by, and the oracle of the kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from taurec.losses.logspace import count_present, log_sum_exp, softplus

Phi = Literal["identity", "softplus", "hinge", "square"]


@dataclass(frozen=True)
class RowReduce:
    """The mean, or the log-sum-exp, of phi over a row's negatives.

        mean:       r_b = sum_n phi(x_bn) / n_b
        logsumexp:  r_b = log sum_n exp(phi(x_bn) / tau)

    with x_bn = neg_bn, or neg_bn - pos_b if pairwise, over the n_b negatives that are present.

    Attributes:
        kind: which of the two.
        phi: ``hinge`` is sum_k weights[k] * max(0, x - margins[k]), ``square`` is x * x.
        pairwise: whether the pair's own score is subtracted.
        margins, weights: of the hinge, in any order.
        tau: the temperature of the log-sum-exp.

    Calling it takes pos [B] and neg [B, N] and returns (r [B], n [B]); r and its gradient are 0 where n is.

    >>> RowReduce("mean", "square")(torch.zeros(1), torch.tensor([[3.0, 1.0, -math.inf]]))
    (tensor([5.]), tensor([2.]))
    """

    kind: Literal["mean", "logsumexp"]
    phi: Phi = "identity"
    pairwise: bool = False
    margins: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    tau: float = 1.0

    def __post_init__(self) -> None:
        assert len(self.margins) == len(self.weights)
        assert bool(self.margins) == (self.phi == "hinge")

    def __call__(self, pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
        n = count_present(neg)
        x = neg - pos[:, None] if self.pairwise else neg
        if self.kind == "logsumexp":
            if self.phi != "identity":
                x = self._phi(x).masked_fill(neg == -math.inf, -math.inf)
            return log_sum_exp(x, self.tau), n
        return self._phi(x).sum(dim=1) / n.clamp(min=1), n

    def _phi(self, x: Tensor) -> Tensor:
        """phi(x), which is 0 without gradient at x = -inf."""
        if self.phi == "softplus":
            return softplus(x)
        if self.phi == "hinge":
            return weighted_hinge(x, self.margins, self.weights)
        x = x.masked_fill(x == -math.inf, 0.0)
        return x * x if self.phi == "square" else x


def weighted_hinge(x: Tensor, margins: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
    """sum_k weights[k] * max(0, x - margins[k]), elementwise, in memory that does not grow with K.

    On a margin the gradient is that of the lower side, as for relu.

    >>> weighted_hinge(torch.tensor([0.0, 2.0, 4.0]), (1.0, 3.0), (1.0, 10.0))
    tensor([ 0.,  1., 13.])
    """
    result: Tensor = _WeightedHinge.apply(x, margins, weights)  # type: ignore[no-untyped-call]
    return result


class _WeightedHinge(torch.autograd.Function):
    """Keeps x alone for the gradient, where a sum of relu would keep a tensor a margin."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, margins: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.terms = tuple(zip(margins, weights, strict=True))
        value, excess = torch.zeros_like(x), torch.empty_like(x)
        for margin, weight in ctx.terms:
            value.add_(torch.sub(x, margin, out=excess).relu_(), alpha=weight)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        with torch.no_grad():
            slope, above = torch.zeros_like(x), torch.empty_like(x)
            for margin, weight in ctx.terms:
                slope.add_(torch.gt(x, margin, out=above), alpha=weight)
        return grad * slope, None, None
