"""Losses that treat each score independently: BCE and MSE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from taurec.losses.checks import require_number
from taurec.losses.logspace import present, softplus
from taurec.losses.protocol import DOT, ScoreLoss, StreamedLoss
from taurec.losses.reduction import RowReduce

L2_GRID = (1e-4, 1e-3, 1e-2)
"""Strengths of the L2 term to try for a loss whose own settings hardly matter."""


class PointwiseLoss(ScoreLoss):
    """A loss of single scores with a setting ``neg_weight``, trained with four negatives per row and L2."""

    def __post_init__(self) -> None:
        require_number(self, "neg_weight", least=0, optional=True)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DOT, "negatives": "uniform:4:true", "lr": 2e-3, "l2": 3e-3}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"l2": list(L2_GRID)}


@dataclass(frozen=True)
class BCE(PointwiseLoss, StreamedLoss):
    """Binary cross-entropy of scores as logits.

        L_b = softplus(-pos_b) + neg_weight * mean_n softplus(neg_bn)

    The standard pointwise loss; a baseline for the losses that compare scores. With cosine scores its
    logits are confined to [-1, 1], and it can hardly separate pairs from negatives.

    Args:
        neg_weight: weight of the mean over negatives; None takes their sum instead.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if neg_weight is negative or not finite.
    Runs on: gather-dot, catalogue.
    Source: He et al., WWW 2017, arXiv 1708.05031, eq. 7. Differs in: the negatives of a pair together weigh as
    much as the pair, whatever their number; neg_weight=None is the published sum. RecBox sums over the
    batch too, which is None and a sum in the objective.

    >>> import torch
    >>> BCE()(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([1.3863])
    """

    neg_weight: float | None = 1.0

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(softplus(-pos) + weighted(reduced, n, self.neg_weight), n)


@dataclass(frozen=True)
class MSE(PointwiseLoss, StreamedLoss):
    """Squared error against 1 for the pair and 0 for its negatives.

        L_b = (pos_b - 1)^2 / 2 + sum_n neg_bn^2 / 2

    Least squares as in matrix factorisation, on sampled negatives. It pulls negative scores up to 0
    from below, so its gradient has no fixed sign.

    Args:
        neg_weight: None is the sum above; a number takes neg_weight * mean_n instead.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in squared score units.
    Raises: UsageError if neg_weight is negative or not finite.
    Runs on: gather-dot, catalogue.
    Source: the mean-squared-error loss of RecBox. Differs in: one value per row instead of the batch's sum.

    >>> import torch
    >>> MSE()(torch.tensor([0.0]), torch.tensor([[1.0, 2.0]]))
    tensor([3.])
    """

    neg_weight: float | None = None

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "square")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(((pos - 1).square() + weighted(reduced, n, self.neg_weight)) / 2, n)


def weighted(mean: Tensor, n: Tensor, neg_weight: float | None) -> Tensor:
    """[B] ``neg_weight`` times the mean over n[B] negatives, or their sum if it is None.

    >>> import torch
    >>> weighted(torch.tensor([2.0]), torch.tensor([5.0]), None)
    tensor([10.])
    """
    return mean * n if neg_weight is None else mean * neg_weight
