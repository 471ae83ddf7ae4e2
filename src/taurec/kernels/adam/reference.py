"""Adam's step in plain torch: any float type, any device."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Numbers(NamedTuple):
    """The scalars of an Adam step.

    Attributes:
        step_size: lr / (1 - beta1^step); correction: sqrt(1 - beta2^step).
    """

    step_size: float
    beta1: float
    beta2: float
    correction: float
    eps: float
    l2: float


def step(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, how: Numbers, l2_rows: Tensor | None) -> None:
    """See :func:`taurec.kernels.adam.adam_step`."""
    decay: float | Tensor = how.l2 if l2_rows is None else (how.l2 * l2_rows.to(param.dtype))[:, None]
    grad = grad + decay * param
    m.lerp_(grad, 1 - how.beta1)
    v.mul_(how.beta2).addcmul_(grad, grad, value=1 - how.beta2)
    param.addcdiv_(m, (v.sqrt() / how.correction).add_(how.eps), value=-how.step_size)
