"""The exact K best columns of each row, of scores [b, I] or of the products of two tables.

Each row keeps a heap of its K best so far, and only what is not below the worst of them is looked at: of a row's I
scores in random order about K log(I / K) enter. From two tables the products are compared while they are in
registers and never stored, so memory does not depend on users times items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.kernels import available, pool
from taurec.kernels.compile import kernel

#: Users times items below which a caller is better off without: less work than starting the compiler is worth.
WORTH = 1 << 22
#: Users of one task: their vectors stay in the second-level cache while the items pass by.
ROWS = 256
PANEL = 64
_NONE, _NO_MARKS = np.empty(0, np.int64), np.empty(0, np.bool_)

Index = NDArray[np.int64]
Ranks = Callable[[], Index]


class Best(NamedTuple):
    """What was found.

    Attributes:
        items, scores: [b, k] best first; -1 and -inf after the end of a list that is short.
        bad: the first row with a score that is NaN or +inf, the item, and the score; None if there is none.
    """

    items: Index
    scores: NDArray[np.float32]
    bad: tuple[int, int, float] | None


def usable() -> bool:
    """Whether the loops can be compiled here."""
    return available()["numba"] == "ok"


def best_of_scores(
    scores: Tensor,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: NDArray[np.bool_] | None = None,
) -> Best:
    """The k best items of each row: by score descending, then by ``ranks`` ascending.

    Args:
        scores: [b, I] float32, contiguous.
        users: [b] the row of ``seen`` that each row of scores belongs to.
        ranks: gives [I] places in the order that settles ties; asked for only where a tie matters.
        seen: (indptr [U + 1], indices) of items that do not appear in a user's list, ascending in each row.
        banned: [I] items that appear in no list.

    >>> scores = torch.tensor([[3.0, 1.0, 2.0, 3.0]])
    >>> best_of_scores(scores, np.array([0]), 2, lambda: np.array([3, 2, 1, 0])).items.tolist()
    [[3, 0]]
    """
    rows = max(1, min(ROWS, -(-len(users) // (2 * torch.get_num_threads()))))
    return _best(kernel("scan"), (scores.numpy(),), users, k, ranks, seen, banned, rows)


def packed(item: Tensor) -> NDArray[np.float32]:
    """The items [I, D] in panels of 64, column by column, flat: what :func:`best_of_tables` reads."""
    n, dim = item.shape
    panels = item.new_zeros(-(-n // PANEL) * PANEL, dim)
    panels[:n] = item
    flat: NDArray[np.float32] = panels.view(-1, PANEL, dim).transpose(1, 2).contiguous().view(-1).numpy()
    return flat


def best_of_tables(
    user: Tensor,
    items: NDArray[np.float32],
    n_items: int,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: NDArray[np.bool_] | None = None,
) -> Best:
    """As :func:`best_of_scores`, of ``user[users] @ item.T``, each score summed over the columns in order.

    Args:
        user: [U, D] float32, contiguous.
        items: :func:`packed` of [I, D].
        n_items: I.
    """
    tables = user.view(-1).numpy(), user.shape[1], items, n_items
    return _best(kernel("walk"), tables, users, k, ranks, seen, banned, ROWS)


def _best(
    loop: Callable[..., None],
    source: tuple[Any, ...],
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None,
    banned: NDArray[np.bool_] | None,
    rows: int,
) -> Best:
    b, arrange = len(users), kernel("arrange")
    scores, items = np.empty((b, k), np.float32), np.empty((b, k), np.int64)
    ties, bad, bad_score = np.empty(b, np.bool_), np.empty(b, np.int64), np.empty(b, np.float32)
    at = np.empty(b, np.int64)
    indptr, indices = (_NONE, _NONE) if seen is None else seen
    marks = _NO_MARKS if banned is None else banned

    def task(lo: int, order: Index) -> None:
        hi = min(lo + rows, b)
        span = slice(lo, hi)
        scores[span], items[span], ties[span], bad[span] = -np.inf, -1, False, -1
        at[span] = indptr[users[span]] if len(indices) else 0
        given = users, indptr, indices, at, marks, order, lo, hi
        loop(*source, *given, scores, items, ties, bad, bad_score)
        arrange(order, lo, hi, scores, items, ties)

    pool.run(lambda t: task(t * rows, _NONE), -(-b // rows))
    again = np.unique(np.flatnonzero(ties) // rows)
    if len(again):
        order = ranks()
        pool.run(lambda t: task(int(again[t]) * rows, order), len(again))
    wrong = [(int(r), int(bad[r]), float(bad_score[r])) for r in np.flatnonzero(bad >= 0)[:1]]
    return Best(items, scores, wrong[0] if wrong else None)
