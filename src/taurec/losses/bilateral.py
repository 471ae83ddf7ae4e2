"""The bilateral softmax loss (BSL): one softmax over a user's positives and one over the negatives.

Six formulas go by this name in print and in public code. Each has its own name here:

- :class:`BSL`: grouped positives, each row's own negatives; one value per row. The recommended one.
- :class:`BSLPerUser`: the paper's value of a user, with the union of the user's negatives.
- In :mod:`taurec.losses.bsl_variants`, to reproduce published runs: the three modes of the authors' code, and
  IR-Benchmark's formula, which is SL at another scale.

The positive side gives low-scored, likely wrong, positives of a user less weight. It needs several of them
at once: if each user has one row in the batch, BSL is ``tau_neg * SL(tau_neg)`` plus a constant, and
tau_pos has no effect. So use an order of rows that keeps users together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_group, require_number
from taurec.losses.logspace import (
    group_log_mean_exp,
    group_log_sum_exp,
    group_slots,
    group_sum,
    log_mean,
    pooled,
    present,
)
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce
from taurec.losses.softmax import as_catalogue_mean


@dataclass(frozen=True)
class BilateralLoss(StreamedLoss):
    """The settings that the two forms of BSL share."""

    tau_pos: float = 1.0
    tau_neg: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    temperature: ClassVar[str | None] = "tau_neg"
    positive_temperature: ClassVar[str | None] = "tau_pos"
    without_groups: ClassVar[str] = "without groups BSL is SL. Use --order user-blocks:4 or --loss sl"

    def __post_init__(self) -> None:
        require_number(self, "tau_pos", above=0)
        require_number(self, "tau_neg", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau_neg": [0.05, 0.1, 0.2], "loss.tau_pos": [0.2, 1.0]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau_neg)


@dataclass(frozen=True)
class BSL(BilateralLoss):
    """Bilateral softmax loss, one value per row.

        L_b = -tau_pos * log mean_{c: group_c = group_b} exp(pos_c / tau_pos)
              + tau_neg * log mean_n exp(neg_bn / tau_neg)

    Robust to noisy positives as well as to noisy negatives. With every group a single row it equals
    ``tau_neg * SL(tau_neg)`` plus a constant, so use it with an order of rows that groups users. As
    tau_pos grows, the positive side becomes the plain mean of the user's positives.

    Args:
        tau_pos: temperature of the positive side, in score units; a small one mostly hurts on clean logs, and
            0.2 to 1 is worth trying on noisy ones (docs/bilateral.md).
        tau_neg: temperature of the negative side, in score units.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group. Optional logq [B, N] or [N], the log
    probability with which each negative was proposed: the mean over negatives is then weighted by 1 / q.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if a temperature is not positive or group is missing.
    Runs on: gather-dot, catalogue.
    Source: Wu et al., ICDE 2024, arXiv 2312.12882, with the positives and negatives of the batch for
    those of the user. Differs from the authors' code in: two temperatures, where theirs has one and an
    exponent on the negative side (:class:`BSLAuthorsMulti`); score units, where theirs is divided by tau.

    >>> import torch
    >>> loss = BSL(tau_pos=1.0, tau_neg=1.0)
    >>> loss(torch.tensor([0.0, 0.0]), torch.zeros(2, 3), group=torch.tensor([7, 7]))
    tensor([0., 0.])
    """

    takes: ClassVar[frozenset[str]] = frozenset({"logq"})

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        group = checked_group(group, pos, "BSL")
        positives = self.tau_pos * pooled(pos / self.tau_pos, group, n)
        return present(self.tau_neg * log_mean(reduced, n) - positives, n)

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None, logq: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if logq is not None:
            neg = as_catalogue_mean(neg, logq, self.tau_neg)
        return self.combine(pos, *self.reduce(pos, neg), group=group)


@dataclass(frozen=True)
class BSLPerUser(BilateralLoss):
    """Bilateral softmax loss as the paper writes it: one logarithm per side and user, then the mean over users.

        L_u = -tau_pos * log mean_{b: group_b = u} exp(pos_b / tau_pos)
              + tau_neg * log mean_{b: group_b = u, n} exp(neg_bn / tau_neg)

    The negatives of a user are those of all its rows together. A user counts once, whatever its number of
    rows; :class:`BSL` counts rows. A score loss returns one value per row, so row b gets

        L_b = L_u * B' / (G * R_u)

    with B' rows, G users and R_u rows of this user (rows without negatives not counted): the plain mean
    over rows is then the mean over users. :meth:`per_user` gives L_u itself.

    Args:
        tau_pos: temperature of the positive side, in score units.
        tau_neg: temperature of the negative side, in score units.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group.
    Returns: [B] contribution of each row, in score units.
    Raises: UsageError if a temperature is not positive or group is missing.
    Runs on: gather-dot, catalogue.
    Source: Wu et al., ICDE 2024, arXiv 2312.12882, the objective, over the positives and negatives of
    the batch. The authors' code has no such form.

    >>> import torch
    >>> loss, group = BSLPerUser(tau_pos=1.0, tau_neg=1.0), torch.tensor([7, 7, 3])
    >>> loss(torch.tensor([0.0, 0.0, -2.0]), torch.zeros(3, 4), group=group).mean()
    tensor(1.)
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        slots = group_slots(checked_group(group, pos, "BSLPerUser"))
        rows = group_sum((n > 0).to(pos.dtype), slots)
        share = rows.sum() / (rows.count_nonzero() * rows).clamp(min=1)
        return present((self._by_slot(pos, reduced, n, slots) * share).index_select(0, slots), n)

    def _by_slot(self, pos: Tensor, reduced: Tensor, n: Tensor, slots: Tensor) -> Tensor:
        """[B] L_u by slot; slots without rows hold 0."""
        negatives = group_log_sum_exp(reduced.masked_fill(n == 0, -math.inf), slots)
        positives = group_log_mean_exp(pos / self.tau_pos, slots, n)
        return self.tau_neg * log_mean(negatives, group_sum(n, slots)) - self.tau_pos * positives

    def per_user(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The distinct users [G], ascending, and the loss L_u [G] of each; 0 for one without negatives."""
        pos, neg = checked(pos, neg)
        users, slots = torch.unique(checked_group(group, pos, "BSLPerUser"), return_inverse=True)
        return users, self._by_slot(pos, *self.reduce(pos, neg), slots)[: users.numel()]
