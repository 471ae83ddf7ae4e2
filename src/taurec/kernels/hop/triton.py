# mypy: ignore-errors
"""The hop on a GPU by a Triton kernel: each program computes one row, summed over its edges in stored order."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from taurec.kernels.hop.matrix import Csr

BLOCK = 16


@triton.jit
def _hop(
    indptr, indices, values, x, rows, base, out, total, dim, scale,
    SOME: tl.constexpr, BASE: tl.constexpr, KEEP: tl.constexpr, N: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    s, d = tl.program_id(0).to(tl.int64), tl.arange(0, D)
    r = s
    if SOME:
        r = tl.load(rows + s)
    first, last = tl.load(indptr + r), tl.load(indptr + r + 1)
    sums = tl.zeros([N, D], tl.float32)
    for start in range(first, last, N):
        at = start + tl.arange(0, N)
        i = tl.load(indices + at, mask=at < last, other=0).to(tl.int64)
        w = tl.load(values + at, mask=at < last, other=0.0)
        v = tl.load(x + i[:, None] * dim + d[None, :], mask=(at < last)[:, None] & (d < dim)[None, :], other=0.0)
        sums += v * w[:, None]
    y = tl.sum(sums, 0)
    if KEEP:
        tl.store(out + s * dim + d, y, mask=d < dim)
    if BASE:
        b = tl.load(base + r * dim + d, mask=d < dim, other=0.0)
        tl.store(total + s * dim + d, scale * (b + y), mask=d < dim)


def product(
    matrix: Csr,
    x: Tensor,
    rows: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    keep: bool = True,
) -> tuple[Tensor, Tensor]:
    """As :func:`taurec.kernels.hop.reference.product`; indices are not checked."""
    indptr, indices, values = matrix
    n, dim = len(indptr) - 1 if rows is None else len(rows), x.shape[1]
    out, total = x.new_empty(n if keep else 0, dim), x.new_empty(n if base is not None else 0, dim)
    if n and dim:
        _hop[(n,)](
            indptr, indices, values, x, indptr if rows is None else rows, x if base is None else base, out, total,
            dim, scale, rows is not None, base is not None, keep, BLOCK, triton.next_power_of_2(dim),
        )  # fmt: skip
    return out, total


def spread(matrix: Csr, transpose: Csr, g: Tensor, rows: Tensor, columns: int) -> Tensor:
    """``A[rows]^T g`` [columns, D]: the transpose times a table that holds g at ``rows`` and 0 elsewhere."""
    full = g.new_zeros(len(matrix.indptr) - 1, g.shape[1]).index_copy_(0, rows, g)
    return product(transpose, full)[0]


_T, _I = "*fp32", "*i32"
SIGNATURES = {
    _hop: (
        (_I, _I, _T, _T, "*i64", _T, _T, _T, "i32", "fp32"),
        {"SOME": True, "BASE": True, "KEEP": True, "N": BLOCK, "D": 64},
    )
}
