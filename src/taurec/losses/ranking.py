"""Losses weighted by ranks: WARP, LambdaRank and LambdaLoss@K."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, present, softplus
from taurec.losses.pairwise import PairwiseLoss
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import CatalogueSize, LossState, TrainingLog

EULER_GAMMA = 0.57721566490153286


@dataclass(frozen=True)
class WARP(ScoreLoss):
    """Weighted approximate-rank pairwise loss: the first negative within the margin, weighted by an estimated rank.

        L_b = Phi(floor((n_items - 1) / t_b)) * max(0, margin + neg_bt - pos_b),      Phi(k) = 1 + 1/2 + ... + 1/k

    t_b counts the row's negatives up to and including the first with neg_bt > pos_b - margin; without one the loss is
    0. The sooner such a negative turns up, the lower the pair must rank, and the larger the weight.

    Args:
        margin: in score units.
    Called with: pos [B], neg [B, N] in the order in which they were drawn, n_items [B] the number of items of the
    catalogue, which training supplies; -inf marks an absent negative, which is not counted.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if margin is not positive, or if n_items is missing.
    Runs on: gather-dot. No catalogue path: it looks at one negative, which depends on the order.
    Source: Weston, Bengio and Usunier, IJCAI 2011 (WSABIE), written down from memory of the paper. Differs in: at most
    N draws, made before the loss is known. LightFM has log(max(1, k)) in place of Phi(k), and a margin of 1.

    >>> WARP(margin=1.0)(torch.tensor([2.0]), torch.tensor([[0.0, 1.5]]), n_items=torch.tensor([7.0]))
    tensor([0.9167])
    """

    margin: float = 1.0

    needs: ClassVar[frozenset[str]] = frozenset({"n_items"})

    def __post_init__(self) -> None:
        require_number(self, "margin", above=0)

    def state(self, train: TrainingLog, seed: int) -> LossState:
        return CatalogueSize(train)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**PairwiseLoss.preset(), "negatives": "uniform:16:true"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return PairwiseLoss.grid()

    def __call__(self, pos: Tensor, neg: Tensor, *, n_items: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        n_items = checked_row_input("n_items", n_items, pos, "WARP")
        there = neg != -math.inf
        excess = (self.margin - pos[:, None] + neg).masked_fill(~there, -math.inf)
        violates = ~(excess <= 0)
        # A NaN comes before all others, so that it is not hidden.
        first = (violates.to(torch.uint8) + excess.isnan()).argmax(dim=1, keepdim=True)
        draws = there.cumsum(dim=1).gather(1, first)[:, 0].clamp(min=1)
        weight = torch.digamma(((n_items - 1) / draws).floor().clamp(min=0) + 1) + EULER_GAMMA
        value = excess.gather(1, first)[:, 0].masked_fill(~violates.any(dim=1), 0.0)
        return present(weight * value, count_present(neg))


class LambdaLoss(ScoreLoss):
    """The pairwise logistic loss, each pair of a positive and a negative weighted by their ranks."""

    tau: float

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**PairwiseLoss.preset(), "negatives": "uniform:16:true"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return PairwiseLoss.grid()

    def weight(self, of_pos: Tensor, of_neg: Tensor) -> Tensor:
        """[B, N] weight of each negative from the ranks of the pair [B, 1] and of the negatives [B, N]."""
        raise NotImplementedError

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        absent = neg == -math.inf
        weight = self.weight(*ranks(pos.detach(), neg.detach()))
        each = softplus((neg.masked_fill(absent, 0.0) - pos[:, None]) / self.tau)
        return present((weight * each).masked_fill(absent, 0.0).sum(dim=1), count_present(neg))


@dataclass(frozen=True)
class LambdaRank(LambdaLoss):
    """LambdaRank, a negative counts as much as DCG changes if it swaps places with the pair.

        L_b = sum_n |1 / D(r_b) - 1 / D(r_bn)| * softplus((neg_bn - pos_b) / tau),      D(r) = log2(1 + r)

    r are ranks, from 1, among the pair and the negatives of its row; of equal scores the pair comes first, and
    negatives share the better rank. The weights are constants. With the whole catalogue as negatives the ranks are
    those of the list that is recommended, apart from the user's other items.

    Args:
        tau: temperature, in score units; 1 / tau is the sigma of the paper.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot. No catalogue path: ranks need the scores of all negatives.
    Source: Burges, Ragno and Le, NeurIPS 2006; the form as a loss is that of Wang et al., CIKM 2018. Differs in: one
    relevant item in the list of a row, whose ideal DCG is 1; ranks within the row.

    >>> LambdaRank()(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([0.2558])
    """

    tau: float = 1.0

    def weight(self, of_pos: Tensor, of_neg: Tensor) -> Tensor:
        return (1 / discount(of_pos) - 1 / discount(of_neg)).abs()


@dataclass(frozen=True)
class LambdaLossAtK(LambdaLoss):
    """LambdaLoss@K, weights that bound NDCG@K, larger where one of the two is outside the top K.

        L_b = sum_n mu_bn * |1 / D(g) - 1 / D(g + 1)| * softplus((neg_bn - pos_b) / tau),      D(r) = log2(1 + r)
        g = |r_b - r_bn|,      mu_bn = 1 / (1 - 1 / D(max(r_b, r_bn))) if max(r_b, r_bn) > k, else 1

    Ranks are those of :class:`LambdaRank`, so that g is at least 1. With k at or above the number of candidates it is
    LambdaLoss for NDCG.

    Args:
        k: length of the list that matters, among the pair and the negatives of its row.
        tau: temperature, in score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if k is below 1 or tau is not positive.
    Runs on: gather-dot. No catalogue path: ranks need the scores of all negatives.
    Source: Jagerman et al., SIGIR 2022, on LambdaLoss of Wang et al., CIKM 2018; the formula as quoted by
    IR-Benchmark. Differs from the code of IR-Benchmark in: that computes 1 / log2(1 + g), which is infinite for tied
    ranks, and 1 / (1 - 1 / max rank), from one sampled negative; and, as for :class:`LambdaRank`, in one relevant
    item and ranks within the row.

    >>> LambdaLossAtK(k=1)(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([0.6931])
    """

    k: int = 20
    tau: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "k", least=1)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {**super().grid(), "loss.k": [5, 20]}

    def weight(self, of_pos: Tensor, of_neg: Tensor) -> Tensor:
        gap, last = (of_pos - of_neg).abs(), torch.maximum(of_pos, of_neg)
        delta = 1 / discount(gap) - 1 / discount(gap + 1)
        return torch.where(last > self.k, delta / (1 - 1 / discount(last)), delta)


def discount(rank: Tensor) -> Tensor:
    """log2(1 + rank), by which DCG divides.

    >>> discount(torch.tensor([1.0, 3.0]))
    tensor([1., 2.])
    """
    return torch.log2(1 + rank)


def ranks(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks, from 1, of the pair [B, 1] and of each negative [B, N] among both; of equal scores the pair comes first.

    Equal negatives share the better rank; the ranks of absent ones have no meaning.

    >>> of_pos, of_neg = ranks(torch.tensor([0.5]), torch.tensor([[0.5, 0.9, 0.1, 0.1]]))
    >>> of_pos.tolist(), of_neg.tolist()
    ([[2.0]], [[3.0, 1.0, 4.0, 4.0]])
    """
    own = pos[:, None]
    of_pos = 1 + (neg > own).sum(dim=1, keepdim=True)
    ordered = neg.sort(dim=1).values
    at_most = torch.searchsorted(ordered, neg.contiguous(), right=True)
    of_neg = 1 + neg.shape[1] - at_most + (own >= neg).to(at_most.dtype)
    return of_pos.to(pos.dtype), of_neg.to(pos.dtype)
