"""Contrastive losses whose negatives weigh more the harder they are, or less the likelier they are false.

All are the sampled softmax with another sum over the negatives. :class:`DCL` subtracts from the sum what its unknown
positives are expected to be, :class:`HCL` does so after a reweighting by hardness, :class:`HardnessSSM` only reweights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_mean, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss, Scores, StreamedLoss
from taurec.losses.reduction import RowReduce


def debiased(pos: Tensor, log_sum: Tensor, n: Tensor, tau: float, tau_plus: float) -> Tensor:
    """[B] cross-entropy of the pair against a sum over negatives without the part of the positives among them.

        log(1 + g_b / exp(pos_b / tau)),
        g_b = max((exp(log_sum_b) - tau_plus * n_b * exp(pos_b / tau)) / (1 - tau_plus), n_b * exp(-1 / tau))

    The lower bound is what n_b negatives at cosine -1 sum to.

    Args:
        pos: [B] scores.
        log_sum: [B] log of a sum of exp(neg / tau) with weights of mean 1.
        n: [B] number of negatives.
        tau: temperature.
        tau_plus: probability that a negative is a positive.

    >>> debiased(torch.tensor([0.0]), torch.log(torch.tensor([2.0])), torch.tensor([2.0]), tau=1.0, tau_plus=0.1)
    tensor([1.0986])
    """
    if not tau_plus:
        return present(softplus(log_sum - pos / tau), n)
    own = pos / tau
    log_least = n.clamp(min=1).log() - 1 / tau
    top = torch.maximum(torch.maximum(own, log_sum), log_least).detach()
    positive, total = (own - top).exp(), (log_sum - top).exp()
    rest = torch.maximum((total - tau_plus * n * positive) / (1 - tau_plus), (log_least - top).exp())
    return present((positive + rest).log() + top - own, n)


@dataclass(frozen=True)
class DCL(StreamedLoss):
    """Debiased contrastive loss: sampled softmax that allows for positives among the negatives.

        L_b = -log(e_b / (e_b + g_b)),    e_b = exp(pos_b / tau)
        g_b = max((sum_n exp(neg_bn / tau) - tau_plus * N * e_b) / (1 - tau_plus), N * exp(-1 / tau))

    If a negative is an unknown positive with probability tau_plus, g is what the sum over true negatives alone is
    expected to be, with the pair's own score for those of the others. tau_plus = 0 is :class:`~taurec.losses.SSM`,
    up to the lower bound, which is not applied there. Where negatives are rarely positives, as in sparse logs, it
    should be small: at 0.1 the sum is at its lower bound for pairs that are well above their negatives.

    Args:
        tau: temperature, in units of the cosine.
        tau_plus: probability that a negative is an unknown positive, at most 0.5.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive, or tau_plus is not in [0, 0.5].
    Runs on: gather-dot, catalogue.
    Source: Chuang et al., NeurIPS 2020, arXiv 2007.00224, with one positive, as in the authors' code of HCL (its
    default tau is 0.5 and tau_plus 0.1, for images). Differs in: log space.

    >>> import torch
    >>> DCL(tau=1.0, tau_plus=0.1)(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([1.0986])
    """

    tau: float = 0.1
    tau_plus: float = 0.001

    scores: ClassVar[Scores] = "cosine"
    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "tau_plus", least=0, most=0.5)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.tau_plus": [0.0001, 0.001, 0.01]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return debiased(pos, reduced, n, self.tau, self.tau_plus)


@dataclass(frozen=True)
class HCL(ScoreLoss):
    """Hard contrastive loss: DCL whose negatives weigh more the harder they are.

        L_b = -log(e_b / (e_b + g_b)),    e_b = exp(pos_b / tau)
        g_b = max((sum_n w_bn exp(neg_bn / tau) - tau_plus * N * e_b) / (1 - tau_plus), N * exp(-1 / tau))
        w_bn = exp(beta * neg_bn / tau) / mean_n exp(beta * neg_bn / tau)

    The weights stand for draws from the hard negatives. They have gradients too, so lowering an easy negative is
    worth less than nothing: its gradient may be below 0, unless ``detach_weights`` is set. beta = 0 is :class:`DCL`,
    with tau_plus = 0 too :class:`~taurec.losses.SSM`; for large beta the hardest negative alone counts, N times.

    Args:
        tau: temperature, in units of the cosine.
        beta: concentration on the hard negatives.
        tau_plus: probability that a negative is an unknown positive, at most 0.5.
        detach_weights: take the weights as constants.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive, beta is negative, or tau_plus is not in [0, 0.5].
    Runs on: gather-dot. No catalogue path: its sum over negatives is a quotient of two.
    Source: Robinson et al., ICLR 2021, arXiv 2010.04592, as in the authors' code (tau 0.5, beta 1 and tau_plus 0.1, for
    images). Differs in: log space; the weights may be constants.

    >>> import torch
    >>> HCL(tau=1.0, beta=1.0, tau_plus=0.0)(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
    tensor([1.0986])
    """

    tau: float = 0.4
    beta: float = 1.0
    tau_plus: float = 0.001
    detach_weights: bool = False

    scores: ClassVar[Scores] = "cosine"
    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "beta", least=0)
        require_number(self, "tau_plus", least=0, most=0.5)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.2, 0.4], "loss.beta": [0.5, 1.0]}

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        n = count_present(neg)
        return debiased(pos, self._log_sum(neg, n), n, self.tau, self.tau_plus)

    def _log_sum(self, neg: Tensor, n: Tensor) -> Tensor:
        """[B] log sum_n w_bn exp(neg_bn / tau)."""
        if not self.beta:
            return log_sum_exp(neg, self.tau)
        if not self.detach_weights:
            together = log_sum_exp(neg, self.tau / (1 + self.beta))
            return together - log_mean(log_sum_exp(neg, self.tau / self.beta), n)
        constant = neg.detach()
        shift = log_mean(log_sum_exp(constant, self.tau / self.beta), n)[:, None]
        return log_sum_exp(neg + self.beta * constant - self.tau * shift, self.tau)


@dataclass(frozen=True)
class HardnessSSM(StreamedLoss):
    """Sampled softmax with hardness weights: the logit of a negative grows with its own score, as a constant.

        L_b = -pos_b / tau + log(exp(pos_b / tau) + sum_n exp(neg_bn / tau + alpha * c_bn)),   c = neg without gradient

    Its value is that of :class:`~taurec.losses.SSM` with the negatives at temperature 1 / (1 / tau + alpha), its
    gradient in a negative is the probability of that negative over tau: hard negatives weigh more, and the size of
    the gradient stays that of tau. alpha = 0 is SSM. It is also :class:`HCL` with beta = alpha * tau, constant
    weights that are not divided by their mean, and tau_plus = 0.

    Args:
        tau: temperature, in score units.
        alpha: weight of a negative's score in its own logit, one over score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive or alpha is negative.
    Runs on: gather-dot, catalogue.
    Source: sentence-transformers, MultipleNegativesRankingLoss with ``hardness_mode``, whose references are Lan et al.,
    arXiv 2503.04812, eq. 5 (alpha 9 at tau 0.05, negatives of the batch) and EmbeddingGemma, arXiv 2509.20354 (alpha 5,
    given hard negatives). Here the weights apply to all negatives, wherever they come from.

    >>> import torch
    >>> HardnessSSM(tau=1.0, alpha=1.0)(torch.tensor([1.0]), torch.tensor([[0.5]]))
    tensor([0.6931])
    """

    tau: float = 0.2
    alpha: float = 5.0

    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "alpha", least=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.1, 0.2, 0.4], "loss.alpha": [2.0, 5.0, 9.0]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau / (1 + self.alpha * self.tau))

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        # The reduction's gradient is the probability times (1 + alpha tau) / tau; that of the loss has 1 / tau.
        share = 1 / (1 + self.alpha * self.tau)
        reduced = share * reduced + (1 - share) * reduced.detach()
        return present(softplus(reduced - pos / self.tau), n)
