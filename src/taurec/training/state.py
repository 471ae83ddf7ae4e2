"""The arrays that determine how a run goes on: weights, those kept, Adam's moments, and what a loss keeps a row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from taurec.sampling import BoundSampler
from taurec.training.checkpoint import Arrays
from taurec.training.side import Side


class State:
    """The state of a run between two epochs, when the tables owe no steps.

    Args:
        backbone: whose weights are trained.
        best: name -> the weights that validation liked best so far.
        moments: name -> Adam's two moments of a parameter.
        side: what the loss keeps beside the weights, or None.
        sampler: of the negatives, which may remember something too.
    """

    def __init__(
        self,
        backbone: nn.Module,
        best: Mapping[str, Tensor],
        moments: Mapping[str, tuple[Tensor, Tensor]],
        side: Side | None,
        sampler: BoundSampler,
    ):
        self._side, self._sampler = side, sampler
        self._tensors = {f"weight/{name}": value for name, value in backbone.state_dict().items()}
        self._tensors |= {f"best/{name}": value for name, value in best.items()}
        for name, (m, v) in moments.items():
            self._tensors |= {f"m/{name}": m, f"v/{name}": v}

    def arrays(self) -> Arrays:
        """All of it, by name; tensors on the CPU share their memory with it."""
        found: Arrays = {name: value.detach().cpu().numpy() for name, value in self._tensors.items()}
        if self._side is not None:
            found |= {f"side/{name}": value for name, value in self._side.state().items()}
        found |= {f"negatives/{name}": value for name, value in self._sampler.state().items()}
        return found

    def load(self, arrays: Arrays) -> None:
        """Take over what :meth:`arrays` gave, in place."""
        for name, target in self._tensors.items():
            target.copy_(torch.from_numpy(arrays[name]))
        if self._side is not None:
            self._side.load_state({k.removeprefix("side/"): v for k, v in arrays.items() if k.startswith("side/")})
        kept = {k.removeprefix("negatives/"): v for k, v in arrays.items() if k.startswith("negatives/")}
        if kept:
            self._sampler.load_state(kept)
