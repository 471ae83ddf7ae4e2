"""The softmax losses: SL with the negatives alone in the sum, SSM with the positive in it too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class SoftmaxLoss(StreamedLoss):
    """The settings, the reduction and the logq correction that SL and SSM share."""

    tau: float = 0.1
    scale_by_tau: bool = False

    takes: ClassVar[frozenset[str]] = frozenset({"logq"})
    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def scaled(self, value: Tensor) -> Tensor:
        """The value, times tau if ``scale_by_tau``."""
        return value * self.tau if self.scale_by_tau else value

    def __call__(self, pos: Tensor, neg: Tensor, *, logq: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if logq is not None:
            neg = as_catalogue_sum(neg, logq, self.tau)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class SL(SoftmaxLoss):
    """Softmax loss with the negatives alone in the sum.

        L_b = -pos_b / tau + log sum_n exp(neg_bn / tau)

    A strong default. tau decides how much the hardest negatives dominate: small tau for clean
    data, larger for noisy. The value has no lower bound; its mean form, lower by the log of the number
    of negatives and of the same gradient, is :class:`~taurec.losses.BSLAuthorsSingle`.

    Args:
        tau: temperature, in score units.
        scale_by_tau: multiply the loss by tau, which makes its gradient independent of the unit of
            scores; it matters when the objective has other terms.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative. Optional logq [B, N] or [N], the
    log probability with which each negative was proposed: the sum then estimates the whole catalogue's,
    sum_n exp(neg_bn / tau) / (n_b q_bn).
    Returns: [B] loss per row, in nats (score units with scale_by_tau).
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot, catalogue.
    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163, the softmax loss of its section 2; also what
    the authors' code of BSL calls SL.

    >>> import torch
    >>> SL(tau=0.5)(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]))
    tensor([-1.3069])
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return self.scaled(present(reduced - pos / self.tau, n))


@dataclass(frozen=True)
class SSM(SoftmaxLoss):
    """Sampled softmax: cross-entropy of the pair against its negatives. InfoNCE is the same formula.

        L_b = -pos_b / tau + log(exp(pos_b / tau) + sum_n exp(neg_bn / tau)) = softplus(SL_b)

    Never negative, and its gradient fades once a pair is well above its negatives, where SL's does
    not. Over the whole catalogue (all other items as negatives) it is the exact cross-entropy; with the
    batch's items as negatives it is the in-batch softmax.

    Args:
        tau: temperature, in score units.
        scale_by_tau: multiply the loss by tau.
    Called with: pos [B], neg [B, N] without the pair's own item; -inf marks an absent negative. Optional
    logq [B, N] or [N], the log probability with which each negative was proposed: the sum over negatives
    then estimates the whole catalogue's, sum_n exp(neg_bn / tau) / (n_b q_bn), and the pair's own term,
    which was not sampled, stays as it is.
    Returns: [B] loss per row, in nats (score units with scale_by_tau).
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot, catalogue.
    Source: Wu et al., arXiv 2201.02327 (SSM); van den Oord et al., arXiv 1807.03748, eq. 4 (InfoNCE);
    Bengio and Senecal, IEEE TNN 2008 (the correction). Differs from the code of SSM in: no sum over the
    batch.

    >>> import torch
    >>> SSM(tau=1.0)(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([1.0986])
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return self.scaled(present(softplus(reduced - pos / self.tau), n))


InfoNCE = SSM


def as_catalogue_sum(neg: Tensor, logq: Tensor, tau: float) -> Tensor:
    """Scores whose sum of exponentials estimates the one over everything that could be proposed.

        neg_bn - tau * log(n_b * q_bn)

    Unbiased for that sum; equal to it when each candidate is there once with q = 1 / (their number).

    Args:
        neg: [B, N]; -inf marks an absent negative, whatever its logq.
        logq: [B, N] or [N].
        tau: the temperature of the sum.

    >>> import torch
    >>> as_catalogue_sum(torch.tensor([[1.0, 2.0]]), torch.log(torch.tensor([0.5, 0.5])), tau=0.1)
    tensor([[1., 2.]])
    """
    log_n = count_present(neg).clamp(min=1).log()[:, None]
    return (neg - tau * (logq.to(neg) + log_n)).masked_fill(neg == -math.inf, -math.inf)


def as_catalogue_mean(neg: Tensor, logq: Tensor, tau: float) -> Tensor:
    """Scores whose mean of exponentials estimates the one over everything that could be proposed.

        neg_bn + tau * log w_bn,  w_bn = (1 / q_bn) / mean_n (1 / q_bn)

    The weights have mean 1 in each row (self-normalised importance weights), so a constant q changes nothing.

    Args:
        neg: [B, N]; -inf marks an absent negative, whatever its logq.
        logq: [B, N] or [N].
        tau: the temperature of the mean.

    >>> import torch
    >>> as_catalogue_mean(torch.tensor([[1.0, 2.0]]), torch.tensor([-3.0, -3.0]), tau=0.1)
    tensor([[1., 2.]])
    """
    absent = neg == -math.inf
    log_w = (-logq.to(neg)).expand_as(neg).masked_fill(absent, -math.inf)
    log_mean = log_sum_exp(log_w) - count_present(neg).clamp(min=1).log()
    return (neg - tau * (logq.to(neg) + log_mean[:, None])).masked_fill(absent, -math.inf)
