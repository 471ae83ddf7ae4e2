"""The drop rate of T-CE, which grows with the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.losses.denoising import TCE
from taurec.types import Batch


class DropRate:
    """``max_drop_rate * min(1, t / gradual_steps)`` in the step after t steps.

    Args:
        loss: its settings.
        train, seed: not looked at.
    """

    supplies = frozenset({"drop_rate"})

    def __init__(self, loss: TCE, train: Interactions, seed: int = 0):
        self.loss = loss
        self.steps = 0

    @property
    def rate(self) -> float:
        """The share that the next step drops."""
        return self.loss.max_drop_rate * min(1.0, self.steps / self.loss.gradual_steps)

    def begin_epoch(self, epoch: int, vectors: Callable[[], tuple[Tensor, Tensor]]) -> None:
        """Nothing hangs on epochs."""

    def side(self, batch: Batch) -> dict[str, Tensor]:
        return {"drop_rate": torch.full(batch.user.shape, self.rate, device=batch.user.device)}

    def observe(self, batch: Batch, pos: Tensor, neg: Tensor | None) -> None:
        self.steps += 1

    def state(self) -> dict[str, NDArray[Any]]:
        return {"steps": np.array([self.steps])}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.steps = int(state["steps"][0])
