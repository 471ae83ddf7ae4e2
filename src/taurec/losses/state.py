"""What a loss remembers between steps: thresholds, temperatures, a rate, or parameters that are trained with it.

A loss is a pure function. Where its formula has numbers that follow the course of training, it needs a side input and
declares a :class:`LossState` that supplies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taurec import draw
from taurec.errors import UsageError
from taurec.types import Batch

Vectors = Callable[[], tuple[Tensor, Tensor]]
"""Gives all user and item vectors, [U, D] and [I, D], without dropout; their dot products are the training scores."""


class TrainingLog(Protocol):
    """What a loss can read of the training pairs; :class:`taurec.data.interactions.Interactions` has it.

    P pairs of U users and I items, in CSR form: user u has the items ``indices[indptr[u]:indptr[u + 1]]``.
    """

    def __len__(self) -> int: ...

    @property
    def n_users(self) -> int: ...

    @property
    def n_items(self) -> int: ...

    @property
    def indptr(self) -> NDArray[Any]: ...

    @property
    def indices(self) -> NDArray[Any]: ...

    @property
    def user_of(self) -> NDArray[Any]: ...

    @property
    def user_counts(self) -> NDArray[Any]: ...

    @property
    def item_counts(self) -> NDArray[Any]: ...


class LossState:
    """The memory of a loss during training. A subclass defines ``supplies`` and :meth:`side`, and what else it needs.

    It may change at three points: in :meth:`begin_epoch`, in :meth:`observe` after each step, and by Adam, which
    trains :meth:`parameters` together with the backbone. Everything that changes belongs in a checkpoint: parameters
    and their moments are saved by the trainer, the rest by :meth:`state`.

    Attributes:
        supplies: names of the side inputs that :meth:`side` returns.
        asks_items: what it does with the item of each negative, as words that follow the name of the loss: ``weighs
            negatives by their popularity``. The trainer then refuses negatives whose items are not known. None if it
            does not ask for them.
        lr: learning rate of the parameters; None takes that of the run. Either follows the run's schedule.
    """

    supplies: frozenset[str] = frozenset()
    asks_items: str | None = None
    lr: float | None = None

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Tensors that Adam trains, by name, without L2 and without clipping; always the same objects.

        Read rows of them by ``F.embedding`` or ``index_select``: the backward pass of ``parameter[ids]`` adds in no
        fixed order.
        """
        return {}

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        """Called before the first step of an epoch (the first is 1); calling ``vectors`` costs a forward pass."""

    def side(self, batch: Batch) -> dict[str, Tensor]:
        """The side inputs of a batch, on its device; must not change the state. Gradients may pass through."""
        raise NotImplementedError

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        """Called after each step, with its scores without gradient.

        Args:
            pos: [B]; None for an embedding loss, which has no scores.
            neg: [B, N]; None where the scores of the negatives were never held.
        """

    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays, apart from the parameters, that determine how training continues after an epoch."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned."""


def column_items(batch: Batch) -> Tensor:
    """[B, N], or [N] for all rows, the item of each negative of a batch, for a state that ``asks_items``.

    Raises: UsageError for negatives that do not know them.
    """
    items = batch.negatives.items(batch.item)
    if items is None:
        raise UsageError(
            f"the items of {type(batch.negatives).__name__} are not known; a loss's state that reads them declares "
            f"asks_items, and a sampler declares items=True in its shape() only if its negatives give them"
        )
    return items


def random_table(seed: int, name: str, rows: int, dim: int) -> Tensor:
    """[rows, dim] float32 normal draws of standard deviation sqrt(2 / (rows + dim)), a function of seed and name."""
    drawn = draw.normal(draw.key(seed, name), np.arange(rows), dim) * math.sqrt(2 / (rows + dim))
    return torch.from_numpy(drawn).to(torch.float32)


class UserNumbers(LossState):
    """One number per user, supplied to the rows of that user and saved in checkpoints; a subclass changes ``numbers``.

    Args:
        name: of the side input [B].
        numbers: [U] the first values, on the CPU.
    """

    def __init__(self, name: str, numbers: Tensor):
        self.name, self.numbers = name, numbers
        self.supplies = frozenset({name})

    def side(self, batch: Batch) -> dict[str, Tensor]:
        return {self.name: self.numbers.index_select(0, batch.user.cpu()).to(batch.user.device)}

    def state(self) -> dict[str, NDArray[Any]]:
        return {self.name: self.numbers.numpy().copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.numbers.copy_(torch.from_numpy(state[self.name]))


class CatalogueSize(LossState):
    """Supplies ``n_items``, for losses that depend on the share of the catalogue that was sampled.

    Args:
        train: the training pairs.
    """

    supplies = frozenset({"n_items"})

    def __init__(self, train: TrainingLog):
        self.n_items = float(train.n_items)

    def side(self, batch: Batch) -> dict[str, Tensor]:
        return {"n_items": torch.full(batch.user.shape, self.n_items, device=batch.user.device)}
