"""Losses of alignment and uniformity: the vectors of a pair are drawn together, those of other pairs apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.checks import require_number
from taurec.losses.logspace import log_sum_exp
from taurec.losses.protocol import EmbeddingLoss, Scores
from taurec.losses.state import TrainingLog


@dataclass(frozen=True)
class DirectAU(EmbeddingLoss):
    """Alignment of the pairs, and uniformity of the users and of the items.

        L = mean_b |u_b - i_b|^2 + gamma * (unif(U) + unif(I)) / 2
        unif(X) = log mean_{a < b} exp(-2 |x_a - x_b|^2)

    The first term draws a user and its item together, the second drives the vectors of a batch apart, over the
    sphere. It needs no negatives; a step costs two [B, B] products. A user or item that has several rows in the batch
    counts with each of them. A batch of one pair has no uniformity.

    Args:
        gamma: weight of uniformity; the authors take 0.5 to 5.
    Called with: user [B, D], item [B, D], vectors of length 1.
    Returns: [], one value per batch.
    Raises: UsageError if gamma is negative, or for vectors of the wrong shape.
    Runs on: the vectors of the pairs. No catalogue path: it has no negatives.
    Source: Wang et al., KDD 2022, arXiv 2206.12811, eq. 6 and 7, as in the authors' repository DirectAU, which ranks by
    the dot product of the vectors before they are scaled to length 1 (``rank_score`` in the preset). Differs in:
    distances from one matrix product.

    >>> both = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> DirectAU(gamma=1.0)(both, both)
    tensor(-4.)
    """

    gamma: float = 1.0

    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "gamma", least=0)

    @classmethod
    def preset(cls, log: TrainingLog | None = None) -> Mapping[str, Any]:
        return {**super().preset(log), "rank_score": "dot"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.gamma": [0.5, 1.0, 2.0, 5.0]}

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        user, item = checked_vectors(user, item)
        alignment = (user - item).square().sum(1).mean()
        return alignment + self.gamma * (uniformity(user) + uniformity(item)) / 2


def checked_vectors(user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors of the pairs in at least float32, after a check of shapes and types.

    Raises: UsageError naming the argument that does not fit.
    """
    if user.ndim != 2 or item.shape != user.shape or not len(user):
        raise UsageError(
            f"user and item must be [B, D] with B of at least 1, the vectors of the pairs; got shapes "
            f"{tuple(user.shape)} and {tuple(item.shape)}"
        )
    for name, vectors in (("user", user), ("item", item)):
        if not vectors.is_floating_point():
            raise UsageError(f"{name} must hold floating-point vectors, got {vectors.dtype}")
    dtype = torch.promote_types(torch.promote_types(user.dtype, item.dtype), torch.float32)
    return user.to(dtype), item.to(dtype)


def uniformity(x: Tensor, t: float = 2.0) -> Tensor:
    """log mean exp(-t |x_a - x_b|^2) over all pairs of different rows of ``x`` [B, D]; 0 for a single row.

    >>> uniformity(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    tensor(-1.0626)
    """
    rows = len(x)
    if rows < 2:
        return x.sum() * 0
    square = x.square().sum(1)
    exponent = -t * (square[:, None] + square - 2 * (x @ x.T))
    same = torch.eye(rows, dtype=torch.bool, device=x.device)
    # row by row, then over the rows: a sum of all [B, B] at once would not give the same bits each time
    by_row = log_sum_exp(exponent.masked_fill(same, -math.inf))
    return log_sum_exp(by_row[None])[0] - math.log(rows * (rows - 1))
