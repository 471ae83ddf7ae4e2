"""Adam over the parameters of a backbone, one fused pass per table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from taurec.kernels.adam import adam_step
from taurec.training.tables import large_zeros


class Adam:
    """``torch.optim.Adam`` with betas .9 and .999 and epsilon 1e-8, through :func:`taurec.kernels.adam.adam_step`.

    Dense semantics: every row is updated in every step, also a row whose gradient is 0.

    Args:
        parameters: the trained parameters by name; :meth:`step` reads and clears their gradients.
        lr: learning rate.
        weight_decay: added to the gradient times the parameter (coupled, as in torch).
        kernel: see :func:`taurec.kernels.adam.adam_step`.

    Attributes:
        moments: the two moments of every parameter, by name.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, torch.nn.Parameter]],
        lr: float,
        weight_decay: float = 0.0,
        kernel: str = "auto",
    ):
        self._parameters = dict(parameters)
        self.lr, self.weight_decay, self.steps, self.kernel = lr, weight_decay, 0, kernel
        self.moments = {name: (_zeros_like(p), _zeros_like(p)) for name, p in self._parameters.items()}

    @torch.no_grad()
    def step(self, l2: float = 0.0, counts: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        """Update every parameter that has a gradient.

        Args:
            l2: strength of the term that ``counts`` adds.
            counts: [R] factors of the rows of some tables, by name: ``l2 * factor[r] * table[r]`` is added to their
                gradient instead of the weight decay.
        """
        self.steps += 1
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            tables = [_as_table(t) for t in (parameter.detach(), parameter.grad, *self.moments[name])]
            rows = counts.get(name)
            decay = self.weight_decay if rows is None else l2
            adam_step(*tables, step=self.steps, lr=self.lr, l2=decay, l2_rows=rows, kernel=self.kernel)
            parameter.grad = None

    def holds(self, name: str) -> bool:
        """Whether this optimizer updates a parameter."""
        return name in self._parameters

    def release(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """The values and moments of a parameter, which this optimizer no longer updates."""
        return self._parameters.pop(name).detach(), *self.moments[name]


def _as_table(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else x.reshape(1, -1)


def _zeros_like(p: Tensor) -> Tensor:
    """Zeros; large pages where the table is on the CPU and large."""
    return large_zeros(*p.shape) if p.dtype == torch.float32 and p.device.type == "cpu" else torch.zeros_like(p)
