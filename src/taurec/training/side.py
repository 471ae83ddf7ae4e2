"""What training remembers of users for the losses whose rows need it: a temperature, a threshold, a rate.

A loss is a pure function of scores. Where its formula has a number that follows the course of training, the loss
declares a side input, and one of the objects here supplies it. It changes at two places only: the trainer calls
``begin_epoch`` and, after the scores of a step are known, the step calls ``observe``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.losses.adaptive import AdapTau
from taurec.losses.denoising import TCE
from taurec.losses.topk import SLAtK
from taurec.training.adap_tau import AdaptiveTau
from taurec.training.drop_rate import DropRate
from taurec.training.thresholds import Thresholds
from taurec.types import Batch

Vectors = Callable[[], tuple[Tensor, Tensor]]
"""Gives all final vectors [U, D], [I, D] without dropout, of length 1 where training scores are cosines."""


class Side(Protocol):
    """The side inputs of a loss over the course of training.

    Attributes:
        supplies: their names; see :data:`taurec.losses.SIDE_INPUTS`.
    """

    supplies: frozenset[str]

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        """Called before the first step of an epoch (the first is 1); asking for the vectors costs a forward pass."""
        ...

    def side(self, batch: Batch) -> dict[str, Tensor]:
        """The side inputs [B] of a batch; changes nothing."""
        ...

    def observe(self, batch: Batch, pos: Tensor, neg: Tensor | None) -> None:
        """Told after each step: its scores, without gradient; None where those of the negatives were never held."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the rest of training hangs on, between two epochs."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`state` gave."""
        ...


SIDES: dict[type, Callable[[Any, Interactions, int], Side]] = {AdapTau: AdaptiveTau, SLAtK: Thresholds, TCE: DropRate}
"""Loss -> what supplies its side inputs, built from the loss, the training log and the seed."""


def side_of(loss: object, train: Interactions, seed: int) -> Side | None:
    """What supplies the side inputs of a loss, or None if it needs none that change.

    >>> from taurec.losses import SL
    >>> side_of(SL(), Interactions.from_pairs([0], [0]), seed=0) is None
    True
    """
    made = SIDES.get(type(loss))
    return None if made is None else made(loss, train, seed)
