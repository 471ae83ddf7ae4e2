# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
"""Uniform negatives drawn on a GPU by a Triton kernel, equal to those of ``taurec.draw``, exclusion included.

The CPU computes the hash key of each row, and the GPU the random words of its columns. When known items are excluded,
an id that is refused is drawn again inside the kernel, so the CPU does not have to read the refusals.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from numpy.typing import ArrayLike
from torch import Tensor

from taurec import draw

_GOLDEN, _MIX_1, _MIX_2 = (tl.constexpr(x) for x in (draw.GOLDEN, draw.MIX_1, draw.MIX_2))
#: Number of ids that a program draws.
BLOCK = 256


class KnownItems(NamedTuple):
    """The items of each user, as CSR arrays on the GPU.

    Attributes:
        indptr: [U + 1] int64; indices: [P] int64, ascending in each row, distinct.
        longest: the largest number of items of a user.
    """

    indptr: Tensor
    indices: Tensor
    longest: int


@triton.jit
def _word(key, column):
    """The random word of column ``column`` in a row with this key; see ``draw.bits``."""
    x = key + (column + 1).to(tl.uint64) * _GOLDEN
    x = (x ^ (x >> 30)) * _MIX_1
    x = (x ^ (x >> 27)) * _MIX_2
    return x ^ (x >> 31)


@triton.jit
def _below(word, n):
    """The integer in 0..n-1 that a random word maps to; see ``draw.below``."""
    return (((word >> 32) * n.to(tl.uint64)) >> 32).to(tl.int64)


@triton.jit
def _has(indices, first, last, item, wanted, STEPS: tl.constexpr):
    """Whether ``item`` is in the ascending ``indices[first:last]``, by binary search; False where not ``wanted``."""
    lo, hi = tl.zeros_like(item) + first, tl.zeros_like(item) + last
    for _ in range(STEPS):
        live = wanted & (lo < hi)
        mid = (lo + hi) // 2
        less = tl.load(indices + mid, mask=live, other=0) < item
        lo, hi = tl.where(live & less, mid + 1, lo), tl.where(live & (less == 0), mid, hi)
    inside = wanted & (lo < last)
    return inside & (tl.load(indices + lo, mask=inside, other=-1) == item)


@triton.jit
def _free(indices, first, last, rank, wanted, STEPS: tl.constexpr):
    """The item at position ``rank`` among those not in ``indices[first:last]``; see ``Known.free``."""
    lo, hi = tl.zeros_like(rank) + first, tl.zeros_like(rank) + last
    for _ in range(STEPS):
        live = wanted & (lo < hi)
        mid = (lo + hi) // 2
        before = tl.load(indices + mid, mask=live, other=0) - (mid - first) <= rank
        lo, hi = tl.where(live & before, mid + 1, lo), tl.where(live & (before == 0), mid, hi)
    return rank + lo - first


@triton.jit(do_not_specialize=["n_items"])
def _uniform(keys, out, n_items, n, first, N: tl.constexpr):
    """Draw uniform ids. Grid: blocks of columns, rows."""
    b, c = tl.program_id(1).to(tl.int64), tl.program_id(0) * N + tl.arange(0, N).to(tl.int64)
    key = tl.load(keys + b).to(tl.uint64, bitcast=True)
    tl.store(out + b * n + c, _below(_word(key, first + c), n_items), mask=c < n)


@triton.jit(do_not_specialize=["n_items"])
def _excluding(
    keys, user, indptr, indices, out, n_items, n, rounds, N: tl.constexpr, STEPS: tl.constexpr
):  # fmt: skip
    """Draw uniform ids without the user's items; 0 for a user who has every item. Grid: blocks of columns, rows."""
    b, c = tl.program_id(1).to(tl.int64), tl.program_id(0) * N + tl.arange(0, N).to(tl.int64)
    key = tl.load(keys + b).to(tl.uint64, bitcast=True)
    u = tl.load(user + b)
    first, last = tl.load(indptr + u), tl.load(indptr + u + 1)
    left = n_items - (last - first)
    item = _below(_word(key, c), n_items)
    refused = _has(indices, first, last, item, c < tl.where(left > 0, n, 0), STEPS)
    for attempt in range(1, rounds):
        if tl.max(refused.to(tl.int32), 0) > 0:
            item = tl.where(refused, _below(_word(key, c + attempt * n), n_items), item)
            refused = _has(indices, first, last, item, refused, STEPS)
    if tl.max(refused.to(tl.int32), 0) > 0:
        rank = _below(_word(key, c + rounds * n), left)
        item = tl.where(refused, _free(indices, first, last, rank, refused, STEPS), item)
    tl.store(out + b * n + c, tl.where(left > 0, item, 0), mask=c < n)


def uniform_ids(stream: int, rows: ArrayLike, n_items: int, n: int, device: torch.device, start: int = 0) -> Tensor:
    """Uniform ids drawn on the GPU, equal to ``draw.integers(stream, rows, n_items, n, start)``.

    Args:
        stream: a value of :func:`taurec.draw.key`.
        rows: [B] integers that identify the rows.
        n_items: ids are in 0..n_items-1.
        n: ids per row.
        device: the GPU that draws them.
        start: first column.
    Returns: [B, n] int64.
    """
    keys = _keys(stream, rows, n_items, device)
    out = torch.empty((len(keys), n), dtype=torch.int64, device=device)
    if out.numel():
        with torch.cuda.device_of(out):
            _uniform[triton.cdiv(n, BLOCK), len(keys)](keys, out, n_items, n, start, N=BLOCK)
    return out


def uniform_ids_without(
    stream: int, rows: ArrayLike, n_items: int, n: int, user: Tensor, known: KnownItems, rounds: int
) -> Tensor:
    """Ids uniform over the items that a row's user does not have, equal to those of the reference implementation.

    Id c is drawn at column c, then at c + n, c + 2n, .. while it is an item of the user. After ``rounds`` columns, one
    more column selects an item among those that the user does not have.

    Args:
        user: [B] int64 on the device of ``known``.
        known: the items to exclude.
        rounds: maximum number of columns tried for an id.
    Returns: [B, n] int64; 0 in a row whose user has every item.
    """
    keys = _keys(stream, rows, n_items, user.device)
    out = torch.empty((len(keys), n), dtype=torch.int64, device=user.device)
    if out.numel():
        given = keys, user, known.indptr, known.indices, out, n_items, n, rounds
        with torch.cuda.device_of(out):
            _excluding[triton.cdiv(n, BLOCK), len(keys)](*given, N=BLOCK, STEPS=known.longest.bit_length())
    return out


def _keys(stream: int, rows: ArrayLike, n_items: int, device: torch.device) -> Tensor:
    if not 0 < n_items < 1 << 32:
        raise ValueError(f"n_items must be in 1..2**32-1, got {n_items}")
    return torch.from_numpy(draw.row_keys(stream, rows).view("int64")).to(device, non_blocking=True)


_L, _I = "*i64", "i64"
#: For each kernel, the types of its arguments and values of its constants, with which it compiles without a GPU.
SIGNATURES = {
    _uniform: ((_L, _L, _I, "i32", "i32"), {"N": BLOCK}),
    _excluding: ((_L, _L, _L, _L, _L, _I, "i32", "i32"), {"N": BLOCK, "STEPS": 11}),
}
