"""One step of Adam over a whole table, in place.

Kernels: ``torch``, ``numba`` (float32 on the CPU), ``triton`` (float32 on a GPU). The selection depends on
``(param, grad, m, v)``. The lower bound is one pass through memory over four tables, of which three are written; plain
torch takes a pass for each elementary operation. The loops for tables whose rows are updated later, when they are read
(:func:`compiled`), exist only for the CPU; :mod:`taurec.training.tables` uses them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.kernels import Operation, compile, misfit_of, select
from taurec.kernels.adam.reference import Numbers

__all__ = ["OPERATION", "adam_step", "compiled"]


@torch.no_grad()
def adam_step(
    param: Tensor,
    grad: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    step: int,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    l2: float = 0.0,
    l2_rows: Tensor | None = None,
    kernel: str = "auto",
) -> None:
    """One step of Adam on a dense table, in place, with the formula of ``torch.optim.Adam``.

        g = grad + l2 * l2_rows[r] * param;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
        param -= lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps)

    Args:
        param, grad, m, v: [R, D] floats of one dtype: the table, its gradient, and the first and second moments; all
            but ``grad`` are written.
        step: 1 for the first step.
        l2: torch's ``weight_decay``.
        l2_rows: [R] factor of l2 for each row (how often the row was in the batch), all ones if None.
        kernel: ``auto``, ``numba``, ``triton`` or ``torch``.
    Raises: UsageError if shapes or dtypes disagree, or the named kernel cannot serve the call.
    Source: Kingma and Ba, ICLR 2015, arXiv 1412.6980, algorithm 1.

    >>> w = torch.tensor([[1.0, 1.0]])
    >>> adam_step(w, torch.tensor([[2.0, -2.0]]), torch.zeros(1, 2), torch.zeros(1, 2), step=1, lr=0.5)
    >>> w
    tensor([[0.5000, 1.5000]])
    """
    tables = (param, grad, m, v)
    if len({(t.shape, t.dtype, t.device) for t in tables}) > 1 or param.ndim != 2:
        raise UsageError(f"adam_step takes four [R, D] tables alike, got {[(tuple(t.shape), t.dtype) for t in tables]}")
    if l2_rows is not None and l2_rows.shape != param.shape[:1]:
        raise UsageError(f"l2_rows must be [{len(param)}], got {list(l2_rows.shape)}")
    numbers = Numbers(lr / (1 - beta1**step), beta1, beta2, math.sqrt(1 - beta2**step), eps, l2)
    select("adam", *tables, kernel=kernel).kernel.step(*tables, numbers, l2_rows)


def compiled(name: str) -> Callable[..., Any]:
    """The compiled loop of ``adam/numba.py`` with this name."""
    return compile.compiled("adam", name)


def _misfit(kernel: str, param: Tensor, grad: Tensor, m: Tensor, v: Tensor) -> str:
    if param.ndim != 2 or not param.numel():
        return f"it needs tables [R, D] that are not empty, got {list(param.shape)}"
    if not all(t.is_contiguous() for t in (param, m, v)):
        return "it needs contiguous tables"
    return misfit_of(kernel, param, grad, m, v)


OPERATION = Operation(_misfit)
