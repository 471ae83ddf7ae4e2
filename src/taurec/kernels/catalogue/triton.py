# mypy: ignore-errors
"""Reductions over the whole catalogue on a GPU by Triton kernels, in tiles of scores that stay on the chip.

Forward, each program handles a block of rows and reads all items, with an online log-sum-exp. Backward computes the
scores twice again, once for the user gradient and once for the item gradient. So no two programs add to the same
result, and two runs give the same bits. A mask of one bit per entry, [B, I / 32] words, marks absent entries.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.kernels.reductions import PHIS, Reduction

ROWS, ITEMS = 32, 64
HOW = {"ieee": 0, "tf32x3": 1, "tf32": 2, "bf16": 3}


@triton.jit
def _phi(x, margins, weights, PHI: tl.constexpr, M: tl.constexpr):
    if PHI == 1:
        # max(x, 0) + log1p(e), where log(u) e / (u - 1) with u = 1 + e keeps the bits that 1 + e loses
        e = tl.exp(-tl.abs(x))
        u = 1.0 + e
        x = tl.maximum(x, 0.0) + tl.where(u == 1.0, e, tl.log(u) * (e / tl.where(u == 1.0, 1.0, u - 1.0)))
    elif PHI == 2:
        y = tl.zeros_like(x)
        for k in range(M):
            y += tl.load(weights + k) * tl.maximum(x - tl.load(margins + k), 0.0)
        x = y
    elif PHI == 3:
        x = x * x
    return x


@triton.jit
def _slope(x, margins, weights, PHI: tl.constexpr, M: tl.constexpr):
    y = tl.zeros_like(x)
    if PHI == 0:
        y += 1.0
    elif PHI == 1:
        y = 1.0 / (1.0 + tl.exp(-x))
    elif PHI == 2:
        for k in range(M):
            y += tl.where(x > tl.load(margins + k), tl.load(weights + k), 0.0)
    else:
        y = 2.0 * x
    return y


@triton.jit
def _dot(x, y, HOW: tl.constexpr):
    """x @ y in one of the precisions; ``bf16``, which is only for scores, is tf32 here."""
    if HOW == 0:
        z = tl.dot(x, y, input_precision="ieee")
    elif HOW == 1:
        z = tl.dot(x, y, input_precision="tf32x3")
    else:
        z = tl.dot(x, y, input_precision="tf32")
    return z


@triton.jit
def _tile(user, item, pos, bits, b, i, rows, items, dim, words, PAIR: tl.constexpr, SOME: tl.constexpr,
          HOW: tl.constexpr, D: tl.constexpr):  # fmt: skip
    """Scores of rows b and items i, minus ``pos`` if PAIR; which of them are present; and the vectors of both."""
    d = tl.arange(0, D)
    u = tl.load(user + b[:, None] * dim + d[None, :], mask=(b < rows)[:, None] & (d < dim)[None, :], other=0.0)
    v = tl.load(item + i[:, None] * dim + d[None, :], mask=(i < items)[:, None] & (d < dim)[None, :], other=0.0)
    if HOW == 3:
        x = tl.dot(u.to(tl.bfloat16), tl.trans(v).to(tl.bfloat16))
    else:
        x = _dot(u, tl.trans(v), HOW)
    here = (b < rows)[:, None] & (i < items)[None, :]
    if PAIR:
        x -= tl.load(pos + b, mask=b < rows, other=0.0)[:, None]
    if SOME:
        word = tl.load(bits + b[:, None] * words + (i // 32)[None, :], mask=here, other=0)
        here = here & (((word >> (i % 32)[None, :].to(tl.int32)) & 1) == 0)
    return x, here, u, v


@triton.jit
def _forward(user, item, pos, bits, margins, weights, top, total, rows, items, dim, words, tau,
             LSE: tl.constexpr, PHI: tl.constexpr, M: tl.constexpr, PAIR: tl.constexpr, SOME: tl.constexpr,
             HOW: tl.constexpr, B: tl.constexpr, N: tl.constexpr, D: tl.constexpr):  # fmt: skip
    b = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    most, sums = tl.full([B], float("-inf"), tl.float32), tl.zeros([B], tl.float64)
    for first in range(0, items, N):
        i = first + tl.arange(0, N)
        x, here, _, _ = _tile(user, item, pos, bits, b, i, rows, items, dim, words, PAIR, SOME, HOW, D)
        y = _phi(x, margins, weights, PHI, M)
        if LSE:
            y = tl.where(here, y, float("-inf"))
            now = tl.maximum(most, tl.max(y, 1))
            base = tl.where(now == float("-inf"), 0.0, now)
            sums = sums * tl.exp((most - base) / tau).to(tl.float64)
            sums += tl.sum(tl.exp((y - base[:, None]) / tau), 1).to(tl.float64)
            most = now
        else:
            sums += tl.sum(tl.where(here, y, 0.0), 1).to(tl.float64)
    tl.store(top + b, tl.where(most == float("-inf"), 0.0, most), mask=b < rows)
    tl.store(total + b, sums, mask=b < rows)


@triton.jit
def _weight(x, here, top, share, b, rows, margins, weights, tau, LSE: tl.constexpr, PHI: tl.constexpr, M: tl.constexpr):
    """dL/dx of a tile."""
    by_row = tl.load(share + b, mask=b < rows, other=0.0)[:, None]
    w = _slope(x, margins, weights, PHI, M) * by_row
    if LSE:
        w *= tl.exp((_phi(x, margins, weights, PHI, M) - tl.load(top + b, mask=b < rows, other=0.0)[:, None]) / tau)
    return tl.where(here, w, 0.0)


@triton.jit
def _to_user(user, item, pos, bits, margins, weights, top, share, out, d_pos, rows, items, dim, words, tau,
             LSE: tl.constexpr, PHI: tl.constexpr, M: tl.constexpr, PAIR: tl.constexpr, SOME: tl.constexpr,
             HOW: tl.constexpr, B: tl.constexpr, N: tl.constexpr, D: tl.constexpr):  # fmt: skip
    b, d = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B), tl.arange(0, D)
    total, by_row = tl.zeros([B, D], tl.float32), tl.zeros([B], tl.float32)
    for first in range(0, items, N):
        i = first + tl.arange(0, N)
        x, here, _, v = _tile(user, item, pos, bits, b, i, rows, items, dim, words, PAIR, SOME, HOW, D)
        w = _weight(x, here, top, share, b, rows, margins, weights, tau, LSE, PHI, M)
        total += _dot(w, v, HOW)
        by_row += tl.sum(w, 1)
    tl.store(out + b[:, None] * dim + d[None, :], total, mask=(b < rows)[:, None] & (d < dim)[None, :])
    if PAIR:
        tl.store(d_pos + b, -by_row, mask=b < rows)


@triton.jit
def _to_item(user, item, pos, bits, margins, weights, top, share, out, rows, items, dim, words, tau,
             LSE: tl.constexpr, PHI: tl.constexpr, M: tl.constexpr, PAIR: tl.constexpr, SOME: tl.constexpr,
             HOW: tl.constexpr, B: tl.constexpr, N: tl.constexpr, D: tl.constexpr):  # fmt: skip
    i, d = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N), tl.arange(0, D)
    total = tl.zeros([N, D], tl.float32)
    for first in range(0, rows, B):
        b = first + tl.arange(0, B)
        x, here, u, _ = _tile(user, item, pos, bits, b, i, rows, items, dim, words, PAIR, SOME, HOW, D)
        w = _weight(x, here, top, share, b, rows, margins, weights, tau, LSE, PHI, M)
        total += _dot(tl.trans(w), u, HOW)
    tl.store(out + i[:, None] * dim + d[None, :], total, mask=(i < items)[:, None] & (d < dim)[None, :])


def reduce(
    user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Reduction, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """See :func:`taurec.kernels.catalogue.catalogue_reduce`."""
    reduced, n = Reduce.apply(user.contiguous(), item.contiguous(), pos, absent, how, precision)
    return reduced, n


class Reduce(torch.autograd.Function):
    """See :func:`taurec.kernels.catalogue.catalogue_reduce`."""

    @staticmethod
    def forward(
        ctx: Any, user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Any, precision: str
    ) -> tuple[Tensor, Tensor]:
        n = torch.full((len(user),), float(len(item)), device=user.device)
        if absent is not None:
            n -= torch.bincount(absent[0], minlength=len(user))
        bits = mask_of(absent, len(user), len(item)) if absent is not None else user.new_empty(0, dtype=torch.int32)
        listed = user.new_tensor(how.margins or (0.0,)), user.new_tensor(how.weights or (0.0,))
        tables = user, item, user if pos is None else pos, bits, *listed
        sizes = len(user), len(item), user.shape[1], bits.shape[-1], how.tau
        fixed = (
            how.kind == "logsumexp", PHIS.index(how.phi), len(how.margins), pos is not None, absent is not None,
            HOW[precision], ROWS, ITEMS, max(16, triton.next_power_of_2(user.shape[1])),
        )  # fmt: skip
        top, total = user.new_empty(len(user)), user.new_empty(len(user), dtype=torch.float64)
        _forward[(triton.cdiv(len(user), ROWS),)](*tables, top, total, *sizes, *fixed)
        if how.kind == "mean":
            reduced = total / n.clamp(min=1)
            total = n.double()
        else:
            total = total.masked_fill(total == 0, 1.0)
            reduced = total.log() + top.double() / how.tau
        ctx.save_for_backward(*tables, top, total)
        ctx.plan = how, sizes, fixed
        ctx.mark_non_differentiable(n)
        return reduced.to(user.dtype), n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_reduced: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        *tables, top, total = ctx.saved_tensors
        how, sizes, fixed = ctx.plan
        share = d_reduced / (total.clamp(min=1) if how.kind == "mean" else how.tau * total)
        given = *tables, top, share.to(torch.float32).contiguous()
        user, item, paired = tables[0], tables[1], fixed[3]
        d_user = torch.empty_like(user)
        d_pos = user.new_empty(len(user) if paired else 0)
        _to_user[(triton.cdiv(len(user), ROWS),)](*given, d_user, d_pos, *sizes, *fixed)
        d_item = None
        if ctx.needs_input_grad[1]:
            d_item = torch.empty_like(item)
            _to_item[(triton.cdiv(len(item), ITEMS),)](*given, d_item, *sizes, *fixed)
        return d_user, d_item, d_pos if paired else None, None, None, None


def mask_of(pairs: Tensor, rows: int, columns: int) -> Tensor:
    """A bit mask [rows, ceil(columns / 32)] of int32 words, set at each of the distinct (row, column) pairs [2, M].

    >>> mask_of(torch.tensor([[0, 1], [33, 0]]), 2, 40).tolist()
    [[0, 2], [1, 0]]
    """
    row, column = pairs
    words = torch.zeros((rows, math.ceil(columns / 32)), dtype=torch.int64, device=pairs.device)
    words.view(-1).index_add_(0, row * words.shape[1] + column // 32, 1 << (column % 32))
    return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)


_T = "*fp32"
_FIXED = {"LSE": True, "PHI": 2, "M": 2, "PAIR": True, "SOME": True, "HOW": 0, "B": ROWS, "N": ITEMS, "D": 64}
_FIRST, _SIZES = (_T, _T, _T, "*i32", _T, _T), ("i32", "i32", "i32", "i32", "fp32")
SIGNATURES = {
    _forward: (_FIRST + (_T, "*fp64") + _SIZES, _FIXED),
    _to_user: (_FIRST + (_T, _T, _T, _T) + _SIZES, _FIXED | {"HOW": 1}),
    _to_item: (_FIRST + (_T, _T, _T) + _SIZES, _FIXED | {"HOW": 3}),
}
