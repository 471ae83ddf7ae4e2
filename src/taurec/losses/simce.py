"""SimCE: a hinge between a pair and the hardest of its negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, present
from taurec.losses.protocol import DOT, ScoreLoss


@dataclass(frozen=True)
class SimCE(ScoreLoss):
    """Simplified cross-entropy: the pair against the hardest of its negatives, by a margin.

        L_b = max(0, margin - pos_b + max_n neg_bn)

    A bound of the sampled softmax at temperature 1 from above, up to log 2, where the margin is the log of the number
    of negatives. Only the hardest negative of a row has a gradient; of equal ones each has its part. So a row
    learns little of each step, and a negative that is an unknown positive is the one that it learns from. With
    one negative it is :class:`~taurec.losses.Hinge`.

    Args:
        margin: in score units; the authors' gamma, 5 on dot products.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if margin is negative or not finite.
    Runs on: gather-dot. No catalogue path: the largest of a row's scores is no reduction that the kernels know.
    Source: Yang et al., arXiv 2406.16170. Formula, dot scores, margin and 64 negatives as in the authors' README, read
    in a copy; the paper itself was not read.

    >>> import torch
    >>> SimCE(margin=1.0)(torch.tensor([0.5]), torch.tensor([[0.25, -3.0]]))
    tensor([0.7500])
    """

    margin: float = 5.0

    def __post_init__(self) -> None:
        require_number(self, "margin", least=0)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**DOT, "negatives": "uniform:64:true", "lr": 2e-3, "l2": 1e-3}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.margin": [1.0, 2.0, 5.0]}

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        n = count_present(neg)
        hardest = neg.masked_fill((n == 0)[:, None], 0.0).amax(dim=1)
        return present(torch.relu(self.margin - pos + hardest), n)
