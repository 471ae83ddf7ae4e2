"""Passes over a whole table: unit rows with their chain rule, and one Adam step.

Each is one pass through memory instead of one per elementary operation. On float32 tables the loops are compiled,
for the CPU or by Triton for a GPU; otherwise the same formula runs in plain torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.errors import UsageError
from taurec.kernels import pool
from taurec.kernels.compile import kernel

#: Floats of a table handled by one task.
TASK_FLOATS = 1 << 18


class UnitRows(torch.autograd.Function):
    """``w / |w|`` by row, compiled; see :func:`unit_rows`."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, eps: float) -> Tensor:
        unit, inverse = torch.empty_like(w), torch.empty(len(w))
        loop, arrays = kernel("unit_forward"), (unit.numpy(), inverse.numpy())
        given = w.detach().numpy()
        _by_rows(w, lambda lo, hi: loop(given, eps, lo, hi, *arrays))
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_unit: Tensor) -> tuple[Tensor, None]:
        unit, inverse = ctx.saved_tensors
        d_w = torch.empty_like(unit)
        loop, out = kernel("unit_backward"), d_w.numpy()
        given = unit.detach().numpy(), inverse.numpy(), d_unit.contiguous().numpy()
        _by_rows(unit, lambda lo, hi: loop(*given, lo, hi, out))
        return d_w, None


def unit_rows(w: Tensor, eps: float = 1e-12) -> Tensor:
    """Rows scaled to length 1: ``u = w / |w|``, with ``dL/dw = (dL/du - <u, dL/du> u) / |w|`` backward.

    A row no longer than ``eps`` becomes zero and passes no gradient. (``torch.nn.functional.normalize``
    divides such a row by ``eps`` and multiplies its gradient by ``1 / eps``.)

    Args:
        w: [R, D] floats.
        eps: length up to which a row counts as zero.
    Returns: [R, D].

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if w.ndim == 2 and w.numel() and compiled(w):
        unit: Tensor = UnitRows.apply(w.contiguous(), eps)  # type: ignore[no-untyped-call]
        return unit
    if w.ndim == 2 and w.numel() and on_gpu(w):
        from taurec.kernels import gpu_tables

        return gpu_tables.unit_rows(w, eps)
    length = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
    kept = length > eps
    return torch.where(kept, w / torch.where(kept, length, 1.0), 0.0)


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
) -> None:
    """One step of Adam on a dense table, in place, as ``torch.optim.Adam`` takes it.

        g = grad + l2 * l2_rows[r] * param;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
        param -= lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps)

    Args:
        param, grad, m, v: [R, D] floats of one dtype; all but ``grad`` are written.
        step: 1 for the first step.
        l2: torch's ``weight_decay``.
        l2_rows: [R] factor of l2 by row (how often a row was in the batch), all ones if None.
    Raises: UsageError if shapes or dtypes disagree.
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
    step_size, root = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    ready = param.numel() > 0 and all(t.is_contiguous() for t in (param, m, v))
    if ready and on_gpu(param):
        from taurec.kernels import gpu_tables

        how = gpu_tables.Step(step_size, (beta1, beta2), 1 / root, eps, l2)
        gpu_tables.adam_step(*tables, how, l2_rows)
        return
    if ready and compiled(param):
        flat = [t.contiguous().view(-1).numpy() for t in tables]
        rows = np.empty(0, np.float32) if l2_rows is None else l2_rows.to(torch.float32).contiguous().numpy()
        loop, dim = kernel("adam"), param.shape[1]
        _by_rows(param, lambda lo, hi: loop(*flat, dim, l2, rows, step_size, beta1, beta2, 1 / root, eps, lo, hi))
        return
    decay: float | Tensor = l2 if l2_rows is None else (l2 * l2_rows.to(param.dtype))[:, None]
    grad = grad + decay * param
    m.lerp_(grad, 1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    param.addcdiv_(m, (v.sqrt() / root).add_(eps), value=-step_size)


def path(table: Tensor) -> str:
    """What passes over a table like this one: ``numba``, ``triton`` or ``torch``."""
    return "numba" if compiled(table) else "triton" if on_gpu(table) else "torch"


def on_gpu(table: Tensor) -> bool:
    """Whether the passes over this table are Triton's."""
    from taurec.kernels import triton_misfit

    return table.device.type == "cuda" and not triton_misfit(table)


def compiled(table: Tensor) -> bool:
    """Whether the passes over this table are loops compiled for the CPU."""
    from taurec.kernels import available

    return table.dtype == torch.float32 and table.device.type == "cpu" and available()["numba"] == "ok"


def _by_rows(table: Tensor, work: Callable[[int, int], object]) -> None:
    n, dim = table.shape
    size = max(1, TASK_FLOATS // dim)
    pool.run(lambda t: work(t * size, min((t + 1) * size, n)), -(-n // size))
