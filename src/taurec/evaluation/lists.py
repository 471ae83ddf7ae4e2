"""The best items of each user over the whole catalogue, in blocks of users that fit a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from taurec.evaluation.scores import ScoreTiles, as_tensor, makes_blocks
from taurec.evaluation.topk import tie_ranks
from taurec.evaluation.users import UserScorer
from taurec.kernels import Selection, select
from taurec.kernels.topk import Best
from taurec.ranker import BlockScorer, EmbeddingRanker, HistoryRanker

Index = NDArray[np.int64]
Ids = Vocabulary | pl.Series | Sequence[str]
Marks = NDArray[np.bool_] | None
Seen = tuple[Index, Index] | None
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
    kernel: str = "auto",
) -> TopK:
    """The k best items of known users: exact, by score, ties by a hash of the raw item id.

    Args:
        ranker: scores every item for a block of users; -inf marks an item that may not be recommended. A ranker alone
            also scores users that it has no training row of; :class:`taurec.evaluation.users.UserScorer` does not.
        users: [u] user indices, in any order, repeats allowed.
        k: length of the lists; more than there are candidates gives short lists.
        seen: the items in a user's row do not appear in that user's list.
        only, without: item indices that alone may, or may not, appear.
        memory_mb: memory for a block of scores and for selecting from it; at least one user's row is
            scored at a time. The result's own 12 bytes an entry come on top.
        item_ids: raw ids in index order, for the tie rule; else those of ``seen``, else the indices as text.
        device: a GPU that scores and selects, by Triton, where the ranker is two tables; None, and all other
            rankers, take the CPU.
        kernel: what selects: ``auto``, ``numba``, ``triton`` or ``torch``; see :mod:`taurec.kernels.topk`.
    Returns: lists in the order of ``users``.
    Raises: UsageError for k below 1, an index outside the ranker, ``seen`` of another shape, or a named kernel that
        cannot serve;
        NonFiniteError for a score that is NaN or +inf, with the user's index and the ranker's class.
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
    pairs = None if seen is None else (seen.indptr, seen.indices)
    by_source = ranker.by_source(u) if isinstance(ranker, UserScorer) else [(np.arange(len(u)), ranker)]
    for rows, scorer in by_source:
        tables = not makes_blocks(scorer)
        where = device if device is not None and tables else torch.device("cpu")
        # By the number of all users, so that other users in the call do not change what selects for some of them.
        selected = select("topk", torch.empty(0, device=where), len(u), n_items, tables, kernel=kernel)
        if isinstance(scorer, EmbeddingRanker) and tables and selected.name != "torch":
            lists = _from_tables(selected, scorer, u[rows], width, pairs, banned, ranks, where)
        else:
            lists = _from_scores(selected, scorer, u[rows], width, pairs, banned, ranks, memory_mb)
        for start, found in lists:
            of = rows[start : start + len(found.items)]
            if found.bad is not None:
                row, item, score = found.bad
                raise NonFiniteError(
                    f"the score of user index {u[of[row]]} and item index {item} is {score}{_remedy(scorer)}"
                )
            items[of, :width] = found.items
            scores[of, :width] = found.scores
    return TopK(items, scores)


def _remedy(ranker: BlockScorer) -> str:
    """The end of the message on a score that is not finite: of which model, and what to do."""
    model = ranker.ranker if isinstance(ranker, HistoryRanker) else ranker
    if isinstance(model, EmbeddingRanker):
        return (
            " in a model of two tables of vectors; they have overflowed or hold NaN, so train it again with a smaller "
            "learning rate"
        )
    return (
        f" in {type(model).__qualname__}; scores must be finite, or -inf for an item that may not be recommended, so "
        "correct what it computes or its settings"
    )


def _from_tables(
    selected: Selection,
    ranker: EmbeddingRanker,
    users: Index,
    k: int,
    seen: Seen,
    banned: Marks,
    ranks: Ranks,
    device: torch.device,
) -> Iterator[tuple[int, Best]]:
    """All users in one call, whose kernel computes the scores from the ranker's two tables."""
    tables = as_tensor(ranker.user).to(device), as_tensor(ranker.item).to(device)
    yield 0, selected.kernel.best_of_tables(*tables, users, k, ranks, seen, banned)


def _from_scores(
    selected: Selection,
    ranker: BlockScorer,
    users: Index,
    k: int,
    seen: Seen,
    banned: Marks,
    ranks: Ranks,
    memory_mb: float,
) -> Iterator[tuple[int, Best]]:
    """Blocks of users, whose scores are held whole and then selected from."""
    rows = block_rows(ranker.n_items, k, memory_mb, BYTES_SORTED if selected.name == "torch" else BYTES_HELD)
    tiles = ScoreTiles(ranker, min(rows, len(users)))
    held = torch.empty(0 if tiles.whole else (min(rows, len(users)), ranker.n_items))
    for start in range(0, len(users), rows):
        of = users[start : start + rows]
        block = held[: len(of)]
        for first, tile in tiles.of(of):
            if tiles.whole:
                block = tile
            else:
                block[:, first : first + tile.shape[1]] = tile
        yield start, selected.kernel.best_of_scores(block, of, k, ranks, seen, banned)


def block_rows(n_items: int, k: int, memory_mb: float, bytes_a_score: int) -> int:
    """How many users to score at once, at most 1,024; an entry of a list takes 1.5 KiB of candidates.

    >>> block_rows(100_000, 20, 256, 6)
    424
    """
    each = bytes_a_score * n_items + BYTES_A_RESULT * (k + 1)
    return int(min(max(memory_mb * 2**20 // each, 1), MAX_ROWS))


def _tie_order(n_items: int, ids: Ids | None) -> Ranks:
    """[I] positions in the tie order, computed at the first use."""
    if ids is not None and len(ids) != n_items:
        raise UsageError(f"got {len(ids)} item ids for {n_items} items")

    @cache
    def ranks() -> Tensor:
        raw = [str(i) for i in range(n_items)] if ids is None else ids
        return torch.tensor(tie_ranks(raw if isinstance(raw, Vocabulary) else Vocabulary(raw)))

    return ranks


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
