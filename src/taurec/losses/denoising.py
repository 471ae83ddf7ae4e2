"""Adaptive denoising training: binary cross-entropy that trusts a pair less the lower its score is (T-CE, R-CE)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, present, softplus
from taurec.losses.pointwise import PointwiseLoss, weighted
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce
from taurec.losses.state import LossState, TrainingLog
from taurec.types import Batch


@dataclass(frozen=True)
class TCE(PointwiseLoss, StreamedLoss):
    """Truncated cross-entropy: the pairs of a batch with the largest losses are dropped.

        L_b = keep_b * softplus(-pos_b) + neg_weight * mean_n softplus(neg_bn)

    keep_b is 0 for the floor(drop_rate * B) pairs of the batch with the lowest scores, else 1; the negatives of a
    dropped pair stay. Rows without a negative are not among the B. Of pairs with equal scores the first are dropped.
    The rate grows linearly from 0 in the first step to ``max_drop_rate`` in step ``gradual_steps``, because a
    large loss means a mistake only once the model has learned something (:class:`DropRate`).

    Args:
        max_drop_rate: final share of the pairs that is dropped.
        gradual_steps: steps until the rate reaches it.
        neg_weight: weight of the mean over negatives; None takes their sum instead.
    Called with: pos [B], neg [B, N], drop_rate [B], the same in all rows; -inf marks an absent negative. The value
    of a row depends on the scores of the others.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if drop_rate is missing.
    Runs on: gather-dot, catalogue.
    Source: Wang et al., WSDM 2021, arXiv 2006.04153, T-CE. Differs from the authors' code (DenoisingRec) in: the
    rate is a share of the pairs, where theirs is one of pairs and negatives together, so that with one negative per
    pair their rate 0.1 is 0.2 here; the mean is over all rows, where theirs leaves out what was dropped.

    >>> TCE()(torch.tensor([0.0, -9.0]), torch.zeros(2, 1), drop_rate=torch.tensor([0.5, 0.5]))
    tensor([1.3863, 0.6931])
    """

    max_drop_rate: float = 0.2
    gradual_steps: int = 30_000
    neg_weight: float | None = 1.0

    needs: ClassVar[frozenset[str]] = frozenset({"drop_rate"})

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "max_drop_rate", least=0, most=1)
        require_number(self, "gradual_steps", least=1)

    def state(self, train: TrainingLog, seed: int) -> DropRate:
        return DropRate(self)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.max_drop_rate": [0.05, 0.1, 0.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "softplus")

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, drop_rate: Tensor | None = None) -> Tensor:
        drop_rate = checked_row_input("drop_rate", drop_rate, pos, "TCE")
        # Rows without negatives come last, and do not count.
        order = pos.detach().masked_fill(n == 0, math.inf).argsort(stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        dropped = rank < (drop_rate * (n > 0).sum()).floor()
        own = softplus(-pos).masked_fill(dropped, 0.0)
        return present(own + weighted(reduced, n, self.neg_weight), n)


class DropRate(LossState):
    """The drop rate of T-CE: ``max_drop_rate * min(1, t / gradual_steps)`` in the step after t steps.

    Args:
        loss: its settings.
    """

    supplies = frozenset({"drop_rate"})

    def __init__(self, loss: TCE):
        self.loss = loss
        self.steps = 0

    @property
    def rate(self) -> float:
        """The share that the next step drops."""
        return self.loss.max_drop_rate * min(1.0, self.steps / self.loss.gradual_steps)

    def side(self, batch: Batch) -> dict[str, Tensor]:
        return {"drop_rate": torch.full(batch.user.shape, self.rate, device=batch.user.device)}

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        self.steps += 1

    def state(self) -> dict[str, NDArray[Any]]:
        return {"steps": np.array([self.steps])}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.steps = int(state["steps"][0])


@dataclass(frozen=True)
class RCE(PointwiseLoss):
    """Reweighted cross-entropy: a pair weighs less the lower its predicted probability is.

        L_b = p(pos_b)^beta * softplus(-pos_b) + neg_weight * mean_n (1 - p(neg_bn))^beta * softplus(neg_bn)

    with p(x) = 1 / (1 + exp(-x)). The weights are constants: no gradient goes through them. beta = 0 is BCE.

    Args:
        beta: how strongly doubtful pairs and negatives are down-weighted.
        neg_weight: weight of the mean over negatives; None takes their sum instead.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if a setting is negative or not finite.
    Runs on: gather-dot. No catalogue path: the weights of its negatives are constants, which no reduction expresses.
    Source: Wang et al., WSDM 2021, arXiv 2006.04153, R-CE, with the weights of the authors' code (DenoisingRec,
    where beta is called ``alpha``). Differs in: the negatives of a pair together weigh as much as the pair, whatever
    their number; log space.

    >>> RCE(beta=1.0)(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([0.6931])
    """

    beta: float = 0.2
    neg_weight: float | None = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "beta", least=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.beta": [0.1, 0.2, 0.4]}

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        n = count_present(neg)
        # p(x)^beta = exp(-beta softplus(-x)) and (1 - p(x))^beta = exp(-beta softplus(x))
        own, other = softplus(-pos), softplus(neg)
        own = own * (-self.beta * own.detach()).exp()
        other = other * (-self.beta * other.detach()).exp()
        return present(own + weighted(other.sum(dim=1) / n.clamp(min=1), n, self.neg_weight), n)
