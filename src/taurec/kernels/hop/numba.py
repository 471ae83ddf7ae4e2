# mypy: ignore-errors
"""The hop on the CPU by compiled loops, over blocks of rows with nearly equal numbers of edges.

A row of the product is summed in vector registers over its edges in stored order, in tiles of 64 columns, then 16, 4
and 1; the assignment of rows to threads does not change the bits. Edges read rows at random positions of a table that
is larger than the second-level cache, so each row is prefetched 16 edges ahead, which takes a sixth less time at the
size of Yelp2018.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, types
from torch import Tensor

from taurec.kernels import pool
from taurec.kernels.compile import compiled
from taurec.kernels.hop.matrix import Csr
from taurec.kernels.lanes import fma, load, prefetch, splat, store, zeros

#: Edges times width of one task.
TASK = 1 << 21
_EMPTY, _NO_ROWS = np.empty(0, np.float32), np.empty(0, np.int64)
#: Edges between the prefetch of a row and its use. All positions are unsigned: for a signed index numba checks whether
#: it counts from the end, which costs a quarter of the hop's time.
AHEAD, ONE = np.uint64(16), np.uint64(1)


def product(
    matrix: Csr,
    x: Tensor,
    rows: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    keep: bool = True,
) -> tuple[Tensor, Tensor]:
    """``y = A x`` (if ``keep``) and ``scale (base + y)`` (if ``base`` [R, D] is given), in one pass.

    Returns: the two tables, [R, D], or [K, D] with ``rows``; a table that was not requested is empty.
    """
    indptr, indices, values = (t.numpy() for t in matrix)
    n, dim = len(indptr) - 1 if rows is None else len(rows), x.shape[1]
    out, total = torch.empty(n if keep else 0, dim), torch.empty(n if base is not None else 0, dim)
    at = _NO_ROWS if rows is None else rows.numpy()
    given, added = _flat(x), _EMPTY if base is None else _flat(base)
    loop, written, cuts = compiled("hop", "hop_rows"), (_flat(out), _flat(total)), tasks(matrix, rows, dim)
    valid = [True] * (len(cuts) - 1)

    def task(t: int) -> None:
        valid[t] = loop(
            indptr, indices, values, given, dim, at, cuts[t], cuts[t + 1], written[0], added, scale, written[1]
        )

    if n and dim:
        pool.run(task, len(valid))
    if not all(valid):
        raise IndexError(f"column indices must be in 0..{len(x) - 1}, got up to {int(indices.max())}")
    return out, total


def spread(matrix: Csr, transpose: Csr, g: Tensor, rows: Tensor, columns: int, out: Tensor | None = None) -> Tensor:
    """``A[rows]^T g`` [columns, D]: one thread sums each block of columns, over the rows in ascending order.

    The result is written into ``out`` if that is given. The transpose is not read.
    """
    indptr, indices, values = (t.numpy() for t in matrix)
    out = torch.empty(columns, g.shape[1]) if out is None else out
    dim, blocks = g.shape[1], max(1, min(torch.get_num_threads(), columns))
    tasks(matrix, None, dim)
    loop, given, at, into = compiled("hop", "hop_back"), _flat(g), rows.numpy(), _flat(out)
    cuts, valid = [columns * t // blocks for t in range(blocks + 1)], [True] * blocks

    def task(t: int) -> None:
        valid[t] = loop(indptr, indices, values, given, dim, at, cuts[t], cuts[t + 1], into)

    if columns and dim:
        pool.run(task, blocks)
    if not all(valid):
        raise IndexError(f"column indices must ascend in each row and be in 0..{columns - 1}")
    return out


def tasks(matrix: Csr, rows: Tensor | None, dim: int) -> list[int]:
    """The first row of each task and the end of the last one; tasks have nearly equal numbers of edges.

    Raises: IndexError if indptr does not ascend over all edges.
    """
    indptr = matrix.indptr.numpy()
    if indptr[0] != 0 or indptr[-1] != len(matrix.indices) or (indptr[1:] < indptr[:-1]).any():
        raise IndexError(f"indptr must ascend from 0 to the number of edges, {len(matrix.indices)}")
    before = indptr
    if rows is not None:
        at = rows.numpy()
        before = np.concatenate([[0], np.cumsum(indptr[at + 1] - indptr[at], dtype=np.int64)])
    n, edges = len(before) - 1, int(before[-1])
    count = 1 if torch.get_num_threads() == 1 else max(1, min(n, edges * dim // TASK))
    inner = np.searchsorted(before, [edges * t // count for t in range(1, count)])
    return [0, *(int(c) for c in inner), n]


def _flat(table: Tensor) -> np.ndarray:
    return table.detach().view(-1).numpy()


@njit
def _sum(like, indices, values, x, dim, d, first, last, end, s, out, r, base, scale, total):
    vector = like
    for p in range(first, last):
        prefetch(like, x, np.int64(indices[min(p + AHEAD, end)]) * dim + d)
        vector = fma(splat(like, values[p]), load(like, x, np.int64(indices[p]) * dim + d), vector)
    if len(out) > 0:
        store(vector, out, s * dim + d)
    if len(total) > 0:
        vector = fma(splat(like, np.float32(1)), load(like, base, r * dim + d), vector)
        store(fma(splat(like, scale), vector, like), total, s * dim + d)


@njit
def outside(indptr, indices, rows, lo, hi, dim, size):
    """Whether an index of the rows lies outside a flat table of ``size`` entries."""
    top = np.uint32(0)
    if len(rows) == 0:
        for p in range(np.uint64(indptr[lo]), np.uint64(indptr[hi])):
            top = max(top, np.uint32(indices[p]))
    else:
        for s in range(lo, hi):
            for p in range(np.uint64(indptr[rows[s]]), np.uint64(indptr[rows[s] + 1])):
                top = max(top, np.uint32(indices[p]))
    return top > 0 and np.int64(top) * dim >= size


def hop_rows(indptr, indices, values, x, dim, rows, lo, hi, out, base, scale, total):
    """Rows of ``A x``: ``y = sum_p values[p] x[indices[p]]`` over row r = rows[s] for s in lo..hi-1.

    Args:
        x: flat [columns * dim].
        rows: r for each s; if empty, r = s.
        out: flat, row s receives y; or empty.
        base, total: flat, row s of total receives ``scale (base[r] + y)``; or total is empty. They may be one array.
    Returns: False if an index lies outside x; nothing is written then.
    """
    everywhere = len(rows) == 0
    if outside(indptr, indices, rows, lo, hi, dim, len(x)):
        return False
    end = np.uint64(indptr[hi]) - ONE
    for s in range(lo, hi):
        r = s if everywhere else rows[s]
        first, last, d = np.uint64(indptr[r]), np.uint64(indptr[r + 1]), 0
        ahead = end if everywhere else last - ONE
        while d + 64 <= dim:
            _sum(zeros(64), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 64
        while d + 16 <= dim:
            _sum(zeros(16), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 16
        while d + 4 <= dim:
            _sum(zeros(4), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 4
        while d < dim:
            _sum(zeros(1), indices, values, x, dim, d, first, last, ahead, s, out, r, base, scale, total)
            d += 1
    return True


@njit
def _spread(like, indices, values, g, dim, d, first, last, s, out):
    vector = load(like, g, s * dim + d)
    for p in range(first, last):
        prefetch(like, out, np.int64(indices[min(p + AHEAD, last - 1)]) * dim + d)
        at = np.int64(indices[p]) * dim + d
        store(fma(splat(like, values[p]), vector, load(like, out, at)), out, at)


@njit
def _from(indices, first, last, column):
    """The first position in first..last whose index is at least ``column``, by binary search."""
    while first < last:
        mid = (first + last) >> 1
        if indices[mid] < column:
            first = mid + 1
        else:
            last = mid
    return first


def hop_back(indptr, indices, values, g, dim, rows, lo, hi, out):
    """Rows lo..hi-1 of ``A^T g``: ``out[c] = sum over s, p with indices[p] = c of values[p] g[s]``, s ascending.

    Args:
        g: flat [len(rows) * dim]; row s belongs to row ``rows[s]`` of the matrix.
        out: flat [columns * dim].
    Returns: False if an index lies outside out or the indices of a row do not ascend.
    """
    out[lo * dim : hi * dim] = 0
    for s in range(len(rows)):
        begin, end = np.int64(indptr[rows[s]]), np.int64(indptr[rows[s] + 1])
        first = _from(indices, begin, end, lo)
        last = _from(indices, first, end, hi)
        for p in range(first, last):
            if indices[p] < lo or indices[p] >= hi:
                return False
        if hi * dim == len(out) and last < end:
            return False
        d = 0
        while d + 64 <= dim:
            _spread(zeros(64), indices, values, g, dim, d, first, last, s, out)
            d += 64
        while d + 16 <= dim:
            _spread(zeros(16), indices, values, g, dim, d, first, last, s, out)
            d += 16
        while d + 4 <= dim:
            _spread(zeros(4), indices, values, g, dim, d, first, last, s, out)
            d += 4
        while d < dim:
            _spread(zeros(1), indices, values, g, dim, d, first, last, s, out)
            d += 1
    return True


_F, _F1, _I1, _L1, _N = types.float32, types.float32[::1], types.int32[::1], types.int64[::1], types.int64

SIGNATURES = {
    hop_rows: types.boolean(_I1, _I1, _F1, _F1, _N, _L1, _N, _N, _F1, _F1, _F, _F1),
    hop_back: types.boolean(_I1, _I1, _F1, _F1, _N, _L1, _N, _N, _F1),
}
