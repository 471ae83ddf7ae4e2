"""Clipping of the gradient of a step, and of the rows of the tables, to a maximum length."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from taurec.kernels.sums import fixed_sum
from taurec.training.tables import UnitAdamTable


@torch.no_grad()
def clip(limit: float, gradients: Iterable[Tensor], unit: UnitAdamTable | None = None) -> float:
    """Multiply all gradients of a step by ``min(1, limit / length)``, where length is that of all together.

    It matters most in the first steps of cosine scores on small initial vectors, whose gradients are proportional to
    the inverse of their length: unclipped they fill Adam's second moments, which keep its steps small for a thousand
    steps.
    The L2 term that Adam adds (by counts or as a decay) is not part of the length.

    Args:
        limit: the maximum length, above 0.
        gradients: scaled in place.
        unit: a table whose gradient is kept with respect to its unit rows; its length is that with respect to the rows.
    Returns: the length before clipping; if it is not finite, nothing is scaled.
    Source: Pascanu, Mikolov and Bengio, ICML 2013, arXiv 1211.5063, algorithm 1.

    >>> g = torch.tensor([3.0, 4.0])
    >>> clip(1.0, [g]), g.tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    given = list(gradients)
    square = sum(float(fixed_sum(g.square())) for g in given)
    length = math.sqrt(square + (0.0 if unit is None else unit.squared_norm()))
    if math.isfinite(length) and length > limit:
        for g in given if unit is None else [*given, unit.gradient]:
            g.mul_(limit / length)
    return length


@torch.no_grad()
def shorten(limit: float, *tables: Tensor) -> None:
    """Scale the rows of tables that are longer than ``limit`` down to that length, in place.

    The projection on a ball, by which losses of distances keep their scale.

    >>> table = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    >>> shorten(1.0, table)
    >>> table
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    for table in tables:
        table.mul_(limit / table.norm(dim=1, keepdim=True).clamp(min=limit))
