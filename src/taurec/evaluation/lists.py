"""The best items of each user over the whole catalogue, in blocks of users that fit a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.topk import block_top_k, tie_ranks
from taurec.ranker import EmbeddingRanker, Ranker

Index = NDArray[np.int64]
Ids = Vocabulary | pl.Series | Sequence[str]
Fill = Callable[[Index, Tensor], None]

MAX_ROWS = 1024
MIN_ROWS = 16
"""A matmul of a few rows sums in another order; with these many a user's scores are the same bits in any block."""

BYTES_A_SCORE = 6
BYTES_A_COPY = 4
BYTES_A_RESULT = 1536


@dataclass(frozen=True, eq=False)
class TopK:
    """Ranked lists, best first; a list that runs out of candidates is short.

    Attributes:
        items: [u, k] int64 item indices, -1 where the list has ended.
        scores: [u, k] float32, -inf where the list has ended.
    """

    items: Index
    scores: NDArray[np.float32]


def top_k(
    ranker: Ranker,
    users: ArrayLike,
    k: int,
    *,
    seen: Interactions | None = None,
    only: ArrayLike | None = None,
    without: ArrayLike | None = None,
    memory_mb: float = 256,
    item_ids: Ids | None = None,
) -> TopK:
    """The k best items of known users: exact, by score, ties by a hash of the raw item id.

    Args:
        ranker: scores every item for a block of users; -inf marks an item that may not be recommended.
        users: [u] user indices, in any order, repeats allowed.
        k: length of the lists; more than there are candidates gives short lists.
        seen: the items in a user's row do not appear in that user's list.
        only, without: item indices that alone may, or may not, appear.
        memory_mb: memory for a block of scores and for selecting from it; at least one user's row is
            scored at a time. The result's own 12 bytes an entry come on top.
        item_ids: raw ids in index order, for the tie rule; else those of ``seen``, else the indices as text.
    Returns: lists in the order of ``users``.
    Raises: UsageError for k below 1, an index outside the ranker, or ``seen`` of another shape;
        NonFiniteError for a score that is NaN or +inf, with the user's index.
    Example:
        >>> ranker = EmbeddingRanker(np.eye(2, dtype="f4"), np.array([[1, 0], [3, 1], [2, 5]], "f4"))
        >>> top_k(ranker, [1, 0], 2).items.tolist(), top_k(ranker, [0], 2, only=[0]).items.tolist()
        ([[2, 1], [1, 2]], [[0, -1]])
    """
    if isinstance(k, bool) or int(k) != k or k < 1:
        raise UsageError(f"k must be a whole number of at least 1, got {k!r}")
    u, n_items = _indices(users, ranker.n_users, "user"), ranker.n_items
    if seen is not None and (seen.n_users, seen.n_items) != (ranker.n_users, n_items):
        raise UsageError(
            f"the seen interactions have {seen.n_users} users and {seen.n_items} items, the ranker "
            f"{ranker.n_users} and {n_items}; both must come from the same log"
        )
    ranks = _tie_order(n_items, seen.items if item_ids is None and seen is not None else item_ids)
    banned = _banned(n_items, only, without)
    fill, copies = _filler(ranker)
    width = min(int(k), n_items)
    rows = block_rows(n_items, width, memory_mb, copies)
    buffer = torch.empty((min(rows, max(len(u), MIN_ROWS)), n_items), dtype=torch.float32)
    items = np.full((len(u), int(k)), -1, dtype=np.int64)
    scores = np.full((len(u), int(k)), -np.inf, dtype=np.float32)
    for start in range(0, len(u) if n_items else 0, rows):
        of = u[start : start + rows]
        fill(of, buffer)
        block = buffer[: len(of)]
        if seen is not None:
            block.view(-1).index_fill_(0, _seen_positions(seen, of), -torch.inf)
        if banned is not None:
            block.index_fill_(1, banned, -torch.inf)
        columns, values = block_top_k(block, width, ranks)
        _refuse_non_finite(values, block, of)
        best = values.numpy()
        scores[start : start + rows, :width] = best
        items[start : start + rows, :width] = np.where(best > -np.inf, columns.numpy(), -1)
    return TopK(items, scores)


def block_rows(n_items: int, k: int, memory_mb: float, copies: bool = False) -> int:
    """How many users to score at once, at most 1,024.

    A score takes 6 bytes (itself, the maxima, the keys of tied rows), 4 more if the ranker's own block is
    ``copies`` of it, and an entry of a list 1.5 KiB of candidates.
    """
    each = (BYTES_A_SCORE + BYTES_A_COPY * copies) * n_items + BYTES_A_RESULT * (k + 1)
    return int(min(max(memory_mb * 2**20 // each, 1), MAX_ROWS))


def _filler(ranker: Ranker) -> tuple[Fill, bool]:
    """What writes the scores of users at the top of a buffer, and whether the ranker makes a block of its own.

    Two embedding tables go straight through torch's matmul into the buffer.
    """
    if isinstance(ranker, EmbeddingRanker) and type(ranker).block is EmbeddingRanker.block:
        user, item = _tensor(ranker.user), _tensor(ranker.item).T

        def multiply(users: Index, buffer: Tensor) -> None:
            rows = np.resize(users, max(len(users), min(MIN_ROWS, len(buffer))))
            torch.mm(user.index_select(0, torch.from_numpy(rows)), item, out=buffer[: len(rows)])

        return multiply, False

    def copy(users: Index, buffer: Tensor) -> None:
        np.copyto(buffer[: len(users)].numpy(), ranker.block(users))

    return copy, True


def _tie_order(n_items: int, ids: Ids | None) -> Callable[[], Tensor]:
    """[I] places in the tie order, worked out when first asked for."""
    if ids is not None and len(ids) != n_items:
        raise UsageError(f"got {len(ids)} item ids for {n_items} items")

    @cache
    def ranks() -> Tensor:
        raw = [str(i) for i in range(n_items)] if ids is None else ids
        return torch.tensor(tie_ranks(raw if isinstance(raw, Vocabulary) else Vocabulary(raw)))

    return ranks


def _seen_positions(seen: Interactions, users: Index) -> Tensor:
    """Flat positions in the users' block [b, I] of the items they have seen."""
    first = seen.indptr[users]
    counts = seen.indptr[users + 1] - first
    row = np.repeat(np.arange(len(users)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return torch.from_numpy(row * seen.n_items + seen.indices[first[row] + within])


def _banned(n_items: int, only: ArrayLike | None, without: ArrayLike | None) -> Tensor | None:
    """The items that may not appear in any list, or None."""
    if only is None and without is None:
        return None
    mask = np.full(n_items, only is not None)
    if only is not None:
        mask[_indices(only, n_items, "item")] = False
    if without is not None:
        mask[_indices(without, n_items, "item")] = True
    return torch.from_numpy(np.flatnonzero(mask))


def _indices(given: ArrayLike, n: int, what: str) -> Index:
    array = np.atleast_1d(np.asarray(given))
    if array.size and array.dtype.kind not in "iu":
        raise UsageError(f"{what} indices must be whole numbers, got {array.dtype}; encode raw ids first")
    index = array.astype(np.int64).ravel()
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = index[(index < 0) | (index >= n)][0]
        raise UsageError(f"{what} index {wrong} is outside 0..{n - 1}")
    return index


def _refuse_non_finite(values: Tensor, block: Tensor, users: Index) -> None:
    """A NaN or +inf always comes first in a selection, so the best value of a row tells."""
    bad = ~(values[:, 0] < torch.inf)
    if bad.any():
        row = int(bad.nonzero()[0])
        item = int((~(block[row] < torch.inf)).nonzero()[0])
        raise NonFiniteError(
            f"the score of user index {users[row]} and item index {item} is {block[row, item].item()}; "
            "the model's embeddings have overflowed or hold NaN, so train it again with a smaller learning rate"
        )


def _tensor(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
