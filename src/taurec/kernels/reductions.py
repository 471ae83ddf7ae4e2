"""The description of a reduction over a row's negatives: phi, its mean or log-sum-exp, margins and weights.

Losses declare a reduction. :mod:`taurec.losses.reduction` computes it from scores in memory, and the catalogue kernels
compute it block by block. This is the only definition of phi and its slope in torch; Triton has its own language for
formulas and reads the number of each phi from its position in :data:`PHIS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["mean", "logsumexp"]
Phi = Literal["identity", "softplus", "hinge", "square"]
PHIS: tuple[Phi, ...] = get_args(Phi)


@dataclass(frozen=True)
class Reduction:
    """The mean, or the log-sum-exp, of phi over a row's negatives.

        mean:       r_b = sum_n phi(x_bn) / n_b
        logsumexp:  r_b = log sum_n exp(phi(x_bn) / tau)

    with x_bn = neg_bn, or neg_bn - pos_b if pairwise, over the n_b negatives that are present.

    Attributes:
        kind: which of the two.
        phi: ``hinge`` is sum_k weights[k] * max(0, x - margins[k]), ``square`` is x * x, ``softplus`` log(1 + exp(x)).
        pairwise: whether the score of the pair is subtracted from each negative score.
        margins, weights: the margins of the hinge and their weights, in any order.
        tau: the temperature of the log-sum-exp.
    """

    kind: Kind
    phi: Phi = "identity"
    pairwise: bool = False
    margins: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    tau: float = 1.0

    def __post_init__(self) -> None:
        assert len(self.margins) == len(self.weights)
        assert bool(self.margins) == (self.phi == "hinge")

    def value(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """phi(x), elementwise and differentiable; with ``overwrite`` x may be overwritten and has no gradient.

        >>> Reduction("mean", "square").value(torch.tensor([3.0]))
        tensor([9.])
        """
        if self.phi == "softplus":
            return F.softplus(x, threshold=40.0)  # from 20 on torch's default returns x, off by 2e-9 in float64
        if self.phi == "hinge":
            return weighted_hinge(x, self.margins, self.weights)
        if self.phi == "square":
            return x.square_() if overwrite else x * x
        return x

    def slope(self, x: Tensor) -> Tensor:
        """phi'(x) in a new tensor; at a margin of the hinge, the slope below the margin.

        >>> Reduction("mean", "hinge", margins=(1.0,), weights=(2.0,)).slope(torch.tensor([1.0, 1.5]))
        tensor([0., 2.])
        """
        if self.phi == "softplus":
            return torch.sigmoid(x)
        if self.phi == "square":
            return 2 * x
        if self.phi == "hinge":
            return _hinge_slope(x, self.margins, self.weights)
        return torch.ones_like(x)


def weighted_hinge(x: Tensor, margins: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
    """sum_k weights[k] * max(0, x - margins[k]), elementwise, in memory independent of the number of margins K.

    At a margin the gradient is the slope below it, as for relu.

    >>> weighted_hinge(torch.tensor([0.0, 2.0, 4.0]), (1.0, 3.0), (1.0, 10.0))
    tensor([ 0.,  1., 13.])
    """
    result: Tensor = _WeightedHinge.apply(x, margins, weights)  # type: ignore[no-untyped-call]
    return result


def _hinge_slope(x: Tensor, margins: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
    slope, above = torch.zeros_like(x), torch.empty_like(x)
    for margin, weight in zip(margins, weights, strict=True):
        slope.add_(torch.gt(x, margin, out=above), alpha=weight)
    return slope


class _WeightedHinge(torch.autograd.Function):
    """The weighted hinge, which saves only x for backward; a sum of relu would save one tensor per margin."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, margins: tuple[float, ...], weights: tuple[float, ...]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.terms = margins, weights
        value, excess = torch.zeros_like(x), torch.empty_like(x)
        for margin, weight in zip(margins, weights, strict=True):
            value.add_(torch.sub(x, margin, out=excess).relu_(), alpha=weight)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        with torch.no_grad():
            slope = _hinge_slope(x, *ctx.terms)
        return grad * slope, None, None
