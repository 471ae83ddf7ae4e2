"""The exact K best columns of each row, over tiles of scores that are read while they are in the cache.

Each row keeps a heap of its K best so far. A tile is compared with the worst of them, 64 scores at a time, and
only what is not below it is looked at one by one: of a row's I scores in random order about K log(I / K) enter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.kernels import available, pool
from taurec.kernels.compile import kernel

#: Users times items below which a caller is better off without: less work than starting the compiler is worth.
WORTH = 1 << 22
_NONE, _NO_MARKS = np.empty(0, np.int64), np.empty(0, np.bool_)

Index = NDArray[np.int64]


class Best(NamedTuple):
    """What was found in the tiles.

    Attributes:
        items, scores: [b, k] best first; -1 and -inf after the end of a list that is short.
        tied: whether the order of equal scores mattered and there were no ``ranks`` to settle it. The lists of
            such rows are then one of several possible.
        bad: the first row with a score that is NaN or +inf, the item, and the score; None if there is none.
    """

    items: Index
    scores: NDArray[np.float32]
    tied: bool
    bad: tuple[int, int, float] | None


def usable() -> bool:
    """Whether the loops can be compiled here."""
    return available()["numba"] == "ok"


def best_of_tiles(
    tiles: Iterable[tuple[int, Tensor]],
    users: Index,
    k: int,
    seen: tuple[Index, Index] | None = None,
    banned: NDArray[np.bool_] | None = None,
    ranks: Index | None = None,
) -> Best:
    """The k best items of each row: by score descending, then by ``ranks`` ascending.

    Args:
        tiles: (first item, scores [b, w] float32 contiguous), which cover the items in ascending order. A tile is
            written to, and may be overwritten by the next.
        users: [b] the row of ``seen`` that each row of scores belongs to.
        seen: (indptr [U + 1], indices) of items that do not appear in a user's list, ascending in each row.
        banned: [I] items that appear in no list.
        ranks: [I] places in the order that settles ties.

    >>> tile = torch.tensor([[3.0, 1.0, 2.0, 3.0]])
    >>> best_of_tiles([(0, tile)], np.array([0]), 2, ranks=np.array([3, 2, 1, 0])).items.tolist()
    [[3, 0]]
    """
    b = len(users)
    scores, items = np.full((b, k), -np.inf, np.float32), np.full((b, k), -1, np.int64)
    ties, bad, bad_score = np.zeros(b, np.bool_), np.full(b, -1, np.int64), np.empty(b, np.float32)
    indptr, indices = (_NONE, _NONE) if seen is None else seen
    at = indptr[users] if len(indices) else _NONE
    marks, order = _NO_MARKS if banned is None else banned, _NONE if ranks is None else ranks
    scan, arrange, size = kernel("scan"), kernel("arrange"), max(1, -(-b // (4 * torch.get_num_threads())))
    spans = [(lo, min(lo + size, b)) for lo in range(0, b, size)]
    for first, tile in tiles:
        given = tile.numpy(), first, users, indptr, indices, at, marks, order
        pool.run(functools.partial(_task, scan, given, spans, (scores, items, ties, bad, bad_score)), len(spans))
    pool.run(functools.partial(_task, arrange, (order,), spans, (scores, items, ties)), len(spans))
    wrong = [(int(r), int(bad[r]), float(bad_score[r])) for r in np.flatnonzero(bad >= 0)[:1]]
    return Best(items, scores, bool(ties.any()), wrong[0] if wrong else None)


def _task(loop: Callable[..., None], given: tuple[Any, ...], spans: list[tuple[int, int]], out: Any, t: int) -> None:
    loop(*given, *spans[t], *out)
