"""The arrays that determine how a run continues: weights, the best weights, Adam's moments, and the loss's state."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from taurec.losses.state import LossState
from taurec.sampling import BoundSampler
from taurec.training.checkpoint import Arrays

Moments = tuple[Tensor, Tensor]


class State:
    """The state of a run between two epochs, when no table has steps pending.

    Args:
        backbone: whose weights are trained.
        best: name -> the weights with the best validation value so far.
        moments: name -> Adam's two moments of a parameter.
        loss_state: what the loss remembers, or None.
        of_loss: name -> a parameter of the loss, and Adam's two moments of it.
        sampler: the negative sampler, which may have state.
    """

    def __init__(
        self,
        backbone: nn.Module,
        best: Mapping[str, Tensor],
        moments: Mapping[str, Moments],
        loss_state: LossState | None,
        of_loss: Mapping[str, tuple[Tensor, Moments]],
        sampler: BoundSampler,
    ):
        self._loss_state, self._sampler = loss_state, sampler
        self._tensors = {f"weight/{name}": value for name, value in backbone.state_dict().items()}
        self._tensors |= {f"best/{name}": value for name, value in best.items()}
        for name, (m, v) in moments.items():
            self._tensors |= {f"m/{name}": m, f"v/{name}": v}
        for name, (parameter, (m, v)) in of_loss.items():
            self._tensors |= {f"loss/{name}": parameter, f"loss_m/{name}": m, f"loss_v/{name}": v}

    def arrays(self) -> Arrays:
        """All arrays by name; those of tensors on the CPU share their memory."""
        found: Arrays = {name: value.detach().cpu().numpy() for name, value in self._tensors.items()}
        if self._loss_state is not None:
            found |= {f"side/{name}": value for name, value in self._loss_state.state().items()}
        found |= {f"negatives/{name}": value for name, value in self._sampler.state().items()}
        return found

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` returned, in place."""
        for name, target in self._tensors.items():
            target.copy_(torch.from_numpy(arrays[name]))
        if self._loss_state is not None:
            self._loss_state.load_state(_below("side/", arrays))
        if kept := _below("negatives/", arrays):
            self._sampler.load_state(kept)


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
