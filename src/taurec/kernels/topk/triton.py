# mypy: ignore-errors
"""Top-K on a GPU by a Triton kernel: the exact K best items of each user, without scores in the GPU's memory.

A program handles a block of users and a slab of items. It turns each score into a 64-bit key that orders by score,
then by the position in the tie order, and extracts the K largest keys of the slab one after another. torch's topk
selects from the K candidates of each slab. All keys are distinct, so the result is exact, ties included.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from taurec.kernels.catalogue.triton import mask_of
from taurec.kernels.topk.best import Best, Index, Marks, Ranks

ROWS, ITEMS = 16, 256
USERS = 2048
"""Users of one call of the kernel: at 38,048 items and K = 20, 60 MB of candidates and masks."""
NONE = tl.constexpr(-(1 << 63))


@triton.jit
def _candidates(user, item, bits, places, out, rows, items, dim, words, slabs, K: tl.constexpr,
                B: tl.constexpr, N: tl.constexpr, D: tl.constexpr):  # fmt: skip
    slab = tl.program_id(1)
    b, i, d = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B), slab * N + tl.arange(0, N), tl.arange(0, D)
    u = tl.load(user + b[:, None] * dim + d[None, :], mask=(b < rows)[:, None] & (d < dim)[None, :], other=0.0)
    v = tl.load(item + i[:, None] * dim + d[None, :], mask=(i < items)[:, None] & (d < dim)[None, :], other=0.0)
    x = tl.dot(u, tl.trans(v), input_precision="ieee") + 0.0
    here = (b < rows)[:, None] & (i < items)[None, :]
    word = tl.load(bits + b[:, None] * words + (i // 32)[None, :], mask=here, other=0)
    here = here & (((word >> (i % 32)[None, :].to(tl.int32)) & 1) == 0) & (x != float("-inf"))
    raw = x.to(tl.int32, bitcast=True)
    raw = raw ^ ((raw >> 31) & 0x7FFFFFFF)
    place = tl.load(places + i, mask=i < items, other=0)
    key = (raw.to(tl.int64) << 32) | (0xFFFFFFFF - place)[None, :]
    key = tl.where(here, key, NONE)
    for k in range(K):
        best = tl.max(key, 1)
        tl.store(out + (b * slabs + slab) * K + k, best, mask=b < rows)
        key = tl.where(key == best[:, None], NONE, key)


def best_of_tables(
    user: Tensor,
    item: Tensor,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: Marks | None = None,
) -> Best:
    """See :mod:`taurec.kernels.topk`; the tables lie on the device that computes."""
    device = user.device
    places = ranks().to(device)
    known = None if seen is None else tuple(torch.tensor(a, device=device) for a in seen)
    n_items, dim = item.shape
    slabs, words = triton.cdiv(n_items, ITEMS), triton.cdiv(n_items, 32)
    item_at = torch.empty_like(places)
    item_at[places] = torch.arange(n_items, device=places.device)
    never = None
    if banned is not None:
        column = torch.tensor(banned, device=device).nonzero().flatten()
        never = mask_of(torch.stack([torch.zeros_like(column), column]), 1, n_items)
    items, scores = np.empty((len(users), k), np.int64), np.empty((len(users), k), np.float32)
    each = min(k, ITEMS)
    for start in range(0, len(users), USERS):
        at = torch.from_numpy(users[start : start + USERS]).to(user.device)
        bits = torch.zeros((len(at), words), dtype=torch.int32, device=user.device)
        if known is not None:
            bits = mask_of(_pairs(*known, at), len(at), n_items)
        if never is not None:
            bits |= never
        keys = torch.empty((len(at), slabs * each), dtype=torch.int64, device=user.device)
        _candidates[(triton.cdiv(len(at), ROWS), slabs)](
            user.index_select(0, at), item, bits, places, keys, len(at), n_items, dim, words, slabs, each,
            ROWS, ITEMS, max(16, triton.next_power_of_2(dim)),
        )  # fmt: skip
        keys = keys.topk(k, dim=1).values
        there, raw = keys != NONE.value, (keys >> 32).to(torch.int32)
        score = (raw ^ ((raw >> 31) & 0x7FFFFFFF)).view(torch.float32)
        found = item_at[torch.where(there, 0xFFFFFFFF - (keys & 0xFFFFFFFF), 0)]
        span = slice(start, start + len(at))
        items[span] = torch.where(there, found, -1).cpu().numpy()
        scores[span] = torch.where(there, score, -torch.inf).cpu().numpy()
    wrong = np.flatnonzero(~(scores[:, 0] < np.inf))[:1]
    bad = [(int(r), int(items[r, 0]), float(scores[r, 0])) for r in wrong]
    return Best(items, scores, bad[0] if bad else None)


def _pairs(indptr: Tensor, indices: Tensor, rows: Tensor) -> Tensor:
    """[2, M]: the position in ``rows`` and the column of each entry in these rows of a CSR matrix."""
    first = indptr[rows]
    count = indptr[rows + 1] - first
    row = torch.repeat_interleave(count)
    within = torch.arange(len(row), device=rows.device) - (count.cumsum(0) - count)[row]
    return torch.stack([row, indices[first[row] + within]])


SIGNATURES = {
    _candidates: (
        ("*fp32", "*fp32", "*i32", "*i64", "*i64", "i32", "i32", "i32", "i32", "i32"),
        {"K": 20, "B": ROWS, "N": ITEMS, "D": 64},
    )
}
