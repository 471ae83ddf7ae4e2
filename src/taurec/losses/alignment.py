"""Losses of alignment and uniformity: the vectors of a pair are drawn together, those of other pairs apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taurec.errors import UsageError
from taurec.losses.angle import cosine_plus_angle
from taurec.losses.checks import require_number
from taurec.losses.protocol import EmbeddingLoss, Scores
from taurec.losses.state import LossState, TrainingLog, random_table
from taurec.types import Batch


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
    def preset(cls) -> Mapping[str, Any]:
        return {**super().preset(), "rank_score": "dot"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.gamma": [0.5, 1.0, 2.0, 5.0]}

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        user, item = checked_vectors(user, item)
        alignment = (user - item).square().sum(1).mean()
        return alignment + self.gamma * (uniformity(user) + uniformity(item)) / 2


@dataclass(frozen=True)
class MAWU(EmbeddingLoss):
    """Alignment with a learned margin of each user and item, and uniformity with two weights.

        L = -mean_b cos(min(theta_b + A_b, pi)) + gamma_user * unif(U) + gamma_item * unif(I)
        A_b = 1 - sigmoid(m_u + m_i)

    with theta_b the angle between the vectors of the pair, and unif as in :class:`DirectAU`, not halved. A pair has to
    come closer than without the margin A_b, in radians, which shrinks where its user's or item's m is large. The state
    :class:`PairAngles` learns the numbers m with the vectors and keeps them in [0, 1].

    Args:
        gamma_user: weight of the users' uniformity.
        gamma_item: weight of the items' uniformity.
        released: uniformity as the authors' code computes it, with a constant for every pair of rows (a, b >= a):
            log((sum_(a < b) exp(-2 |x_a - x_b|^2) + exp(-4) B (B + 1) / 2) / B^2). Their weights belong to it.
    Called with: user [B, D], item [B, D], vectors of length 1; angle [B], the margins A_b.
    Returns: [], one value per batch.
    Raises: UsageError if a weight is negative, for vectors of the wrong shape, or if angle is missing.
    Runs on: the vectors of the pairs. No catalogue path: it has no negatives.
    Source: Park et al., CIKM 2023, arXiv 2308.06091, as in the authors' repository MAWU (the formula is read from the
    code; the paper's text was not available). Weights there, for users and items: Beauty 1 and 0.1, Gowalla 2.6 and
    1.4, Yelp 0.8 and 0.6 (MF). Ranks by the dot product of the unscaled vectors, as they do. Differs in: the numbers m
    return to [0, 1] after each step, where theirs do before it; the slope of the cosine is bounded at theta = 0, where
    theirs is 0.

    >>> both = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> MAWU(gamma_user=0.5, gamma_item=0.5)(both, both, angle=torch.tensor([0.5, 0.5]))
    tensor(-4.8774)
    """

    gamma_user: float = 1.0
    gamma_item: float = 0.1
    released: bool = False

    needs: ClassVar[frozenset[str]] = frozenset({"angle"})
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "gamma_user", least=0)
        require_number(self, "gamma_item", least=0)

    def state(self, train: TrainingLog, seed: int) -> PairAngles:
        return PairAngles(train, seed)

    @classmethod
    def preset(cls) -> Mapping[str, Any]:
        return {**super().preset(), "rank_score": "dot"}

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.gamma_user": [0.5, 1.0, 2.0], "loss.gamma_item": [0.1, 0.3, 1.0]}

    def __call__(self, user: Tensor, item: Tensor, *, angle: Tensor | None = None) -> Tensor:
        user, item = checked_vectors(user, item)
        alignment = -cosine_plus_angle((user * item).sum(1), angle, "MAWU").mean()
        of = released_uniformity if self.released else uniformity
        return alignment + self.gamma_user * of(user) + self.gamma_item * of(item)


class PairAngles(LossState):
    """The margins of MAWU: 1 - sigmoid(m_u + m_i) radians, with a number m of each user and of each item.

    Adam trains the numbers with the vectors; after each step they are brought back to [0, 1]. They begin at normal
    draws of standard deviation sqrt(2 / (U + 1)) for users, sqrt(2 / (I + 1)) for items.

    Args:
        train: the training pairs.
        seed: of the draws.
    """

    supplies = frozenset({"angle"})

    def __init__(self, train: TrainingLog, seed: int = 0):
        self.user = nn.Parameter(random_table(seed, "margins of users", train.n_users, 1))
        self.item = nn.Parameter(random_table(seed, "margins of items", train.n_items, 1))

    def parameters(self) -> dict[str, nn.Parameter]:
        return {"user margin": self.user, "item margin": self.item}

    def side(self, batch: Batch) -> dict[str, Tensor]:
        margin = F.embedding(batch.user, self.user) + F.embedding(batch.item, self.item)
        return {"angle": torch.sigmoid(-margin[:, 0])}

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        for numbers in (self.user, self.item):
            numbers.data.clamp_(0, 1)


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
    return _log_sum(x, t) - math.log(rows * (rows - 1))


def released_uniformity(x: Tensor, t: float = 2.0) -> Tensor:
    """The uniformity of MAWU's code, in which every row, and every pair of rows once more, adds exp(-2 t).

    >>> released_uniformity(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    tensor(-2.0605)
    """
    rows = len(x)
    constant = x.new_tensor(math.log(rows * (rows + 1) / 2) - 2 * t)
    if rows < 2:
        return x.sum() * 0 + constant
    return torch.logaddexp(_log_sum(x, t) - math.log(2), constant) - 2 * math.log(rows)


def _log_sum(x: Tensor, t: float) -> Tensor:
    """log sum exp(-t |x_a - x_b|^2) over all ordered pairs of different rows."""
    result: Tensor = _LogSum.apply(x, t)  # type: ignore[no-untyped-call]
    return result


class _LogSum(torch.autograd.Function):
    """Keeps one [B, B] array for the gradient, computed in place; it has no second derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: float) -> Tensor:
        square = t * x.square().sum(1)
        terms = (x @ x.T).mul_(2 * t).sub_(square[:, None]).sub_(square).fill_diagonal_(-math.inf)
        top = terms.amax()
        terms.sub_(top).exp_()
        # row by row, then over the rows: a sum of all [B, B] at once would not give the same bits each time
        by_row = terms.sum(1)
        total = by_row.sum()
        ctx.save_for_backward(x, terms, by_row, total)
        ctx.t = t
        return total.log() + top

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, terms, by_row, total = ctx.saved_tensors
        return (grad * -4 * ctx.t / total) * (by_row[:, None] * x - terms @ x), None
