"""Gather-dot in plain torch: the reference implementation, with which the fast kernels are compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Maximum number of scores, of a block of rows against the whole catalogue, in memory at once.
SCORES_AT_ONCE = 1 << 26


class GatherDot(torch.autograd.Function):
    """``neg[b, n] = <user[b], item[ids[b, n]]>`` without the ``[B, N, D]`` tensor of gathered rows.

    One matrix product scores a block of rows against all items, and the entries of ``ids`` are gathered from it.
    Backward scatters the coefficients into a block of the same shape and multiplies again. A block has at most
    ``SCORES_AT_ONCE`` scores; its size depends on shapes alone. Two runs give the same bits, as do one and two
    threads; with more threads, MKL's matrix product was observed to differ in the last bit at odd widths.
    """

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, ids: Tensor, into: Tensor | None) -> Tensor:
        ctx.save_for_backward(user, item, ids)
        ctx.into = into
        out = user.new_empty(ids.shape)
        for rows in _blocks(len(user), len(item)):
            torch.gather(user[rows] @ item.T, 1, ids[rows], out=out[rows])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_neg: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        user, item, ids = ctx.saved_tensors
        d_user = torch.empty_like(user) if ctx.needs_input_grad[0] else None
        d_item = torch.zeros_like(item) if ctx.needs_input_grad[1] else ctx.into
        if d_item is not None and d_item is ctx.into:
            d_item.zero_()
        for rows in _blocks(len(user), len(item)):
            coefficient = d_neg.new_zeros((len(user[rows]), len(item)))
            coefficient.scatter_add_(1, ids[rows], d_neg[rows])
            if d_user is not None:
                torch.mm(coefficient, item, out=d_user[rows])
            if d_item is not None:
                d_item.addmm_(coefficient.T, user[rows])
        return d_user, d_item if ctx.needs_input_grad[1] else None, None, None


def gather_dot(user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> Tensor:
    """Scores of each row's own list of items, differentiable in both tables.

    Args:
        user: [B, D] float32 or float64 vectors of the rows.
        item: [I, D] vectors of all items.
        ids: [B, N] int64 in 0..I-1; an id may repeat.
        d_item: [I, D] receives the gradient of the items, instead of autograd.
    Returns: [B, N] scores; the gradient of ``item`` is dense.

    >>> gather_dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [3.0, 1.0]]), torch.tensor([[1, 0, 1]]))
    tensor([[5., 1., 5.]])
    """
    scores: Tensor = GatherDot.apply(user, item, ids, d_item)  # type: ignore[no-untyped-call]
    return scores


def _blocks(n_rows: int, n_items: int) -> list[slice]:
    size = max(1, SCORES_AT_ONCE // max(1, n_items))
    return [slice(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]
