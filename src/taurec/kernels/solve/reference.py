"""The least-squares systems by LAPACK, one row after another: the reference implementation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Index = NDArray[np.int64]
Double = NDArray[np.float64]


def solve(
    indptr: Index,
    indices: Index,
    factors: Double,
    spread: Double,
    axes: Double,
    ridge: Double,
    times: Double,
    shift: Double,
) -> Double:
    """See :func:`taurec.kernels.solve.solve_rows`."""
    out = np.zeros((len(indptr) - 1, factors.shape[1]))
    for r in range(len(out)):
        h = factors[indices[indptr[r] : indptr[r + 1]]]
        diagonal = times[r] * spread + ridge[r]
        if len(h) or diagonal.all():
            out[r] = np.linalg.solve(h.T @ h + np.diag(diagonal), h.sum(0) + times[r] * shift) @ axes
    return out


def solve_near(
    items: Index,
    by_user: tuple[Index, Index],
    by_item: tuple[Index, Index],
    weight: Double,
    diagonal: Double,
    l2: float,
    fill: bool,
    near: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """See :func:`taurec.kernels.solve.solve_neighbours`; ``diagonal`` is of G, ``near`` and ``out`` are written."""
    n_users, n_items, k = len(weight), len(diagonal), near.shape[1]
    x = csr_array((np.repeat(weight, np.diff(by_user[0])), by_user[1], by_user[0]), shape=(n_users, n_items))
    columns = csr_array((np.ones(len(by_item[1])), by_item[1], by_item[0]), shape=(n_items, n_users))
    for row, j in enumerate(items):
        common = (columns[[j]] @ x).toarray()[0]
        others = np.flatnonzero((common > 0) & (np.arange(n_items) != j))
        close = common[others] * common[others] / diagonal[others]
        chosen = np.sort(others[np.lexsort((others, -close))][:k])
        if fill:
            rest = np.flatnonzero((common == 0) & (np.arange(n_items) != j))
            chosen = np.sort(np.concatenate([chosen, rest[: k - len(chosen)]]))
        n = len(chosen)
        gram = (csr_array(columns[chosen] * weight) @ columns[chosen].T).toarray()
        near[row, :n] = chosen
        out[row, :n] = np.linalg.solve(gram + l2 * np.eye(n), common[chosen])
