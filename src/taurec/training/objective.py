"""From row values to the scalar that is minimised: weights, the mean and the L2 term, once and here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.reduction import RowReduce
from taurec.run import L2Mode, L2On
from taurec.training.penalty import Counted, l2_penalty
from taurec.types import Batch, Embeddings

SUPPLIED = frozenset({"group"})
"""Side inputs that every batch can give; a loss that needs another one, which nothing else supplies, is refused when
the objective is built."""
NONE: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Objective:
    """The weighted mean of a score loss over the rows that have a negative, plus the L2 term.

    Args:
        loss: a score loss, ``loss(pos[B], neg[B, N], **side) -> [B]``.
        logq: hand the negatives' log proposal probability to the loss.
        l2, l2_mode, l2_on: the penalty; see :func:`taurec.training.penalty.l2_penalty`.
        supplied: side inputs that come with each call, from what training remembers (:mod:`taurec.training.side`).
    """

    loss: Any
    logq: bool = False
    l2: float = 0.0
    l2_mode: L2Mode = "gathered"
    l2_on: L2On = "ego"
    supplied: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.logq and "logq" not in self.loss.takes:
            raise UsageError(f"loss {type(self.loss).__name__} has no form corrected by logq; leave logq off")
        missing = self.loss.needs - SUPPLIED - self.supplied
        if missing:
            raise UsageError(
                f"loss {type(self.loss).__name__} needs {', '.join(sorted(missing))}, which the trainer cannot "
                f"supply; it supplies {', '.join(sorted(SUPPLIED))}"
            )

    @property
    def reduce(self) -> RowReduce | None:
        """How the loss reduces over negatives, or None where it must see their scores."""
        return None if self.logq else getattr(self.loss, "reduce", None)

    def __call__(
        self,
        pos: Tensor,
        neg: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: Counted | None = None,
        side: Mapping[str, Tensor] = NONE,
    ) -> tuple[Tensor, Tensor]:
        """The scalar to minimise, and the number of rows that had no negative (a tensor, no sync)."""
        values = self.loss(pos, neg, **self._side(batch), **side)
        # The largest score is one pass; NaN and inf make the loss NaN, which stops the run.
        present = neg.detach().amax(1) > -torch.inf if neg.shape[1] else torch.zeros_like(pos, dtype=torch.bool)
        return self._scalar(values, present, batch, embeddings, counted)

    def combine(
        self,
        pos: Tensor,
        reduced: Tensor,
        n: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: Counted | None = None,
        side: Mapping[str, Tensor] = NONE,
    ) -> tuple[Tensor, Tensor]:
        """The same from what :attr:`reduce` leaves of the negatives."""
        values = self.loss.combine(pos, reduced, n, **self._side(batch), **side)
        return self._scalar(values, n > 0, batch, embeddings, counted)

    def _scalar(
        self,
        values: Tensor,
        present: Tensor,
        batch: Batch,
        embeddings: Embeddings,
        counted: Counted | None = None,
    ) -> tuple[Tensor, Tensor]:
        weight = present.to(values.dtype)
        left_out = values.shape[0] - weight.sum()
        if batch.weight is not None:
            weight = weight * batch.weight
        scalar = (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)
        if self.l2 > 0 and self.l2_mode != "adam":
            scalar = scalar + self.l2 * l2_penalty(self.l2_mode, self.l2_on, embeddings, batch, counted)
        return scalar, left_out

    def _side(self, batch: Batch) -> dict[str, Tensor]:
        side = {"group": batch.user} if "group" in self.loss.needs else {}
        if self.logq:
            if batch.negatives.logq is None:
                raise UsageError(
                    "logq asks to correct for the probability of each negative, which these negatives do not know; "
                    "leave logq off, or use negatives that know it, such as popularity"
                )
            side["logq"] = batch.negatives.logq
        return side
