"""Adam over the parameters of a backbone, one fused pass a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from taurec.kernels.adam import adam_step
from taurec.training.tables import large_zeros


class Adam:
    """``torch.optim.Adam`` with betas .9 and .999 and epsilon 1e-8, through :func:`taurec.kernels.adam.adam_step`.

    Dense semantics: every row moves in every step by its moments, whether the step touched it or not.

    Args:
        parameters: what is trained; their gradients are read and cleared by :meth:`step`.
        lr: step size.
        weight_decay: added to the gradient times the parameter (coupled, as in torch).
        kernel: see :func:`taurec.kernels.adam.adam_step`.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float = 0.0, kernel: str = "auto"
    ):
        self.parameters = list(parameters)
        self.lr, self.weight_decay, self.steps, self.kernel = lr, weight_decay, 0, kernel
        self.moments = [(_zeros_like(p), _zeros_like(p)) for p in self.parameters]

    @torch.no_grad()
    def step(self, l2: float = 0.0, counts: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        """Move every parameter that has a gradient.

        Args:
            l2: strength of what ``counts`` adds.
            counts: tables among the parameters with [R] factors: ``l2 * factor[r] * table[r]`` joins their gradient,
                in the place of the weight decay.
        """
        self.steps += 1
        for parameter, (m, v) in zip(self.parameters, self.moments, strict=True):
            if parameter.grad is None:
                continue
            tables = [_as_table(t) for t in (parameter.detach(), parameter.grad, m, v)]
            rows = next((factor for table, factor in counts if table is parameter), None)
            decay = self.weight_decay if rows is None else l2
            adam_step(*tables, step=self.steps, lr=self.lr, l2=decay, l2_rows=rows, kernel=self.kernel)
            parameter.grad = None

    def release(self, parameter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values and the moments of a parameter, which somebody else moves from now on."""
        at = next(k for k, p in enumerate(self.parameters) if p is parameter)
        self.parameters.pop(at)
        return parameter.detach(), *self.moments.pop(at)


def _as_table(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else x.reshape(1, -1)


def _zeros_like(p: Tensor) -> Tensor:
    """Zeros; large pages where the table is on the CPU and large."""
    return large_zeros(*p.shape) if p.dtype == torch.float32 and p.device.type == "cpu" else torch.zeros_like(p)
