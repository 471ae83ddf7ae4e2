"""InfoNCE+ and MINE+: the softmax loss with a weight on its negative side and one on the pair's own term."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from taurec.losses.checks import require_number
from taurec.losses.logspace import log_mean, present, softplus
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class WeightedSoftmax(StreamedLoss):
    """The settings and the reduction that InfoNCE+ and MINE+ share."""

    tau: float = 0.1
    weight: float = 1.1

    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "weight", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.weight": [1.0, 1.1, 1.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)


@dataclass(frozen=True)
class InfoNCEPlus(WeightedSoftmax):
    """Sampled softmax with a weight on the negative side, and one on the pair's own term in the sum (InfoNCE+).

        L_b = -pos_b / tau + weight * log(eps * exp(pos_b / tau) + sum_n exp(neg_bn / tau))

    Between the softmax losses: eps = 1 and weight = 1 is :class:`~taurec.losses.SSM`, eps = 0 and weight = 1 is
    :class:`~taurec.losses.SL` (decoupled contrastive loss), and eps = 0 with any weight is
    :class:`~taurec.losses.BSLAuthorsReweight` with k = weight, to the last bit: one loss found twice. With a
    weight other than 1 a shift of all scores by c adds (weight - 1) c / tau, and with eps above 0 and a weight above 1
    a pair that is far above its negatives is pulled down.

    Args:
        tau: temperature, in score units.
        weight: of the negative side, the authors' lambda; they find 1.1 best.
        eps: of the pair's own term in the sum; they find 0 best.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or weight is not positive, or eps negative.
    Runs on: gather-dot, catalogue.
    Source: Li, Jin and Ren, arXiv 2312.08520, as in a third party's note on it; the paper itself was not read, and
    there is no code of the authors.

    >>> import torch
    >>> InfoNCEPlus(tau=1.0, weight=2.0, eps=1.0)(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([1.3863])
    """

    eps: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "eps", least=0)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        if self.eps:
            reduced = reduced + softplus(pos / self.tau + math.log(self.eps) - reduced)
        return present(self.weight * reduced - pos / self.tau, n)


@dataclass(frozen=True)
class MINEPlus(WeightedSoftmax):
    """MINE+, the softmax loss in its mean form with a weight on the negative side.

        L_b = -pos_b / tau + weight * log mean_n exp(neg_bn / tau)

    Lower than :class:`InfoNCEPlus` with eps = 0 by weight * log N, with the same gradient. weight = 1 is
    :class:`~taurec.losses.BSLAuthorsSingle`, the bound of mutual information that it is named after, with the sign of
    a loss.

    Args:
        tau: temperature, in score units.
        weight: of the negative side, the authors' lambda; they find 1.1 to 1.2 best.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or weight is not positive.
    Runs on: gather-dot, catalogue.
    Source: Li, Jin and Ren, arXiv 2312.08520, as in a third party's note on it; the paper itself was not read, and
    there is no code of the authors.

    >>> import torch
    >>> MINEPlus(tau=1.0, weight=2.0)(torch.tensor([0.0]), torch.tensor([[0.5, 0.5]]))
    tensor([1.])
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(self.weight * log_mean(reduced, n) - pos / self.tau, n)
