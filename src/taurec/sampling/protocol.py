"""What a negative sampler is: settings, and the sampler bound to a log and a seed.

A sampler is a frozen dataclass of settings. ``bind`` gives it the training log and the seed, and what it returns draws
the negatives of one batch after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.data.interactions import Index, Interactions
from taurec.types import Batch, Negatives, StepShape

Vectors = Callable[[], tuple[Tensor, Tensor]]
"""Gives all final vectors [U, D], [I, D] as training scores them, without dropout and without gradient."""


@dataclass(frozen=True)
class BaseDistribution:
    """The distribution that a sampler draws the negatives of a user from.

        P(j | u) ~ item_j * (own if u has a training pair with j else 1)

    Attributes:
        words: the distribution as a phrase for people: ``all items alike``.
        item: [I] weights of the items; None for all alike.
        own: factor of the items of the user's own training pairs; 0 leaves them out.
        users: where the two do not describe it: a function from users [b] to weights [b, I].
    """

    words: str
    item: NDArray[np.float64] | None = None
    own: float = 1.0
    users: Callable[[Index], NDArray[np.float64]] | None = None

    @property
    def is_uniform(self) -> bool:
        """Whether every item that can be drawn is drawn alike."""
        return self.item is None and self.own in (0.0, 1.0) and self.users is None


class BoundSampler:
    """A sampler that knows its log and its seed; the base class, of which a sampler gives at least :meth:`draw`.

    Laws (:func:`taurec.testing.check_sampler`): a draw is a function of (seed, epoch, rows of the batch) and of the
    sampler's state; no global generator is read.

    Attributes:
        trained: the pairs left to train on, for a sampler that holds positives out; None for the whole log.
    """

    trained: Interactions | None = None

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> Negatives:
        """The negatives of a batch; ``user``, ``item``, ``row`` are [B] int64 on the CPU."""
        raise NotImplementedError

    def on(self, device: torch.device) -> BoundSampler:
        """The same sampler, drawing on a GPU if it can."""
        return self

    def base_distribution(self) -> BaseDistribution | None:
        """What it draws from, where that is a fixed distribution; the temperature audit compares weights with it."""
        return None

    def look(self, vectors: Vectors) -> None:
        """Called once before training if the sampler ``needs`` ``vectors``: they are always the present ones."""

    def observe(self, batch: Batch, user: Tensor, item: Tensor) -> None:
        """Told after each step, if the sampler ``needs`` ``steps``: the vectors [B, D] of the batch's users and
        positives that the step scored, detached (of length 1 where training scores are cosines)."""

    def state(self) -> Mapping[str, NDArray[Any]]:
        """All that later draws depend on besides (seed, epoch, rows, vectors), between two epochs; for a checkpoint."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`state` gave."""


class NegativeSampler(Protocol):
    """Settings of a sampler."""

    @property
    def needs(self) -> frozenset[str]:
        """What it asks of training beyond the log: ``vectors`` (:meth:`BoundSampler.look`), ``steps``
        (:meth:`BoundSampler.observe`)."""
        ...

    def bind(self, train: Interactions, seed: int) -> BoundSampler:
        """The sampler of a training log."""
        ...

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        """What a step with these negatives reads, for the choice of tables and for the forecast."""
        ...


class Sampler:
    """Defaults of :class:`NegativeSampler` for those who subclass it."""

    needs: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        """What ``taurec tune`` varies: run field or ``negatives.NAME`` -> values. Empty: nothing is varied."""
        return {}

    def of_users(self) -> NegativeSampler | None:
        """The sampler with draws that depend on a row's user alone and leave out all that the user has: rows of a user
        may then share one draw, which a backbone of histories uses. None where the row's item or the batch decides."""
        return None

    def timed_as(self) -> NegativeSampler:
        """The sampler that a forecast times in its place, on a generated log: its steps must cost the same. For a
        sampler that needs a file with the ids of the log, or long work before the first step."""
        return self  # type: ignore[return-value]
