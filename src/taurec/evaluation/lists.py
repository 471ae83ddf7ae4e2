"""The best items of each user over the whole catalogue, in blocks of users that fit a memory budget."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.scores import ScoreTiles, as_tensor, makes_blocks
from taurec.evaluation.topk import block_top_k, tie_ranks
from taurec.kernels import topk, triton_misfit
from taurec.kernels.topk import Best
from taurec.ranker import BlockScorer, EmbeddingRanker

Index = NDArray[np.int64]
Ids = Vocabulary | pl.Series | Sequence[str]
Marks = NDArray[np.bool_] | None
Ranks = Callable[[], Tensor]

MAX_ROWS = 1024
BYTES_HELD = 8
"""Memory of a score of a block [b, I]: itself, and the ranker's own."""
BYTES_SORTED = 10
"""With plain torch's selection: the maxima and the keys of tied rows come on top."""
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
    ranker: BlockScorer,
    users: ArrayLike,
    k: int,
    *,
    seen: Interactions | None = None,
    only: ArrayLike | None = None,
    without: ArrayLike | None = None,
    memory_mb: float = 256,
    item_ids: Ids | None = None,
    device: torch.device | None = None,
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
        device: a GPU that scores and selects, by Triton, where the ranker is two tables; None, and all other
            rankers, take the CPU.
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
    width = min(int(k), n_items)
    items = np.full((len(u), int(k)), -1, dtype=np.int64)
    scores = np.full((len(u), int(k)), -np.inf, dtype=np.float32)
    if not len(u) or not n_items:
        return TopK(items, scores)
    select = _scanned if len(u) * n_items >= topk.WORTH and topk.usable() else _sorted
    if device is not None and not makes_blocks(ranker) and not triton_misfit(torch.empty(1, device=device)):
        select = functools.partial(_on_gpu, device)
    for start, found in select(ranker, u, width, seen, banned, ranks, memory_mb):
        if found.bad is not None:
            row, item, score = found.bad
            raise NonFiniteError(
                f"the score of user index {u[start + row]} and item index {item} is {score}; "
                "the model's embeddings have overflowed or hold NaN, so train it again with a smaller learning rate"
            )
        items[start : start + len(found.items), :width] = found.items
        scores[start : start + len(found.items), :width] = found.scores
    return TopK(items, scores)


def _scanned(
    ranker: BlockScorer, users: Index, k: int, seen: Interactions | None, banned: Marks, ranks: Ranks, memory_mb: float
) -> Iterator[tuple[int, Best]]:
    """By compiled loops: two tables in one call, scores that a ranker makes block by block."""
    pairs = None if seen is None else (seen.indptr, seen.indices)
    settled = (lambda: ranks().numpy()), pairs, banned
    if isinstance(ranker, EmbeddingRanker) and not makes_blocks(ranker):
        tables = as_tensor(ranker.user), topk.packed(as_tensor(ranker.item)), ranker.n_items
        yield 0, topk.best_of_tables(*tables, users, k, *settled)
        return
    rows = block_rows(ranker.n_items, k, memory_mb, BYTES_HELD)
    tiles = ScoreTiles(ranker, min(rows, len(users)))
    for start in range(0, len(users), rows):
        of = users[start : start + rows]
        ((_, block),) = tiles.of(of)
        yield start, topk.best_of_scores(block, of, k, *settled)


def _on_gpu(
    device: torch.device,
    ranker: BlockScorer,
    users: Index,
    k: int,
    seen: Interactions | None,
    banned: Marks,
    ranks: Ranks,
    memory_mb: float,
) -> Iterator[tuple[int, Best]]:
    """All users in one call; scores stay on the device, which chooses its own block size."""
    from taurec.kernels import gpu_topk

    assert isinstance(ranker, EmbeddingRanker)

    def there(array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, device=device)

    pairs = None if seen is None else (there(seen.indptr), there(seen.indices))
    never = None if banned is None else there(banned)
    yield 0, gpu_topk.top_k(there(ranker.user), there(ranker.item), users, k, pairs, never, ranks().to(device))


def _sorted(
    ranker: BlockScorer, users: Index, k: int, seen: Interactions | None, banned: Marks, ranks: Ranks, memory_mb: float
) -> Iterator[tuple[int, Best]]:
    """The scores of a block of users are held whole and selected from in plain torch."""
    n_items = ranker.n_items
    rows = block_rows(n_items, k, memory_mb, BYTES_SORTED)
    tiles, never = ScoreTiles(ranker, min(rows, len(users))), None if banned is None else torch.from_numpy(banned)
    held = torch.empty(0 if tiles.whole else (min(rows, len(users)), n_items))
    for start in range(0, len(users), rows):
        of = users[start : start + rows]
        block = held[: len(of)]
        for first, tile in tiles.of(of):
            if tiles.whole:
                block = tile
            else:
                block[:, first : first + tile.shape[1]] = tile
        if seen is not None:
            block.view(-1).index_fill_(0, _seen_positions(seen, of), -torch.inf)
        if never is not None:
            block.masked_fill_(never, -torch.inf)
        columns, values = block_top_k(block, k, ranks)
        best = values.numpy()
        items = np.where(best > -np.inf, columns.numpy(), -1)
        yield start, Best(items, best, _non_finite(values, block))


def block_rows(n_items: int, k: int, memory_mb: float, bytes_a_score: int) -> int:
    """How many users to score at once, at most 1,024; an entry of a list takes 1.5 KiB of candidates.

    >>> block_rows(100_000, 20, 256, 6)
    424
    """
    each = bytes_a_score * n_items + BYTES_A_RESULT * (k + 1)
    return int(min(max(memory_mb * 2**20 // each, 1), MAX_ROWS))


def _tie_order(n_items: int, ids: Ids | None) -> Ranks:
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


def _banned(n_items: int, only: ArrayLike | None, without: ArrayLike | None) -> Marks:
    """[I] marks the items that may not appear in any list; None if all may."""
    if only is None and without is None:
        return None
    mask = np.full(n_items, only is not None)
    if only is not None:
        mask[_indices(only, n_items, "item")] = False
    if without is not None:
        mask[_indices(without, n_items, "item")] = True
    return mask


def _indices(given: ArrayLike, n: int, what: str) -> Index:
    array = np.atleast_1d(np.asarray(given))
    if array.size and array.dtype.kind not in "iu":
        raise UsageError(f"{what} indices must be whole numbers, got {array.dtype}; encode raw ids first")
    index = array.astype(np.int64).ravel()
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = index[(index < 0) | (index >= n)][0]
        raise UsageError(f"{what} index {wrong} is outside 0..{n - 1}")
    return index


def _non_finite(values: Tensor, block: Tensor) -> tuple[int, int, float] | None:
    """As :class:`Best` has it: NaN and +inf always come first in a selection, so the best value of a row tells."""
    rows = (~(values[:, 0] < torch.inf)).nonzero()
    if not len(rows):
        return None
    row = int(rows[0])
    item = int((~(block[row] < torch.inf)).nonzero()[0])
    return row, item, float(block[row, item])
