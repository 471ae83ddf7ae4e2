"""BCL: the contrastive loss that weighs a negative by how likely it is a hard and a true one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss

EPS = 1e-3
"""What the authors' code adds to two quantities that may be 0."""
LEAST = 1e-30
"""Lower bound of a weight, whose logarithm is taken."""


@dataclass(frozen=True)
class BCL(ScoreLoss):
    """Bayesian contrastive loss: sampled softmax with a weight for each negative, made of its rank in the row.

        L_b = -pos_b / tau + log(exp(pos_b / tau) + sum_n w(c_bn) exp(neg_bn / tau))

    with c_bn the share of the row's negatives that are not above neg_bn, and

        w(c) = h(c) / ((1 - tau_plus) t(c) + tau_plus f(c))
        t = 2 alpha (1 - F) + 2 (1 - alpha) F,    f = 2 (1 - alpha) (1 - F) + 2 alpha F
        h = (2 alpha (1 - beta) (1 - F) + 2 (1 - alpha) beta F) / (alpha (1 - beta) + (1 - alpha) beta + 0.001)

    F is the place of the score in the distribution of a class, which solves a F^2 + b F = c with
    a = (1 - 2 alpha) (1 - 2 tau_plus) + 0.001 and b = 2 (alpha (1 - tau_plus) + (1 - alpha) tau_plus). t and f are the
    densities of true and false negatives at c, h that of hard true ones. The weights depend on ranks
    alone, so they have no gradient; equal scores have equal weights.

    Args:
        tau: temperature, in score units.
        alpha: how well the scores tell positives from negatives, from 0.5 (not at all) to 1.
        beta: concentration on the hard negatives, from 0.5 (none) to 1.
        tau_plus: probability that a negative is an unknown positive, at most 0.5.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range.
    Runs on: gather-dot. No catalogue path: its weights need the ranks of a row's scores.
    Source: Liu and Wang, arXiv 2301.11673, as in the later of two forms in the authors' code (image/main.py), where the
    shares are among the negatives alone; alpha there begins at 0.5 and may be estimated as an AUC. The paper
    itself was not read. Differs in: log space; F in a form without cancellation; a weight is at least 1e-30.

    >>> torch.round(BCL(tau=1.0, tau_plus=0.0)(torch.tensor([0.0]), torch.tensor([[0.0, -9.0]])), decimals=2)
    tensor([1.7600])
    """

    tau: float = 0.1
    alpha: float = 0.9
    beta: float = 0.9
    tau_plus: float = 0.001

    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "alpha", least=0.5, most=1)
        require_number(self, "beta", least=0.5, most=1)
        require_number(self, "tau_plus", least=0, most=0.5)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.beta": [0.5, 0.7, 0.9]}

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        n = count_present(neg)
        with torch.no_grad():
            log_weight = self.weights(shares_below(neg, n)).clamp(min=LEAST).log()
        return present(softplus(log_sum_exp(neg + self.tau * log_weight, self.tau) - pos / self.tau), n)

    def weights(self, c: Tensor) -> Tensor:
        """w(c), elementwise.

        >>> torch.round(BCL(alpha=0.5, beta=0.5).weights(torch.tensor([0.1, 0.9])), decimals=2)
        tensor([1., 1.])
        """
        alpha, beta, tau_plus = self.alpha, self.beta, self.tau_plus
        a = (1 - 2 * alpha) * (1 - 2 * tau_plus) + EPS
        b = 2 * (alpha * (1 - tau_plus) + (1 - alpha) * tau_plus)
        place = 2 * c / (b + (b * b + 4 * a * c).sqrt())
        low, high = 2 * (1 - place), 2 * place
        true, false = alpha * low + (1 - alpha) * high, (1 - alpha) * low + alpha * high
        easy, hard = alpha * (1 - beta), (1 - alpha) * beta
        return (easy * low + hard * high) / (easy + hard + EPS) / (true * (1 - tau_plus) + false * tau_plus)


def shares_below(neg: Tensor, n: Tensor) -> Tensor:
    """[B, N] share of the row's negatives that are not above each; of no meaning where a negative is absent.

    >>> shares_below(torch.tensor([[3.0, 1.0, -torch.inf, 1.0]]), torch.tensor([3.0]))[0, [0, 1, 3]]
    tensor([1.0000, 0.6667, 0.6667])
    """
    ordered = neg.detach().sort(dim=1).values.contiguous()
    not_above = torch.searchsorted(ordered, neg.detach().contiguous(), right=True).to(neg.dtype)
    absent = neg.shape[1] - n
    return (not_above - absent[:, None]).clamp(min=0) / n.clamp(min=1)[:, None]
