"""Losses of the difference between a pair's score and each of its negatives': BPR and the hinge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from taurec.losses.checks import require_number
from taurec.losses.logspace import present
from taurec.losses.pointwise import L2_GRID
from taurec.losses.protocol import DOT, StreamedLoss
from taurec.losses.reduction import RowReduce


class PairwiseLoss(StreamedLoss):
    """A loss of differences, trained with one negative per row and L2, as in the literature."""

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(reduced, n)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DOT, "negatives": "uniform:1:true", "lr": 2e-3, "l2": 3e-3}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"l2": list(L2_GRID)}


@dataclass(frozen=True)
class BPR(PairwiseLoss):
    """Bayesian personalised ranking.

        L_b = mean_n softplus(neg_bn - pos_b)

    The standard pairwise baseline. The classic form has one negative per row; with many it averages over all of
    them, so easy negatives weigh more than in a softmax.

    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Runs on: gather-dot, catalogue.
    Source: Rendle et al., UAI 2009, arXiv 1205.2618, section 4.1. Differs from common code in: softplus
    instead of -log(eps + sigmoid), whose gradient vanishes on the hardest pairs; no L2 term, which
    belongs to the objective.

    >>> import torch
    >>> BPR()(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([0.6931])
    """

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus", pairwise=True)


@dataclass(frozen=True)
class Hinge(PairwiseLoss):
    """Pairwise hinge, also called margin ranking loss.

        L_b = mean_n max(0, margin + neg_bn - pos_b)

    A pair that beats a negative by the margin stops learning from it. The margin is in score units: at
    1 with cosine scores nearly every negative counts.

    Args:
        margin: by how much a pair should beat its negatives.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if margin is negative or not finite.
    Runs on: gather-dot, catalogue.
    Source: the margin ranking loss in general use; RecBox's pairwise form. Differs in: the mean over
    negatives instead of a sum.

    >>> import torch
    >>> Hinge(margin=1.0)(torch.tensor([2.0]), torch.tensor([[0.0, 2.0]]))
    tensor([0.5000])
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        require_number(self, "margin", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", pairwise=True, margins=(-self.margin,), weights=(1.0,))
