"""Draws of negatives and membership in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taurec import draw

Index = NDArray[np.int64]
#: Bytes of the membership table that is filled, read and cleared block by block.
CELLS = 1 << 21


def uniform_ids(stream: int, rows: Index, n_items: int, n: int, start: int) -> Index:
    """See :func:`taurec.kernels.draws.uniform_ids`."""
    return draw.integers(stream, rows, n_items, n, start)


def uniform_ids_without(
    stream: int, rows: Index, n_items: int, n: int, user: Index, indptr: Index, indices: Index, rounds: int
) -> Index:
    """See :func:`taurec.kernels.draws.uniform_ids_without`."""
    ids = draw.integers(stream, rows, n_items, n)
    b, c = np.nonzero(member(indptr, indices, n_items, user, ids))
    for attempt in range(1, rounds):
        if not len(b):
            return ids
        again = draw.below(draw.cells(stream, rows[b], c + attempt * n), n_items)
        ids[b, c] = again
        refused = member(indptr, indices, n_items, user[b], again[:, None])[:, 0]
        b, c = b[refused], c[refused]
    ids[b, c] = -1
    return ids


def member(indptr: Index, indices: Index, n_items: int, user: Index, ids: Index) -> NDArray[np.bool_]:
    """See :func:`taurec.kernels.draws.member`."""
    out = np.empty((len(user), ids.shape[-1]), dtype=bool)
    block = max(1, CELLS // max(n_items, 1))
    table = np.zeros((min(block, len(user)), n_items), dtype=bool)
    flat = table.reshape(-1)
    starts = np.arange(len(table))[:, None] * n_items
    for first in range(0, len(user), block):
        rows = slice(first, min(first + block, len(user)))
        marks = cells(indptr, indices, n_items, user[rows])
        flat[marks] = True
        wanted = ids[None, :] if ids.ndim == 1 else ids[rows]
        np.take(flat, wanted + starts[: rows.stop - first], out=out[rows], mode="clip")
        flat[marks] = False
    return out


def cells(indptr: Index, indices: Index, n_items: int, user: Index) -> Index:
    """Flat positions, in a table [B, I], of the items of each row's user, in the order of ``indices``."""
    start, count = indptr[user], indptr[user + 1] - indptr[user]
    at = np.repeat(start - (np.cumsum(count) - count), count) + np.arange(count.sum())
    positions: Index = np.repeat(np.arange(len(user)) * n_items, count) + indices[at]
    return positions
