"""Losses of a whole set of candidates at once: CEL, one minus the soft F1 of the set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_group, require_number
from taurec.losses.logspace import count_present, group_slots, group_sum, present
from taurec.losses.protocol import ScoreLoss


@dataclass(frozen=True)
class CELBase(ScoreLoss):
    """The settings of both forms of CEL, and the probabilities that they are made of."""

    tau: float = 1.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "threshold")

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**super().preset(), "loss.tau": 0.1, "loss.threshold": 0.5}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.threshold": [0.3, 0.5, 0.7]}

    def probabilities(self, pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the pair [B], and their sum over the negatives [B]."""
        own = torch.sigmoid((pos - self.threshold) / self.tau)
        there = (neg != -math.inf).to(neg.dtype)
        others = torch.sigmoid((neg.masked_fill(neg == -math.inf, 0.0) - self.threshold) / self.tau) * there
        return own, others.sum(dim=1)


@dataclass(frozen=True)
class CEL(CELBase):
    """Consistency-enhanced loss, per row: one minus the soft F1 of the pair among its negatives.

        L_b = 1 - 2 q_b / (1 + q_b + sum_n q_bn),      q = sigmoid((score - threshold) / tau)

    Between 0 and 1. All negatives of a row have the same weight before the slope of the sigmoid, which fades for
    scores far from the threshold: confident mistakes hardly learn, so it is meant as an experiment, or beside another
    loss. The threshold matters, because a shift of all scores changes the value.

    Args:
        tau: temperature, in score units.
        threshold: the score whose probability is one half.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, between 0 and 1.
    Raises: UsageError if tau is not positive or threshold is not finite.
    Runs on: gather-dot. No catalogue path: no reduction sums sigmoids.
    Source: a transfer made for this library of the set loss of Pang et al., CVPR 2020 (MINet), from the pixels of an
    image to the candidates of a row; no recommender has been published with it. :class:`CELPerUser` has all candidates
    of a user in one set.

    >>> CEL()(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([0.5000])
    """

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        own, others = self.probabilities(pos, neg)
        return present(1 - 2 * own / (1 + own + others), count_present(neg))


@dataclass(frozen=True)
class CELPerUser(CELBase):
    """Consistency-enhanced loss, per user: one minus the soft F1 of the user's pairs of the batch among all negatives.

        L_u = 1 - 2 A_u / (R_u + A_u + sum_{b in R_u, n} q_bn),      A_u = sum_{b in R_u} q_b
        q = sigmoid((score - threshold) / tau)

    with the R_u rows of user u. The loss of row b is L_u * B' / (G * R_u), with B' rows and G users, so that the mean
    over rows is the mean over users. Rows without negatives do not count. If each user has one row it is
    :class:`CEL`.

    Args:
        tau: temperature, in score units.
        threshold: the score whose probability is one half.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an absent negative.
    Returns: [B] contribution of each row.
    Raises: UsageError if tau is not positive, threshold is not finite, or group is missing.
    Runs on: gather-dot. No catalogue path: no reduction sums sigmoids.
    Source: as for :class:`CEL`, a transfer made for this library.

    >>> CELPerUser()(torch.zeros(2), torch.zeros(2, 1), group=torch.tensor([7, 7]))
    tensor([0.5000, 0.5000])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    without_groups: ClassVar[str] = "without groups CEL per user is CEL. Use --order user-blocks:4 or --loss cel"

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        slots, n = group_slots(checked_group(group, pos, "CELPerUser", "without groups use CEL")), count_present(neg)
        own, others = self.probabilities(pos, neg)
        rows, a, b = (group_sum(present(x, n), slots) for x in (torch.ones_like(pos), own, others))
        share = rows.sum() / (rows.count_nonzero() * rows).clamp(min=1)
        value = (1 - 2 * a / (rows + a + b).clamp(min=1)) * share
        return present(value.index_select(0, slots), n)
