"""Rows of a table scaled to length 1, with the gradient of the scaling; cosine scores are products of such rows.

Kernels: ``torch``, ``numba`` (float32 on the CPU), ``triton`` (float32 on a GPU). The selection depends on ``(w,)``.
The lower bound is one pass through memory forward and one backward; plain torch takes a pass for each elementary
operation.
"""

from __future__ import annotations

from torch import Tensor

from taurec.kernels import Operation, misfit_of, select

__all__ = ["OPERATION", "unit_rows"]


def unit_rows(w: Tensor, eps: float = 1e-12, *, kernel: str = "auto") -> Tensor:
    """Rows scaled to length 1: ``u = w / |w|``, with ``dL/dw = (dL/du - <u, dL/du> u) / |w|`` backward.

    A row no longer than ``eps`` becomes zero and passes no gradient. (``torch.nn.functional.normalize``
    divides such a row by ``eps`` and multiplies its gradient by ``1 / eps``.) A row with a NaN becomes NaN.

    Args:
        w: [R, D] floats.
        eps: the largest length of a row that counts as zero.
        kernel: ``auto``, ``numba``, ``triton`` or ``torch``.
    Returns: [R, D].
    Raises: UsageError if the named kernel cannot serve the call.

    >>> import torch
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    unit: Tensor = select("unit_rows", w, kernel=kernel).kernel.unit_rows(w, eps)
    return unit


def _misfit(kernel: str, w: Tensor) -> str:
    if w.ndim != 2 or not w.numel():
        return f"it needs a table [R, D] that is not empty, got {list(w.shape)}"
    return misfit_of(kernel, w)


OPERATION = Operation(_misfit)
