"""One hop along the edges of a graph: a sparse matrix in CSR times a dense table, whole or at some rows.

``torch`` is torch's sparse product and runs anywhere. ``numba`` is compiled for this CPU (float32, int32 indices)
and works through blocks of rows with about as many edges each; its bits do not depend on the number of threads.
``triton`` is the same on a GPU.

The compiled product streams the values of the matrix although those of D^-1/2 A D^-1/2 are products of a row's and
a column's factor: leaving them out gained nothing measurable (4 of the 260 bytes that an edge costs at width 64).
"""

from __future__ import annotations

import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from taurec.errors import UsageError, did_you_mean
from taurec.kernels import NAMES, WORTH, available, pool, triton_misfit
from taurec.kernels.compile import kernel as compiled

#: Edges times width of one task of several.
TASK = 1 << 21
_EMPTY, _NO_ROWS = np.empty(0, np.float32), np.empty(0, np.int64)


class Csr(NamedTuple):
    """A sparse matrix: row r has ``values[p]`` at column ``indices[p]`` for p in indptr[r]..indptr[r + 1] - 1.

    Attributes:
        indptr: [R + 1]; indices: [nnz], ascending in each row; values: [nnz].
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor

    def torch(self, columns: int) -> Tensor:
        """The same as a torch sparse CSR tensor, sharing the arrays."""
        _hear_of_beta()
        return torch.sparse_csr_tensor(*self, (len(self.indptr) - 1, columns), check_invariants=False)


@functools.cache
def _hear_of_beta() -> None:
    """torch says once a process that sparse CSR is in beta; our users need not read it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        torch.sparse_csr_tensor(torch.tensor([0]), torch.tensor([]), torch.tensor([]), (0, 0), check_invariants=False)


def hop(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    x: Tensor,
    *,
    transpose: tuple[Tensor, Tensor, Tensor] | None = None,
    rows: Tensor | None = None,
    kernel: str = "auto",
) -> Tensor:
    """``y = A x``, or only some rows of it; differentiable in x, where the gradient is ``A^T g``.

    Args:
        indptr, indices, values: A [R, C] in CSR, indices ascending in each row; no gradient flows into values.
        x: [C, D].
        transpose: A^T in CSR; None says that A is symmetric.
        rows: [K] int64, distinct and ascending; y then has these rows alone.
        kernel: ``auto``, ``numba`` (float32 on CPU), ``triton`` (float32 on a GPU) or ``torch``.
    Returns: [R, D], or [K, D] with ``rows``.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call; IndexError for indices
        outside A or x.

    >>> indptr, indices, values = torch.tensor([0, 1, 3]), torch.tensor([1, 0, 1]), torch.tensor([2.0, 2.0, 5.0])
    >>> hop(indptr, indices, values, torch.tensor([[1.0], [10.0]]))
    tensor([[20.],
            [52.]])
    >>> hop(indptr, indices, values, torch.tensor([[1.0], [10.0]]), rows=torch.tensor([1]))
    tensor([[52.]])
    """
    matrix = Csr(indptr, indices, values)
    name = chosen(matrix, x, kernel)
    if transpose is None and len(indptr) - 1 != len(x):
        raise UsageError(f"a symmetric matrix is square, got {len(indptr) - 1} rows and x with {len(x)}")
    if rows is not None:
        check_rows(rows, len(indptr) - 1)
    other = matrix if transpose is None else Csr(*transpose)
    y: Tensor = _Hop.apply(x.contiguous(), matrix, other, rows, name)  # type: ignore[no-untyped-call]
    return y


def chosen(matrix: Csr, x: Tensor, kernel: str = "auto") -> str:
    """The name of the kernel that a call with these arguments runs.

    Raises: UsageError for an unknown name, shapes that disagree, or a named kernel that cannot serve these arguments.
    """
    if kernel not in NAMES:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(kernel, NAMES)}")
    indptr, indices, values = matrix
    if x.ndim != 2 or indptr.ndim != 1 or len(indptr) < 1 or indices.ndim != 1 or indices.shape != values.shape:
        shapes = f"{tuple(indptr.shape)}, {tuple(indices.shape)}, {tuple(values.shape)}, {tuple(x.shape)}"
        raise UsageError(f"hop takes indptr [R + 1], indices [nnz], values [nnz], x [C, D]; got {shapes}")
    if kernel == "torch":
        return "torch"
    if kernel == "triton" or (kernel == "auto" and x.device.type == "cuda"):
        reason = _types_misfit(matrix, x) or triton_misfit(*matrix, x)
        if reason and kernel == "triton":
            raise UsageError(f"kernel 'triton' cannot serve this call: {reason}; use kernel='torch' or 'auto'")
        return "torch" if reason else "triton"
    reason = _misfit(matrix, x)
    if kernel == "auto" and (reason or indices.numel() * x.shape[1] < WORTH):
        return "torch"
    state = reason or available()["numba"]
    if state == "ok":
        return "numba"
    if kernel == "auto":
        return "torch"
    raise UsageError(f"kernel 'numba' cannot serve this call: {state}; use kernel='torch' or 'auto'")


def _misfit(matrix: Csr, x: Tensor) -> str:
    if {t.device.type for t in (*matrix, x)} != {"cpu"}:
        return f"it needs CPU tensors, got {', '.join(sorted({str(t.device) for t in (*matrix, x)}))}"
    return _types_misfit(matrix, x)


def _types_misfit(matrix: Csr, x: Tensor) -> str:
    if x.dtype != torch.float32 or matrix.values.dtype != torch.float32:
        return f"it needs float32 values, got {matrix.values.dtype} and {x.dtype}"
    if {matrix.indptr.dtype, matrix.indices.dtype} != {torch.int32}:
        return f"it needs int32 indices, got {matrix.indptr.dtype} and {matrix.indices.dtype}"
    return ""


def check_rows(rows: Tensor, n: int) -> None:
    """Refuse rows that are not int64, distinct, ascending and in 0..n-1."""
    if rows.dtype != torch.int64 or rows.ndim != 1:
        raise UsageError(f"rows must be [K] int64, got {list(rows.shape)} {rows.dtype}")
    if len(rows) and (int(rows[0]) < 0 or int(rows[-1]) >= n or not bool((rows[1:] > rows[:-1]).all())):
        raise IndexError(f"rows must be distinct, ascending and in 0..{n - 1}")


class _Hop(torch.autograd.Function):
    """``A x`` or rows of it; ``other`` is A^T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Csr, other: Csr, rows: Tensor | None, name: str) -> Tensor:
        ctx.plan = matrix, other, rows, name, len(x)
        if name != "torch":
            return product(matrix, x, rows, name=name)[0]
        y = matrix.torch(len(x)) @ x
        return y if rows is None else y.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        matrix, other, rows, name, _ = ctx.plan
        function, more = (_Hop, (other, matrix, None, name)) if rows is None else (_Back, ctx.plan)
        return function.apply(grads[0].contiguous(), *more), None, None, None, None  # type: ignore[no-untyped-call]


class _Back(torch.autograd.Function):
    """``A[rows]^T g``, the gradient of the rows of a hop."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, matrix: Csr, other: Csr, rows: Tensor, name: str, columns: int) -> Tensor:
        ctx.plan = matrix, other, rows, name
        if name == "numba":
            return spread(matrix, g, rows, columns)
        if name == "triton":
            return _on_gpu().spread(other, g, rows, len(matrix.indptr) - 1)
        full = g.new_zeros(len(matrix.indptr) - 1, g.shape[1]).index_copy_(0, rows, g)
        return other.torch(len(full)) @ full

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        return (_Hop.apply(grads[0].contiguous(), *ctx.plan), *[None] * 5)  # type: ignore[no-untyped-call]


# --- the compiled products ------------------------------------------------------------------------


def product(
    matrix: Csr,
    x: Tensor,
    rows: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    keep: bool = True,
    name: str = "numba",
) -> tuple[Tensor, Tensor]:
    """``y = A x`` (if ``keep``) and ``scale (base + y)`` (if ``base`` [R, D] is given), in one pass.

    Args:
        name: ``numba`` or ``triton``.
    Returns: both, [R, D], or [K, D] with ``rows``; what was not asked for is empty.
    """
    if name == "triton":
        return _on_gpu().product(matrix, x, rows, base, scale, keep)
    indptr, indices, values = (t.numpy() for t in matrix)
    n, dim = len(indptr) - 1 if rows is None else len(rows), x.shape[1]
    out, total = torch.empty(n if keep else 0, dim), torch.empty(n if base is not None else 0, dim)
    at = _NO_ROWS if rows is None else rows.numpy()
    given, added = _flat(x), _EMPTY if base is None else _flat(base)
    loop, written, cuts = compiled("hop_rows"), (_flat(out), _flat(total)), tasks(matrix, rows, dim)
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


def spread(
    matrix: Csr, g: Tensor, rows: Tensor, columns: int, out: Tensor | None = None, name: str = "numba"
) -> Tensor:
    """``A[rows]^T g`` [columns, D]: each block of columns is summed by one thread, its rows in ascending order.

    Written into ``out`` where it is given. With ``triton`` A is symmetric.
    """
    if name == "triton":
        return _on_gpu().spread(matrix, g, rows, columns)
    indptr, indices, values = (t.numpy() for t in matrix)
    out = torch.empty(columns, g.shape[1]) if out is None else out
    dim, blocks = g.shape[1], max(1, min(torch.get_num_threads(), columns))
    tasks(matrix, None, dim)
    loop, given, at, into = compiled("hop_back"), _flat(g), rows.numpy(), _flat(out)
    cuts, valid = [columns * t // blocks for t in range(blocks + 1)], [True] * blocks

    def task(t: int) -> None:
        valid[t] = loop(indptr, indices, values, given, dim, at, cuts[t], cuts[t + 1], into)

    if columns and dim:
        pool.run(task, blocks)
    if not all(valid):
        raise IndexError(f"column indices must ascend in each row and be in 0..{columns - 1}")
    return out


def tasks(matrix: Csr, rows: Tensor | None, dim: int) -> list[int]:
    """Borders of tasks with about as many edges each, over all rows or some.

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


def _on_gpu() -> Any:
    from taurec.kernels import gpu_hop

    return gpu_hop


def _flat(table: Tensor) -> np.ndarray:
    return table.detach().view(-1).numpy()
