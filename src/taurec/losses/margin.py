"""Cosine losses with margins: CCL with one, MML with several."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.logspace import present
from taurec.losses.pointwise import weighted
from taurec.losses.protocol import Scores, checked, require_number
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class CCL:
    """Cosine contrastive loss (SimpleX).

        L_b = max(0, 1 - pos_b) + neg_weight * mean_n max(0, neg_bn - margin)

    Only negatives above the margin count, each of them alike; use it with many negatives.

    Args:
        margin: the cosine from which a negative counts.
        neg_weight: weight of the mean over negatives; None takes their plain sum instead.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in units of the cosine.
    Raises: UsageError if margin is not finite or neg_weight is negative or not finite.
    Source: Mao et al., CIKM 2021, arXiv 2109.12613. Differs from the authors' code in: there a
    neg_weight of 0 means the sum, here None does and 0 leaves the alignment alone.

    >>> import torch
    >>> CCL(margin=0.5, neg_weight=10.0)(torch.tensor([0.75]), torch.tensor([[0.75, 0.25]]))
    tensor([1.5000])
    """

    margin: float = 0.9
    neg_weight: float | None = 150.0

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "margin")
        if self.neg_weight is not None:
            require_number(self, "neg_weight", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", margins=(self.margin,), weights=(1.0,))

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(torch.relu(1 - pos) + weighted(reduced, n, self.neg_weight), n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class MML:
    """Multi-margin cosine loss, also written MMCL.

        L_b = pos_weight * max(0, 1 - pos_b) + neg_weight * mean_n sum_k weights[k] * max(0, neg_bn - margins[k])

    CCL with several margins, so that the hardest negatives weigh more while the semi-hard still count;
    meant for few negatives a row. Memory does not grow with the number of margins.

    Args:
        margins: cosines from which a negative counts (more), in any order.
        weights: one for each margin, at least 0; usually growing and summing to 1.
        neg_weight: weight of the mean over negatives; published settings reach from 250 to 700.
        pos_weight: weight of the pair's own term.
    Called with: pos [B], neg [B, N] cosines; -inf marks an absent negative.
    Returns: [B] loss per row, in units of the cosine.
    Raises: UsageError for empty margins, other than one weight a margin, negative or non-finite values.
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

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
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

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean", "hinge", margins=self.margins, weights=self.weights)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(self.pos_weight * torch.relu(1 - pos) + self.neg_weight * reduced, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


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
