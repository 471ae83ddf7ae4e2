"""SogCLR: the softmax loss with a normaliser that each user remembers from earlier batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, group_log_mean_exp, group_slots, log_mean, log_sum_exp, present
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import TrainingLog, UserNumbers
from taurec.types import Batch


@dataclass(frozen=True)
class SogCLR(ScoreLoss):
    """Softmax loss whose normaliser is a moving average over the user's earlier negatives.

        L_b = -pos_b / tau + g_b / G_b
        g_b = mean_n exp(neg_bn / tau),    G_b = (1 - rate) * exp(log_mean_b) + rate * g_b  without gradient

    Few negatives give a noisy estimate of the sum over the catalogue, and its logarithm is biased; the average G over
    a user's batches is closer to it. exp(log_mean) is the user's G before the step, :class:`UserNormalisers` supplies
    it; a user without one has G = g. The gradient is that of the softmax loss with g / G times the weight on
    the negatives, and at rate 1 exactly that of :class:`~taurec.losses.SL`; the values cannot be compared with it.

    Args:
        tau: temperature, in score units.
        rate: of the moving average, above 0 and at most 1; the authors of IR-Benchmark try 0.1 to 0.9.
    Called with: pos [B], neg [B, N], log_mean [B], -inf for a user without a normaliser; -inf marks an absent negative.
    Returns: [B] loss per row.
    Raises: UsageError if tau is not positive, rate is not in (0, 1], or log_mean is missing.
    Runs on: gather-dot. No catalogue path: the normalisers are made of the scores of the negatives.
    Source: Yuan et al., ICML 2022, arXiv 2202.12387, in IR-Benchmark's form for recommendation (optimizer SogCLR),
    where ``rate`` is called ``gamma_g``. Differs in: log space; where a user has several rows in a batch, it afterwards
    remembers the mean of their G, where theirs keeps one of them, which one is not defined.

    >>> SogCLR(tau=1.0, rate=0.5)(torch.tensor([0.5]), torch.zeros(1, 2), log_mean=torch.tensor([0.0]))
    tensor([0.5000])
    """

    tau: float = 0.1
    rate: float = 0.5

    needs: ClassVar[frozenset[str]] = frozenset({"log_mean"})
    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "rate", least=1e-6, most=1)

    def state(self, train: TrainingLog, seed: int) -> UserNormalisers:
        return UserNormalisers(self, train)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.rate": [0.1, 0.5, 0.9]}

    def __call__(self, pos: Tensor, neg: Tensor, *, log_mean: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        before = checked_row_input("log_mean", log_mean, pos, "SogCLR")
        now, n = self.estimate(neg)
        return present((now - self.moved(before, now).detach()).exp() - pos / self.tau, n)

    def estimate(self, neg: Tensor) -> tuple[Tensor, Tensor]:
        """log g [B] of the scores neg [B, N], and the number of negatives [B]."""
        n = count_present(neg)
        return log_mean(log_sum_exp(neg, self.tau), n), n

    def moved(self, before: Tensor, now: Tensor) -> Tensor:
        """log G [B] from the logs of G before the step and of g.

        >>> SogCLR(rate=0.5).moved(torch.tensor([-torch.inf, 0.0]), torch.tensor([2.0, 0.0]))
        tensor([2., 0.])
        """
        keep = math.log1p(-self.rate) if self.rate < 1 else -math.inf
        mixed = torch.logaddexp(before + keep, now + math.log(self.rate))
        return torch.where(before == -math.inf, now, mixed)


class UserNormalisers(UserNumbers):
    """log G of each user, -inf before its first batch.

    Args:
        loss: its settings.
        train: the training pairs.
    """

    def __init__(self, loss: SogCLR, train: TrainingLog):
        super().__init__("log_mean", torch.full((train.n_users,), -math.inf))
        self.loss = loss

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        assert neg is not None  # held, as the loss has no catalogue path
        now, n = (x.cpu() for x in self.loss.estimate(neg))
        there = n > 0
        user = batch.user.cpu()[there]
        moved = self.loss.moved(self.numbers.index_select(0, user), now[there].to(self.numbers))
        slots = group_slots(user)
        # All rows of a user hold the same value, so it does not matter which of them is written last.
        self.numbers[user] = group_log_mean_exp(moved, slots, n[there]).index_select(0, slots)
