"""The scalar that a step minimises: a loss reduced over rows, plus the L2 term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.kernels.sums import fixed_sum
from taurec.losses.protocol import EmbeddingLoss, Loss, ScoreLoss
from taurec.losses.reduction import RowReduce
from taurec.run import L2Mode, L2On
from taurec.training.penalty import RowCounts, l2_penalty
from taurec.types import Batch, Embeddings

SUPPLIED = frozenset({"group", "more"})
"""Side inputs that the trainer supplies; others come from the loss's own state."""
SUMMED_BY_ONE = 1 << 15
"""Rows from which on torch sums by several threads, with other bits for other numbers of them."""
FIND_OUT = "taurec.testing.check_sampler shows how the two differ"
NONE: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Objective:
    """The weighted mean of a loss over the rows that have a negative, plus the L2 term.

    A loss with one value per batch, of scores or of vectors, is used unchanged.

    Args:
        loss: what is minimised; see :mod:`taurec.losses.protocol` for its kinds.
        logq: pass the log proposal probability of the negatives to the loss.
        l2, l2_mode, l2_on: the penalty; see :func:`taurec.training.penalty.l2_penalty`.
        supplied: names of the side inputs passed with each call, from the loss's state.
        weighted: whether the training rows have weights.
    Raises: UsageError if the loss needs what is not supplied, or cannot use logq or weights.
    """

    loss: Loss
    logq: bool = False
    l2: float = 0.0
    l2_mode: L2Mode = "gathered"
    l2_on: L2On = "ego"
    supplied: frozenset[str] = frozenset()
    weighted: bool = False

    def __post_init__(self) -> None:
        name = type(self.loss).__name__
        if self.logq and "logq" not in self.loss.takes:
            raise UsageError(f"loss {name} has no form corrected by logq; leave logq off")
        missing = self.loss.needs - SUPPLIED - self.supplied
        if missing:
            raise UsageError(
                f"loss {name} needs {', '.join(sorted(missing))}, which the trainer cannot supply; it supplies "
                f"{', '.join(sorted(SUPPLIED))}, and the inputs of the loss's state"
            )
        if self.weighted and not (isinstance(self.loss, ScoreLoss) and self.loss.rows):
            raise UsageError(
                f"loss {name} has one value per batch, so the weights of the training rows cannot apply; "
                f"leave the weight column out and user_weight 0, or use a loss with one value per row"
            )

    @property
    def reduce(self) -> RowReduce | None:
        """How the loss reduces over negatives; None if it needs all their scores."""
        return self.loss.reduce if isinstance(self.loss, ScoreLoss) and not self.logq else None

    @property
    def more_positives(self) -> int:
        """Further positives that each row is scored with."""
        return self.loss.more_positives if isinstance(self.loss, ScoreLoss) else 0

    def __call__(
        self,
        pos: Tensor,
        neg: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: RowCounts | None = None,
        side: Mapping[str, Tensor] = NONE,
    ) -> tuple[Tensor, Tensor]:
        """The objective from scores pos [B] and neg [B, N].

        Returns: the scalar to minimise, and the number of rows without a negative (a tensor, no sync).
        """
        assert isinstance(self.loss, ScoreLoss)
        if not neg.shape[1]:
            raise UsageError(f"a batch has no negatives, and shape() of their sampler declares some; {FIND_OUT}")
        values = self.loss(pos, neg, **self._side(batch), **side)
        # The maximum takes one pass; NaN and inf make the loss NaN, which stops the run.
        present = neg.detach().amax(1) > -torch.inf
        return self._scalar(values, present, batch, embeddings, counted)

    def combine(
        self,
        pos: Tensor,
        reduced: Tensor,
        n: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: RowCounts | None = None,
        side: Mapping[str, Tensor] = NONE,
    ) -> tuple[Tensor, Tensor]:
        """The same from the reduction [B] over negatives by :attr:`reduce`, and their number n [B]."""
        assert isinstance(self.loss, ScoreLoss)
        values = self.loss.combine(pos, reduced, n, **self._side(batch), **side)
        return self._scalar(values, n > 0, batch, embeddings, counted)

    def of_vectors(
        self,
        user: Tensor,
        item: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: RowCounts | None = None,
        side: Mapping[str, Tensor] = NONE,
    ) -> tuple[Tensor, Tensor]:
        """The same for an embedding loss, from the vectors [B, D] of the pairs; no row counts as without negatives."""
        assert isinstance(self.loss, EmbeddingLoss)
        value = self.loss(user, item, **self._side(batch), **side)
        return self._with_l2(self._one_value(value), batch, embeddings, counted), value.new_zeros(())

    def _scalar(
        self,
        values: Tensor,
        present: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: RowCounts | None = None,
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(self.loss, ScoreLoss)
        weight = present.to(values.dtype)
        left_out = present.shape[0] - weight.sum()
        if not self.loss.rows:
            return self._with_l2(self._one_value(values), batch, embeddings, counted), left_out
        if values.shape != present.shape:
            raise UsageError(
                f"loss {type(self.loss).__name__} returned shape {list(values.shape)} for {present.shape[0]} rows; "
                f"return one value per row, or declare rows = False for one value per batch"
            )
        if batch.weight is not None:
            weight = weight * batch.weight
        scalar = _sum(values * weight) / _sum(weight).clamp_min(torch.finfo(values.dtype).tiny)
        return self._with_l2(scalar, batch, embeddings, counted), left_out

    def _one_value(self, value: Tensor) -> Tensor:
        if value.ndim:
            raise UsageError(
                f"loss {type(self.loss).__name__} returned shape {list(value.shape)}, and its declaration says "
                f"one value per batch: a tensor of shape []"
            )
        return value

    def _with_l2(self, scalar: Tensor, batch: Batch, embeddings: Embeddings, counted: RowCounts | None) -> Tensor:
        if self.l2 > 0 and self.l2_mode != "adam":
            return scalar + self.l2 * l2_penalty(self.l2_mode, self.l2_on, embeddings, batch, counted)
        return scalar

    def _side(self, batch: Batch) -> dict[str, Tensor]:
        side = {"group": batch.user} if "group" in self.loss.needs else {}
        if self.logq:
            if batch.negatives.logq is None:
                raise UsageError(f"the negatives of a batch have no logq, and shape() declares it; {FIND_OUT}")
            side["logq"] = batch.negatives.logq
        return side


def _sum(x: Tensor) -> Tensor:
    """The sum over rows: in fixed blocks from the size on at which torch divides it among its threads."""
    return x.sum() if len(x) < SUMMED_BY_ONE else fixed_sum(x)
