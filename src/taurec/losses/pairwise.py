"""Losses of the difference between a pair's score and each of its negatives': BPR and the hinge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from taurec.losses.logspace import present
from taurec.losses.protocol import Scores, checked, require_number
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class BPR:
    """Bayesian personalised ranking.

        L_b = mean_n softplus(neg_bn - pos_b)

    The baseline of pairwise training. One negative a row is the classic form; with many it averages
    over all of them and so looks at easy negatives more than a softmax does.

    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Source: Rendle et al., UAI 2009, arXiv 1205.2618, section 4.1. Differs from common code in: softplus
    instead of -log(eps + sigmoid), whose gradient vanishes on the hardest pairs; no L2 term, which
    belongs to the objective.

    >>> import torch
    >>> BPR()(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([0.6931])
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus", pairwise=True)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(reduced, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class Hinge:
    """Pairwise hinge, also called margin ranking loss.

        L_b = mean_n max(0, margin + neg_bn - pos_b)

    A pair that beats a negative by the margin stops learning from it. The margin is in score units: at
    1 with cosine scores nearly every negative counts.

    Args:
        margin: by how much a pair should beat its negatives.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if margin is negative or not finite.
    Source: the margin ranking loss in general use; RecBox's pairwise form. Differs in: the mean over
    negatives instead of a sum.

    >>> import torch
    >>> Hinge(margin=1.0)(torch.tensor([2.0]), torch.tensor([[0.0, 2.0]]))
    tensor([0.5000])
    """

    margin: float = 1.0

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "margin", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", pairwise=True, margins=(-self.margin,), weights=(1.0,))

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(reduced, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))
