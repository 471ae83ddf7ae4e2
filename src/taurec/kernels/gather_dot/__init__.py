"""Gather-dot: scores of each row's own negatives, ``neg[b, n] = <user[b], item[ids[b, n]]>``, and their gradients.

Kernels: ``torch``, ``numba`` (float32 on the CPU), ``triton`` (float32 on a GPU). The selection depends on
``(user, item, ids, d_item)``. The lower bound is the time to read one row of the item table for each id, once forward
and twice backward; the tensor ``[B, N, D]`` is never stored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taurec import kernels
from taurec.errors import UsageError
from taurec.kernels import Operation, misfit_of, select

__all__ = ["OPERATION", "gather_dot"]


def gather_dot(
    user: Tensor, item: Tensor, ids: Tensor, *, kernel: str = "auto", d_item: Tensor | None = None
) -> Tensor:
    """Scores of each row's own negatives: ``neg[b, n] = <user[b], item[ids[b, n]]>``.

    Differentiable in both tables; the gathered rows ``[B, N, D]`` are never stored. It runs on torch's number of
    threads, which does not change the bits of ``numba``.

    Args:
        user: [B, D] vectors of the rows.
        item: [I, D] vectors of all items; its gradient is dense.
        ids: [B, N] int64 in 0..I-1; the gradients of repeated ids add up.
        kernel: ``auto``, ``numba`` (float32 on CPU), ``triton`` (float32 on a GPU) or ``torch``.
        d_item: [I, D] receives the gradient of the items, all rows, instead of autograd; ``item`` must not require a
            gradient then.
    Returns: [B, N] scores.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call.

    >>> gather_dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]]), torch.tensor([[1, 0, 1]]))
    tensor([[5., 1., 5.]])
    """
    if user.ndim != 2 or item.ndim != 2 or ids.ndim != 2 or user.shape[1] != item.shape[1] or len(user) != len(ids):
        shapes = f"{tuple(user.shape)}, {tuple(item.shape)}, {tuple(ids.shape)}"
        raise UsageError(f"gather_dot takes user [B, D], item [I, D], ids [B, N]; got {shapes}")
    scores: Tensor = select("gather_dot", user, item, ids, d_item, kernel=kernel).kernel.gather_dot(
        user, item, ids, d_item
    )
    return scores


def _misfit(kernel: str, user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> str:
    if reason := misfit_of(kernel, user, item, ids):
        return reason
    if ids.dtype != torch.int64:
        return f"it needs int64 ids, got {ids.dtype}"
    if 0 in (*user.shape, *item.shape, *ids.shape):
        return "it needs at least one row, item, column and dimension"
    return ""


def _small(user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> bool:
    """Whether the call has little work. Always False with ``d_item``, so that all batches of a run use one kernel."""
    return d_item is None and ids.numel() * user.shape[1] < kernels.WORTH


OPERATION = Operation(_misfit, _small)
