"""Losses of distances: CML pushes the closest negative away, MCL pulls the batch together and pushes it apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_group, checked_row_input, require_number
from taurec.losses.logspace import count_present, group_slots, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import CatalogueSize, LossState, TrainingLog

OWN_GROUPS = "where rows have no users, torch.arange(B) gives each a group"
DISTANCE: Mapping[str, Any] = {"train_score": "neg_sq_dist", "rank_score": "neg_sq_dist"}


@dataclass(frozen=True)
class CML(ScoreLoss):
    """Collaborative metric learning: the closest negative should be farther away than the item, by a margin.

        L_b = w_b * max(0, margin + max_n neg_bn - pos_b),      w_b = log(1 + n_items * share_b)

    The scores are minus squared distances. share_b is the share of the row's negatives within the margin, so w_b is
    the log of an estimated rank; no gradient goes through it. The preset keeps all vectors in the unit ball
    (``max_norm=1``), without which the distances would grow until no negative is within the margin.

    Args:
        margin: in units of the squared distance, which is at most 4 in the unit ball.
        rank_weight: whether to weigh by w_b; otherwise w_b = 1.
    Called with: pos [B], neg [B, N] minus squared distances, n_items [B] the number of items of the catalogue, which
    training supplies; -inf marks an absent negative.
    Returns: [B] loss per row, in units of the squared distance.
    Raises: UsageError if margin is not positive, or if n_items is missing.
    Runs on: gather-dot. No catalogue path: it looks at the closest negative and counts those within the margin.
    Source: Hsieh et al., WWW 2017, as in the authors' repository CollMetric, whose margin is 1.9 and clip norm 1 with
    20 negatives. Differs from the authors' code in: the mean over rows instead of the sum, Adam instead of AdaGrad, no
    covariance term and no item features.

    >>> CML(margin=1.0, rank_weight=False)(torch.tensor([-0.5]), torch.tensor([[-1.0, -3.0]]))
    tensor([0.5000])
    """

    margin: float = 1.9
    rank_weight: bool = True

    needs: ClassVar[frozenset[str]] = frozenset({"n_items"})

    def __post_init__(self) -> None:
        require_number(self, "margin", above=0)

    def state(self, train: TrainingLog, seed: int) -> LossState | None:
        return CatalogueSize(train) if self.rank_weight else None

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DISTANCE, "negatives": "uniform:20:true", "lr": 1e-2, "max_norm": 1.0}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.margin": [0.5, 1.0, 1.9]}

    def __call__(self, pos: Tensor, neg: Tensor, *, n_items: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        n = count_present(neg)
        excess = self.margin - pos[:, None] + neg
        value = torch.relu(excess.amax(dim=1))
        if self.rank_weight:
            n_items = checked_row_input("n_items", n_items, pos, "CML")
            share = (excess.detach() > 0).sum(dim=1) / n.clamp(min=1)
            value = value * torch.log1p(n_items * share)
        return present(value, n)


@dataclass(frozen=True)
class MCL(ScoreLoss):
    """Mixed-centric loss: the hard positives of the batch under one logarithm, the hard negatives under another.

        L = 1/alpha * log(1 + 1/B * sum_kept exp(alpha * (d_b + shift_pos)))
            + 1/beta * log(1 + 1/B * sum_kept exp(-beta * (d_bn + shift_neg)))

    d are squared distances, minus the scores. A positive is kept if d_b > min - margin, with the smallest distance of a
    negative of the user's rows, and a negative if d_bn < max + margin, with the largest distance of a positive of the
    user's rows. B counts the rows that have negatives; the others have no part.

    Args:
        margin: of the mining, in units of the squared distance.
        alpha, beta: inverse temperatures of positives and negatives.
        shift_pos, shift_neg: added to the distances; the paper's lambda_p and lambda_n.
    Called with: pos [B], neg [B, N] minus squared distances, group [B] int64, equal for rows of the same user; -inf
    marks an absent negative.
    Returns: [] one value per batch, in units of the squared distance.
    Raises: UsageError if alpha or beta is not positive, margin is negative, or group is missing.
    Runs on: gather-dot. No catalogue path: it mines negatives by the distances of the user's positives.
    Source: Gao et al., WWW 2022, eq. 6 to 8, as in the repository MCL of layer6ai-labs, whose settings here are those
    of its first command (LightGCN of 3 layers, 10 negatives; Amazon-Book and Yelp2018: alpha 1, beta 4, shift_pos 8,
    shift_neg -1). Differs from the authors' code in: B is the number of rows, where theirs is the constant 1,000; log
    space.

    >>> group = torch.tensor([0])
    >>> MCL(alpha=1.0, beta=1.0, shift_pos=0.0, shift_neg=0.0)(torch.zeros(1), torch.zeros(1, 1), group=group)
    tensor(1.3863)
    """

    margin: float = 1.0
    alpha: float = 1.25
    beta: float = 5.0
    shift_pos: float = 6.5
    shift_neg: float = -0.5

    rows: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    without_groups: ClassVar[str] = "without groups MCL mines by a single positive. Use --order user-blocks:4"

    def __post_init__(self) -> None:
        require_number(self, "margin", least=0)
        require_number(self, "alpha", above=0)
        require_number(self, "beta", above=0)
        require_number(self, "shift_pos")
        require_number(self, "shift_neg")

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DISTANCE, "negatives": "uniform:10:true", "lr": 1e-2}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.shift_pos": [0.0, 2.0, 6.5], "loss.shift_neg": [-1.0, -0.5]}

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        slots = group_slots(checked_group(group, pos, "MCL", OWN_GROUPS))
        there, rows = neg != -math.inf, count_present(neg) > 0
        with torch.no_grad():
            closest = _by_slot((-neg.amax(dim=1)).masked_fill(~rows, math.inf), slots, "amin")
            farthest = _by_slot((-pos).masked_fill(~rows, -math.inf), slots, "amax")
            # A NaN is kept, so that it is not hidden.
            kept_pos = rows & ~(-pos <= closest - self.margin)
            kept_neg = there & ~(-neg >= (farthest + self.margin)[:, None])
        log_rows = rows.sum().clamp(min=1).to(pos.dtype).log()
        of_pos = (self.shift_pos - pos) * self.alpha
        of_neg = (neg - self.shift_neg) * self.beta
        return (
            sum_of_kept(of_pos, kept_pos, log_rows) / self.alpha + sum_of_kept(of_neg, kept_neg, log_rows) / self.beta
        )


def _by_slot(x: Tensor, slots: Tensor, reduce: str) -> Tensor:
    """[B] the smallest or largest value of each row's slot."""
    none = math.inf if reduce == "amin" else -math.inf
    return torch.full_like(x, none).scatter_reduce(0, slots, x, reduce).index_select(0, slots)


def sum_of_kept(x: Tensor, kept: Tensor, log_rows: Tensor) -> Tensor:
    """[] log(1 + sum exp(x) / rows) over the kept entries, in log space; 0 without any.

    >>> sum_of_kept(torch.tensor([0.0, 9.0]), torch.tensor([True, False]), torch.tensor(0.0))
    tensor(0.6931)
    """
    if not x.numel():
        return x.sum()
    total = log_sum_exp(x.masked_fill(~kept, -math.inf).reshape(1, -1))[0]
    return softplus(total - log_rows).masked_fill(~kept.any(), 0.0)
