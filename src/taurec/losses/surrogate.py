"""PSL: the softmax loss with a tighter surrogate for "this negative is ranked above the pair" than the exponential.

All three are log sum_n s(d_bn)^(1 / tau) of half the difference of two cosines, d = (neg - pos) / 2 in [-1, 1].
SL is the case s = exp; its temperature on whole differences is 2 tau.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss, Scores

LEAST = 1e-7
"""Lower bound of s, about a rounding of 1 + d in float32: it avoids log 0, and below it there is no gradient."""


@dataclass(frozen=True)
class PairwiseSoftmaxLoss(ScoreLoss):
    """log sum_n s(d_bn)^(1 / tau) with d = (neg - pos) / 2; a subclass defines log s."""

    tau: float = 0.05

    scores: ClassVar[Scores] = "cosine"
    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.025, 0.05, 0.1]}

    def log_s(self, d: Tensor) -> Tensor:
        """log s(d), elementwise."""
        raise NotImplementedError

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        absent = neg == -math.inf
        d = (neg.masked_fill(absent, 0.0) - pos[:, None]) / 2
        exponent = self.log_s(d).masked_fill(absent, -math.inf)
        return present(log_sum_exp(exponent, self.tau), count_present(neg))


@dataclass(frozen=True)
class PSLTanh(PairwiseSoftmaxLoss):
    """Pairwise softmax loss with s(d) = 1 + tanh(d).

        L_b = log sum_n (1 + tanh((neg_bn - pos_b) / 2))^(1 / tau)

    Bounded above for each negative, where the exponential of SL grows: a wrong pair has less influence.

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot. No catalogue path: s is not one of the functions that the catalogue kernels reduce.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).
    Differs in: the log of s is formed exactly, not as log(tanh(d) + 1).

    >>> PSLTanh(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    def log_s(self, d: Tensor) -> Tensor:
        return math.log(2) - softplus(-2 * d)  # 1 + tanh(d) = 2 / (1 + exp(-2 d))


@dataclass(frozen=True)
class PSLAtan(PairwiseSoftmaxLoss):
    """Pairwise softmax loss with s(d) = 1 + atan(d).

        L_b = log sum_n (1 + atan((neg_bn - pos_b) / 2))^(1 / tau)

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot. No catalogue path: s is not one of the functions that the catalogue kernels reduce.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).

    >>> PSLAtan(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    def log_s(self, d: Tensor) -> Tensor:
        return (1 + torch.atan(d)).clamp(min=LEAST).log()


@dataclass(frozen=True)
class PSLRelu(PairwiseSoftmaxLoss):
    """Pairwise softmax loss with s(d) = max(0, 1 + d).

        L_b = log sum_n max(0, 1 + (neg_bn - pos_b) / 2)^(1 / tau)

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot. No catalogue path: s is not one of the functions that the catalogue kernels reduce.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).
    Differs in: s is at least 1e-7, where theirs is 0 for a negative as far below the pair as possible, and its log
    minus infinity.

    >>> PSLRelu(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    def log_s(self, d: Tensor) -> Tensor:
        return (1 + d).clamp(min=LEAST).log()
