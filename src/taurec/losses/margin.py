"""Cosine losses with margins: CCL with one, MML with several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.checks import require_number
from taurec.losses.logspace import present
from taurec.losses.pointwise import weighted
from taurec.losses.protocol import Scores, StreamedLoss
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class CCL(StreamedLoss):
    """Cosine contrastive loss (SimpleX).

        L_b = max(0, 1 - pos_b) + neg_weight * mean_n max(0, neg_bn - margin)

    Only negatives above the margin count, all with the same slope; use it with many negatives.

    Args:
        margin: the cosine from which a negative counts.
        neg_weight: weight of the mean over negatives; None takes their sum instead.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in units of the cosine.
    Raises: UsageError if margin is not finite or neg_weight is negative or not finite.
    Runs on: gather-dot, catalogue.
    Source: Mao et al., CIKM 2021, arXiv 2109.12613. Differs from the authors' code in: there a
    neg_weight of 0 means the sum; here None does, and 0 leaves the pair's term only.

    >>> import torch
    >>> CCL(margin=0.5, neg_weight=10.0)(torch.tensor([0.75]), torch.tensor([[0.75, 0.25]]))
    tensor([1.5000])
    """

    margin: float = 0.9
    neg_weight: float | None = 150.0

    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "margin")
        require_number(self, "neg_weight", least=0, optional=True)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.neg_weight": [5.0, 20.0, 80.0], "loss.margin": [0.6, 0.8]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", margins=(self.margin,), weights=(1.0,))

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(torch.relu(1 - pos) + weighted(reduced, n, self.neg_weight), n)


@dataclass(frozen=True)
class MML(StreamedLoss):
    """Multi-margin cosine loss, also written MMCL.

        L_b = pos_weight * max(0, 1 - pos_b) + neg_weight * mean_n sum_k weights[k] * max(0, neg_bn - margins[k])

    CCL with several margins, so that the hardest negatives weigh more while the semi-hard still count;
    meant for few negatives per row. Memory does not grow with the number of margins.

    Args:
        margins: cosines from which a negative counts (more), in any order.
        weights: one per margin, at least 0; usually increasing with sum 1.
        neg_weight: weight of the mean over negatives; published settings range from 250 to 700. The preset has 50:
            400 is the author's for Yelp2018, and validation chose 20, 50, 50 and 200 on four other logs
            (docs/results.md).
        pos_weight: weight of the pair's own term.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in units of the cosine.
    Raises: UsageError for empty margins, a number of weights other than that of margins, negative or non-finite values.
    Runs on: gather-dot, catalogue.
    Source: Ozsoy, arXiv 2405.04614. Formula and defaults (Yelp2018) as in the author's code; computed
    there with a tensor [B, K, N], here margin by margin.

    >>> import torch
    >>> MML(margins=(0.5, 0.75), weights=(1.0, 2.0), neg_weight=2.0)(torch.tensor([1.0]), torch.tensor([[1.0, 0.75]]))
    tensor([1.2500])
    """

    margins: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9)
    weights: tuple[float, ...] = (0.05, 0.15, 0.2, 0.6)
    neg_weight: float = 400.0
    pos_weight: float = 1.0

    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        for name in ("margins", "weights"):
            object.__setattr__(self, name, as_numbers(name, getattr(self, name)))
        if not self.margins:
            raise UsageError("MML: margins is empty; give at least one, such as (0.7, 0.8, 0.9)")
        if len(self.weights) != len(self.margins):
            raise UsageError(f"MML: {len(self.margins)} margins need as many weights, got {len(self.weights)}")
        if min(self.weights) < 0:
            raise UsageError(f"MML: weights must be at least 0, got {self.weights}")
        require_number(self, "neg_weight", least=0)
        require_number(self, "pos_weight", least=0)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**super().preset(), "loss.neg_weight": 50.0}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.neg_weight": [20.0, 50.0, 200.0]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", margins=self.margins, weights=self.weights)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(self.pos_weight * torch.relu(1 - pos) + self.neg_weight * reduced, n)


def as_numbers(name: str, values: Iterable[float]) -> tuple[float, ...]:
    """The values of MML's setting ``name`` as a tuple of finite floats.

    >>> as_numbers("margins", [1, 0.5])
    (1.0, 0.5)
    """
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        raise UsageError(f"MML: {name} must be a sequence of numbers, got {values!r}") from None
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"MML: {name} must be finite, got {numbers}")
    return numbers
