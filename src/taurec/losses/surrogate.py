"""PSL: the softmax loss with a tighter stand-in for "this negative is ranked above the pair" than the exponential.

All three are log sum_n s(d_bn)^(1 / tau) on half the difference of two cosines, d = (neg - pos) / 2 in [-1, 1].
SL is the same with s = exp, whose temperature on whole differences is 2 tau.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import Scores, checked, require_number

LEAST = 1e-7
"""s is taken as at least this, about a rounding of 1 + d in float32: no log of 0, and below it no gradient."""


@dataclass(frozen=True)
class PSLTanh:
    """Pairwise softmax loss with s(d) = 1 + tanh(d).

        L_b = log sum_n (1 + tanh((neg_bn - pos_b) / 2))^(1 / tau)

    Bounded above for each negative, where the exponential of SL grows: a pair that is wrong pulls less.

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).
    Differs in: the log of s is formed exactly, not as log(tanh(d) + 1).

    >>> PSLTanh(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    tau: float = 0.05

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        # 1 + tanh(d) = 2 / (1 + exp(-2 d))
        return _pairwise_softmax(pos, neg, lambda d: math.log(2) - softplus(-2 * d), self.tau)


@dataclass(frozen=True)
class PSLAtan:
    """Pairwise softmax loss with s(d) = 1 + atan(d).

        L_b = log sum_n (1 + atan((neg_bn - pos_b) / 2))^(1 / tau)

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).

    >>> PSLAtan(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    tau: float = 0.05

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        return _pairwise_softmax(pos, neg, lambda d: (1 + torch.atan(d)).clamp(min=LEAST).log(), self.tau)


@dataclass(frozen=True)
class PSLRelu:
    """Pairwise softmax loss with s(d) = max(0, 1 + d).

        L_b = log sum_n max(0, 1 + (neg_bn - pos_b) / 2)^(1 / tau)

    Args:
        tau: the paper's tau*, in half score units: 0.05 compares to SL at 0.1.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, as in IR-Benchmark (optimizer PSL, method 1, tau = 2).
    Differs in: s is at least 1e-7, where theirs is 0 for a negative as far below the pair as can be, and its log
    minus infinity.

    >>> PSLRelu(tau=1.0)(torch.tensor([0.5]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """

    tau: float = 0.05

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        return _pairwise_softmax(pos, neg, lambda d: (1 + d).clamp(min=LEAST).log(), self.tau)


def _pairwise_softmax(pos: Tensor, neg: Tensor, log_s: Callable[[Tensor], Tensor], tau: float) -> Tensor:
    """[B] log sum_n exp(log_s((neg_bn - pos_b) / 2) / tau); 0 for a row without negatives."""
    pos, neg = checked(pos, neg)
    absent = neg == -math.inf
    d = (neg.masked_fill(absent, 0.0) - pos[:, None]) / 2
    return present(log_sum_exp(log_s(d).masked_fill(absent, -math.inf), tau), count_present(neg))
