"""LLPAUC: the lower-left part of the ROC curve, as a minimum and maximum over seven learned numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taurec.errors import UsageError
from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, present
from taurec.losses.protocol import DOT, ScoreLoss
from taurec.losses.state import LossState, TrainingLog
from taurec.types import Batch

KAPPA = 5.0
"""Sharpness of the softplus that stands for max(0, x)."""
START = (1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5)
"""First values of a, b, g, s_pos, s_neg, theta_a and theta_b."""
ASCENDING = (0, 0, 1, 1, 0, 0, 0)
"""Which of them the loss is maximised over."""


@dataclass(frozen=True)
class LLPAUC(ScoreLoss):
    """Lower-left partial AUC: pairs in the top share alpha of positives against the top share beta of negatives.

        L_b = -s_pos - r(2 (1 + g) p_b - (p_b - a)^2 - s_pos) / alpha
              + s_neg + mean_n r(2 (1 + g) q_bn + (q_bn - b)^2 - s_neg) / beta
              - g^2 + theta_a (a + g) + theta_b (1 + g - b)

        p = sigmoid(pos),   q = sigmoid(neg),   r(x) = log(1 + exp(5 x)) / 5

    a and b follow the mean of the positives and of the negatives that count, s_pos and s_neg their thresholds; g
    couples both sides. Training minimises over the model, a, b, s_neg and the multipliers theta, and maximises over g
    and s_pos (:class:`LearnedScalars`).

    Args:
        alpha: share of the positives that counts, above 0 and at most 1.
        beta: share of the negatives that counts, above 0 and at most 1.
        ascent: whether g and s_pos are maximised over, as in the paper; otherwise they are minimised over too, as
            IR-Benchmark does.
    Called with: pos [B], neg [B, N] logits, such as dot products, scalars [B, 7] with a, b, g, s_pos, s_neg, theta_a
    and theta_b in each row, which training supplies; -inf marks an absent negative.
    Returns: [B] loss per row.
    Raises: UsageError if alpha or beta is out of range, or if scalars is missing.
    Runs on: gather-dot. No catalogue path: no reduction has its r.
    Source: Shi et al., WWW 2024, arXiv 2403.00844, in the form of the authors' code, which adds the terms with theta
    and leaves out the paper's weight of g^2. Differs from the authors' code in: one learning rate for all numbers.

    >>> start = torch.tensor([[1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]])
    >>> LLPAUC()(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]), scalars=start)
    tensor([8.1174])
    """

    alpha: float = 0.7
    beta: float = 0.1
    ascent: bool = True

    needs: ClassVar[frozenset[str]] = frozenset({"scalars"})

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            require_number(self, name, above=0)
            if getattr(self, name) > 1:
                raise UsageError(f"LLPAUC: {name} is a share of at most 1, got {getattr(self, name)!r}")

    def state(self, train: TrainingLog, seed: int) -> LossState:
        return LearnedScalars(self)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DOT, "negatives": "uniform:64:true", "lr": 1e-2}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.alpha": [0.3, 0.7], "loss.beta": [0.01, 0.1]}

    def __call__(self, pos: Tensor, neg: Tensor, *, scalars: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if scalars is None or scalars.shape != (pos.shape[0], len(START)):
            got = "nothing" if scalars is None else f"{tuple(scalars.shape)}"
            raise UsageError(f"LLPAUC needs scalars=[B, {len(START)}], its learned numbers in each row; got {got}")
        a, b, g, s_pos, s_neg, theta_a, theta_b = scalars.to(pos.dtype).unbind(1)
        absent, n = neg == -math.inf, count_present(neg)
        p, q = torch.sigmoid(pos), torch.sigmoid(neg.masked_fill(absent, 0.0))
        of_pos = rectified(2 * (1 + g) * p - (p - a).square() - s_pos) / self.alpha
        each = rectified(2 * (1 + g)[:, None] * q + (q - b[:, None]).square() - s_neg[:, None])
        of_neg = each.masked_fill(absent, 0.0).sum(dim=1) / n.clamp(min=1) / self.beta
        rest = theta_a * (a + g) + theta_b * (1 + g - b) - g.square()
        return present(of_neg - of_pos + s_neg - s_pos + rest, n)


class LearnedScalars(LossState):
    """The seven numbers of LLPAUC, trained by Adam and brought back to their ranges after each step.

        a, b in [0, 1],   s_pos in [-1, 4],   s_neg in [0, 5],   theta_a, theta_b at least 0,   g in [max(-a, b - 1), 1]

    Args:
        loss: its settings.
    """

    supplies = frozenset({"scalars"})

    def __init__(self, loss: LLPAUC):
        self.scalars = nn.Parameter(torch.tensor(START))
        self.sign = torch.tensor([1.0 - 2.0 * (loss.ascent and up) for up in ASCENDING])

    def parameters(self) -> Mapping[str, nn.Parameter]:
        return {"scalars": self.scalars}

    def side(self, batch: Batch) -> dict[str, Tensor]:
        sign = self.sign.to(self.scalars.device)
        # The value is that of the parameter; the sign of its gradient is turned where the loss is maximised.
        given = sign * self.scalars + ((1 - sign) * self.scalars).detach()
        return {"scalars": given.expand(len(batch.user), -1)}

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        low = self.scalars.new_tensor([0, 0, -1, -1, 0, 0, 0])
        high = self.scalars.new_tensor([1, 1, 1, 4, 5, math.inf, math.inf])
        with torch.no_grad():
            now = torch.minimum(torch.maximum(self.scalars, low), high)
            now[2] = torch.maximum(now[2], torch.maximum(-now[0], now[1] - 1))
            self.scalars.copy_(now)


def rectified(x: Tensor) -> Tensor:
    """log(1 + exp(5 x)) / 5, a smooth max(0, x).

    >>> rectified(torch.tensor([0.0, 2.0]))
    tensor([0.1386, 2.0000])
    """
    return F.softplus(x, beta=KAPPA, threshold=40.0)
