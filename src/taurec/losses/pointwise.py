"""Losses that judge each score on its own: BCE and MSE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from taurec.losses.logspace import present, softplus
from taurec.losses.protocol import Scores, checked, require_number
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class BCE:
    """Binary cross-entropy of scores as logits.

        L_b = softplus(-pos_b) + neg_weight * mean_n softplus(neg_bn)

    The classic of pointwise training; a baseline for the losses that compare. With cosine scores its
    logits are confined to [-1, 1] and it can hardly separate.

    Args:
        neg_weight: weight of the mean over negatives; None takes their plain sum instead.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if neg_weight is negative or not finite.
    Source: He et al., WWW 2017, arXiv 1708.05031, eq. 7. Differs in: the negatives of a pair weigh as
    much as the pair, however many they are; neg_weight=None is the published sum. RecBox sums over the
    batch too, which is None and a sum in the objective.

    >>> import torch
    >>> BCE()(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([1.3863])
    """

    neg_weight: float | None = 1.0

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        if self.neg_weight is not None:
            require_number(self, "neg_weight", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(softplus(-pos) + weighted(reduced, n, self.neg_weight), n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class MSE:
    """Squared error against 1 for the pair and 0 for its negatives.

        L_b = (pos_b - 1)^2 / 2 + sum_n neg_bn^2 / 2

    Least squares as in matrix factorisation, on sampled negatives. It pulls negative scores up to 0
    from below, so its gradient has no fixed sign.

    Args:
        neg_weight: None is the sum above; a number takes neg_weight * mean_n instead.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in squared score units.
    Raises: UsageError if neg_weight is negative or not finite.
    Source: the mean-squared-error loss of RecBox. Differs in: one value a row instead of the batch's sum.

    >>> import torch
    >>> MSE()(torch.tensor([0.0]), torch.tensor([[1.0, 2.0]]))
    tensor([3.])
    """

    neg_weight: float | None = None

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        if self.neg_weight is not None:
            require_number(self, "neg_weight", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "square")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(((pos - 1).square() + weighted(reduced, n, self.neg_weight)) / 2, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


def weighted(mean: Tensor, n: Tensor, neg_weight: float | None) -> Tensor:
    """``neg_weight`` times the mean over negatives, or their sum where it is None.

    >>> import torch
    >>> weighted(torch.tensor([2.0]), torch.tensor([5.0]), None)
    tensor([10.])
    """
    return mean * n if neg_weight is None else mean * neg_weight
