"""Gather-dot on CPU by compiled loops: float32, any sizes, the same bits for any number of threads.

The ids of each row are sorted by block of items first. Scores and user gradients then walk the item table
block by block, so that a block and its reuse over many rows stay in the second-level cache; the item gradient
of a block is summed by one thread into that block, with no atomics and no copy of the table for each thread.

Where less than half of the scores have a gradient, as with the hinges of CCL and MML, the others are left out of both
sums, to the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.errors import UsageError
from taurec.kernels import pool
from taurec.kernels.compile import kernel

#: Size of a block of item vectors: half of a common second-level cache.
BLOCK_BYTES = 1 << 19
#: Pairs of a row in one block, on average, below which blocks are made larger.
SEGMENT = 4
#: Columns of ids handled at once, and log2 of the items of the largest block: a pair is packed into 32 bits.
COLUMNS, LARGEST = 1 << 16, 16
#: Rows of a task, above which a thread gets two: each task walks the whole item table once.
ROWS = 1024
#: Numbers that a loop takes at once, in rows that begin at a multiple of them; what is left of a row is slow.
LANES = 16


class GatherDot(torch.autograd.Function):
    """``neg[b, n] = <user[b], item[ids[b, n]]>``; see :func:`taurec.kernels.gather_dot`."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, ids: Tensor, into: Tensor | None) -> Tensor:
        (n_rows, n), (n_items, dim) = ids.shape, item.shape
        shift = block_shift(n_items, dim, n)
        pairs = np.empty((n_rows, n), np.uint32)
        start = np.empty((((n_items - 1) >> shift) + 2, n_rows), np.int32)
        scratch = np.empty((n_rows, n), np.float32)
        neg = torch.empty((n_rows, n))
        rows, table, columns, out = _flat(user), _flat(item), ids.numpy(), neg.numpy()
        loop, spans = kernel("forward"), _spans(n_rows)
        valid = [False] * len(spans)

        def task(t: int) -> None:
            lo, hi = spans[t]
            valid[t] = loop(rows, table, dim, n_items, columns, shift, lo, hi, pairs, start, scratch, out)

        pool.run(task, len(spans))
        if not all(valid):
            raise IndexError(f"item ids must be in 0..{n_items - 1}, got {int(ids.min())}..{int(ids.max())}")
        ctx.save_for_backward(user, item)
        ctx.plan = (shift, pairs, start, scratch)
        ctx.into = into
        return neg

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_neg: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        user, item = ctx.saved_tensors
        shift, pairs, start, weight = ctx.plan
        n_items, dim = item.shape
        d_user = torch.empty_like(user) if ctx.needs_input_grad[0] else None
        d_item = torch.empty_like(item) if ctx.needs_input_grad[1] else ctx.into
        rows, table, given = _flat(user), _flat(item), d_neg.contiguous().numpy()
        by_rows, by_items, spans = kernel("backward_user"), kernel("backward_item"), _spans(len(user))
        few = 2 * int(torch.count_nonzero(d_neg)) < d_neg.numel()
        every, begin = pairs, start
        if few:
            pairs, start = np.empty_like(every), np.empty_like(begin)
        weigh = kernel("weigh_few" if few else "weigh")

        def task(t: int) -> None:
            if few:
                weigh(every, begin, *spans[t], given, pairs, start, weight)
            else:
                weigh(every, *spans[t], given, weight)
            if d_user is not None:
                by_rows(table, dim, pairs, start, shift, *spans[t], weight, _flat(d_user))

        pool.run(task, len(spans))
        if d_item is not None:
            into = _flat(d_item)
            pool.run(lambda k: by_items(rows, dim, n_items, pairs, start, shift, k, weight, into), len(start) - 1)
        return d_user, d_item if ctx.needs_input_grad[1] else None, None, None


def gather_dot(user: Tensor, item: Tensor, ids: Tensor, d_item: Tensor | None = None) -> Tensor:
    """The compiled gather-dot; arguments as :func:`taurec.kernels.gather_dot`, float32 on CPU.

    Raises: IndexError if an id is not in 0..I-1; UsageError for more ids than a call can write to one ``d_item``.
    """
    if d_item is not None and ids.shape[1] > COLUMNS:
        raise UsageError(f"d_item takes the gradient of at most {COLUMNS} columns of ids, got {ids.shape[1]}")
    filling = -item.shape[1] % LANES
    if filling and d_item is None and ids.numel() >= len(item):  # tables written once are less than slow ends of pairs
        user, item = F.pad(user, (0, filling)), F.pad(item, (0, filling))
    user, item = user.contiguous(), item.contiguous()
    parts = [GatherDot.apply(user, item, part.contiguous(), d_item) for part in ids.split(COLUMNS, 1)]  # type: ignore[no-untyped-call]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def block_shift(n_items: int, dim: int, n: int) -> int:
    """Log2 of the items in a block, a function of shapes alone."""
    shift = 4
    while shift < LARGEST and (1 << shift) * dim * 4 < BLOCK_BYTES:
        shift += 1
    while shift < LARGEST and ((n_items - 1) >> shift) + 1 > max(1, n // SEGMENT):
        shift += 1
    return shift


def _spans(n_rows: int) -> list[tuple[int, int]]:
    """Tasks of rows. No bits depend on the cut: a row's sums run over its own pairs only."""
    threads = torch.get_num_threads()
    size = -(-n_rows // (threads if threads == 1 or n_rows < ROWS * threads else 2 * threads))
    return [(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]


def _flat(table: Tensor) -> np.ndarray:
    return table.detach().view(-1).numpy()
