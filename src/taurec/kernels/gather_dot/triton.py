# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
"""Gather-dot on a GPU by Triton kernels: float32, no atomics, the same bits in every run.

Scores and user gradients gather rows of the item table, which stays in the second-level cache. For the item gradient a
stable sort orders the pairs by item; one program then sums the pairs of an item in that order.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Floats of gathered rows that a program holds at once: for scores and user gradients, and for item gradients.
HELD, HELD_BY_ITEM = 4096, 1024


@triton.jit
def _forward(user, item, ids, neg, n, n_items, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Write the scores of ``BLOCK`` pairs of a row. Grid: blocks of pairs, rows."""
    b, j = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    d = tl.arange(0, WIDTH)
    at = tl.load(ids + b * n + j, mask=j < n, other=0)
    known = (at >= 0) & (at < n_items)
    u = tl.load(user + b * dim + d, mask=d < dim, other=0.0)
    v = tl.load(item + at[:, None] * dim + d[None, :], mask=known[:, None] & (d < dim)[None, :], other=0.0)
    tl.store(neg + b * n + j, tl.where(known, tl.sum(u[None, :] * v, 1), float("nan")), mask=j < n)


@triton.jit
def _backward_user(item, ids, d_neg, d_user, n, n_items, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Write ``d_user[b] = sum_n d_neg[b, n] item[ids[b, n]]``. Grid: rows."""
    b, d = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    total = tl.zeros((BLOCK, WIDTH), tl.float32)
    for first in range(0, n, BLOCK):
        j = first + tl.arange(0, BLOCK)
        at = tl.load(ids + b * n + j, mask=j < n, other=-1)
        known = (at >= 0) & (at < n_items)
        weight = tl.load(d_neg + b * n + j, mask=known, other=0.0)
        v = tl.load(item + at[:, None] * dim + d[None, :], mask=known[:, None] & (d < dim)[None, :], other=0.0)
        total += weight[:, None] * v
    tl.store(d_user + b * dim + d, tl.sum(total, 0), mask=d < dim)


@triton.jit
def _backward_item(user, order, start, d_neg, d_item, n, dim, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Write ``d_item[i]`` from pairs ``order[start[i] : start[i + 1]]``, flat positions in ``d_neg``. Grid: items."""
    i, d = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    lo, hi = tl.load(start + i), tl.load(start + i + 1)
    total = tl.zeros((BLOCK, WIDTH), tl.float32)
    for first in range(lo, hi, BLOCK):
        s = first + tl.arange(0, BLOCK)
        pair = tl.load(order + s, mask=s < hi, other=0)
        weight = tl.load(d_neg + pair, mask=s < hi, other=0.0)
        u = tl.load(
            user + (pair // n)[:, None] * dim + d[None, :], mask=(s < hi)[:, None] & (d < dim)[None, :], other=0.0
        )
        total += weight[:, None] * u
    tl.store(d_item + i * dim + d, tl.sum(total, 0), mask=d < dim)


class GatherDot(torch.autograd.Function):
    """``neg[b, n] = <user[b], item[ids[b, n]]>``; see :func:`taurec.kernels.gather_dot.gather_dot`."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, ids: Tensor, into: Tensor | None) -> Tensor:
        (rows, n), (n_items, dim) = ids.shape, item.shape
        neg = torch.empty_like(ids, dtype=torch.float32)
        width, block = _tile(dim, n, HELD)
        with torch.cuda.device_of(user):
            _forward[-(-n // block), rows](user, item, ids, neg, n, n_items, dim, BLOCK=block, WIDTH=width)
        ctx.save_for_backward(user, item, ids)
        ctx.into = into
        return neg

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_neg: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        user, item, ids = ctx.saved_tensors
        d_neg, (n_items, dim) = d_neg.contiguous(), item.shape
        rows, n = ids.shape
        d_user, d_item = None, torch.empty_like(item) if ctx.needs_input_grad[1] else ctx.into
        with torch.cuda.device_of(user):
            if ctx.needs_input_grad[0]:
                d_user = torch.empty_like(user)
                width, block = _tile(dim, n, HELD)
                _backward_user[rows,](item, ids, d_neg, d_user, n, n_items, dim, BLOCK=block, WIDTH=width)
            if d_item is not None:
                order, start = by_item(ids, n_items)
                width, block = _tile(dim, rows * n, HELD_BY_ITEM)
                _backward_item[n_items,](
                    user, order, start, d_neg, d_item, n, dim, BLOCK=block, WIDTH=width, num_warps=1
                )
        return d_user, d_item if ctx.needs_input_grad[1] else None, None, None


def gather_dot(user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> Tensor:
    """Gather-dot on a GPU; arguments as :func:`taurec.kernels.gather_dot.gather_dot`, float32.

    An id outside 0..I-1 scores NaN and gives no gradient: raising would make every step wait for the GPU.
    """
    scores: Tensor = GatherDot.apply(user.contiguous(), item.contiguous(), ids.contiguous(), d_item)
    return scores


def by_item(ids: Tensor, n_items: int) -> tuple[Tensor, Tensor]:
    """The flat positions of ids [B, N] sorted by item, and the start of each item in them: int64 [B * N], [I + 1].

    Equal ids keep their order, so a sum over the pairs of an item always has the same order.
    """
    narrow = torch.int32 if n_items < 1 << 31 else torch.int64  # half the passes of a radix sort
    items, order = torch.sort(ids.reshape(-1).to(narrow), stable=True)
    return order, torch.searchsorted(items, torch.arange(n_items + 1, dtype=narrow, device=ids.device))


def _tile(dim: int, n: int, held: int) -> tuple[int, int]:
    """The width and the number of rows of a tile: powers of 2 that depend on shapes alone."""
    width = triton.next_power_of_2(dim)
    return width, min(max(1, held // width), triton.next_power_of_2(n))


_F, _L, _I = "*fp32", "*i64", "i32"
#: For each kernel, the types of its arguments and values of its constants, with which it compiles without a GPU.
SIGNATURES = {
    _forward: ((_F, _F, _L, _F, _I, _I, _I), {"BLOCK": 64, "WIDTH": 64}),
    _backward_user: ((_F, _L, _F, _F, _I, _I, _I), {"BLOCK": 64, "WIDTH": 64}),
    _backward_item: ((_F, _L, _L, _F, _F, _I, _I), {"BLOCK": 16, "WIDTH": 64}),
}
