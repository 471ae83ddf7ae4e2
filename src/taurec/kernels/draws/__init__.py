"""Uniform ids of negatives from the counter-based generator, and which ids are among a user's known items.

Kernels: ``torch`` (here numpy) and ``numba``, which give the same values, so a result does not show which one ran. On a
GPU ``triton.py`` draws the same ids; :meth:`taurec.sampling.per_row.PerRow.on` calls it directly, since its arrays are
on the GPU. The selection depends on ``(n_ids, n_items)``: the number of ids in the call, and the size of the catalogue.
The lower bound is the time to write the ids once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taurec.kernels import Operation, select

__all__ = ["OPERATION", "WORTH", "member", "uniform_ids", "uniform_ids_without"]

#: Number of ids in a call below which ``auto`` uses numpy: starting the compiler would take longer.
WORTH = 1 << 14


def uniform_ids(
    stream: int, rows: ArrayLike, n_items: int, n: int, start: int = 0, *, kernel: str = "auto"
) -> NDArray[np.int64]:
    """Uniform ids, equal to ``draw.integers(stream, rows, n_items, n, start)``, on torch's number of threads.

    Args:
        stream: a value of :func:`taurec.draw.key`.
        rows: [B] integers that identify the rows.
        n_items: ids are in 0..n_items-1.
        n: ids per row.
        start: first column.
        kernel: ``auto``, ``numba`` or ``torch``; the values are the same.
    Returns: [B, n] int64.

    >>> from taurec import draw
    >>> bool((uniform_ids(7, [1, 2], 100, 5) == draw.integers(7, [1, 2], 100, 5)).all())
    True
    """
    ids = np.asarray(rows, np.int64)
    by = select("draws", ids.size * n, n_items, kernel=kernel).kernel
    drawn: NDArray[np.int64] = by.uniform_ids(stream, ids, n_items, n, start)
    return drawn


def uniform_ids_without(
    stream: int,
    rows: NDArray[np.int64],
    n_items: int,
    n: int,
    user: NDArray[np.int64],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    rounds: int,
    *,
    kernel: str = "auto",
) -> NDArray[np.int64]:
    """Uniform ids without the items of the row's user.

    Id c of a row is drawn at column c of :func:`uniform_ids`. While it is an item of the user, it is drawn again at
    column c + k * n, with k < ``rounds``.

    Args:
        stream, rows, n_items, n: as in :func:`uniform_ids`.
        user: [B] the user of each row.
        indptr, indices: the items of each user, CSR.
        rounds: maximum number of columns tried for an id.
        kernel: ``auto``, ``numba`` or ``torch``; the values are the same.
    Returns: [B, n] ids, -1 where all rounds drew an item of the user.

    >>> rows, user, indptr, indices = np.arange(8192), np.zeros(8192, np.int64), np.array([0, 2]), np.array([1, 3])
    >>> np.unique(uniform_ids_without(7, rows, 4, 2, user, indptr, indices, 30)).tolist()
    [0, 2]
    """
    by = select("draws", rows.size * n, n_items, kernel=kernel).kernel
    drawn: NDArray[np.int64] = by.uniform_ids_without(stream, rows, n_items, n, user, indptr, indices, rounds)
    return drawn


def member(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    n_items: int,
    user: NDArray[np.int64],
    ids: NDArray[np.int64],
    *,
    kernel: str = "auto",
) -> NDArray[np.bool_]:
    """Which ids are among the items of the row's user.

    Args:
        indptr, indices: the items of each user, CSR.
        n_items: ids are in 0..n_items-1.
        user: [B] the user of each row.
        ids: [B, N] separate ids for each row, or [N] the same for all rows.
        kernel: ``auto``, ``numba`` or ``torch``; the values are the same.
    Returns: [B, N].

    >>> indptr, indices = np.array([0, 2]), np.array([1, 3])
    >>> member(indptr, indices, 4, np.zeros(1, np.int64), np.array([0, 1, 3])).tolist()
    [[False, True, True]]
    """
    by = select("draws", len(user) * ids.shape[-1], n_items, kernel=kernel).kernel
    found: NDArray[np.bool_] = by.member(indptr, indices, n_items, user, ids)
    return found


def _misfit(kernel: str, n_ids: int, n_items: int) -> str:
    if kernel == "triton":
        return "these arrays are on the CPU"
    return "" if 0 < n_items < 1 << 32 else f"it needs 1 to 2^32 - 1 items, got {n_items}"


def _small(n_ids: int, n_items: int) -> bool:
    return n_ids < WORTH


OPERATION = Operation(_misfit, _small)
