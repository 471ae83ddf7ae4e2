"""The scores of a block of users over the whole catalogue, in tiles of items that come one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.ranker import BlockScorer, EmbeddingRanker

Index = NDArray[np.int64]

TILE = 1024
"""Items of a tile that a matrix product makes: with 1,024 users 4 MB, which stay in the cache."""
MIN_ROWS = 16
"""A matmul of a few rows sums in another order; with these many a user's scores are the same bits in any block."""


class ScoreTiles:
    """Where tiles of scores come from: two tables by matrix products, any other ranker by its own block.

    Args:
        ranker: what scores.
        rows: most users of a block.

    Attributes:
        whole: whether a tile covers the catalogue, because the ranker makes a whole block [b, I] itself.

    >>> tiles = ScoreTiles(EmbeddingRanker(np.ones((2, 1), "f4"), np.array([[3], [2]], "f4")), rows=2)
    >>> [(first, tile.tolist()) for first, tile in tiles.of(np.array([1]))]
    [(0, [[3.0, 2.0]])]
    """

    def __init__(self, ranker: BlockScorer, rows: int):
        self._ranker, self.whole = ranker, makes_blocks(ranker)
        self._width = ranker.n_items if self.whole else min(TILE, ranker.n_items)
        self._memory = torch.empty((rows if self.whole else max(rows, MIN_ROWS)) * self._width)
        if isinstance(ranker, EmbeddingRanker) and not self.whole:
            self._user, self._item = as_tensor(ranker.user), as_tensor(ranker.item)

    def of(self, users: Index) -> Iterator[tuple[int, Tensor]]:
        """(first item, scores [b, w]) in ascending order of items; the next tile takes the memory of the last."""
        n_items, b = self._ranker.n_items, len(users)
        if self.whole:
            tile = self._memory[: b * n_items].view(b, n_items)
            np.copyto(tile.numpy(), self._ranker.block(users))
            yield 0, tile
            return
        vectors = self._user.index_select(0, torch.from_numpy(np.resize(users, max(b, MIN_ROWS))))
        for first in range(0, n_items, self._width):
            item = self._item[first : first + self._width]
            tile = self._memory[: len(vectors) * len(item)].view(len(vectors), len(item))
            torch.mm(vectors, item.T, out=tile)
            yield first, tile[:b]


def scores_of(ranker: BlockScorer, users: Index) -> NDArray[np.float32]:
    """[b, I] scores to the bits that evaluation ranks by: of two tables they depend on neither threads nor block.

    >>> scores_of(EmbeddingRanker(np.ones((2, 1), "f4"), np.array([[3], [2]], "f4")), np.array([1])).tolist()
    [[3.0, 2.0]]
    """
    found = np.empty((len(users), ranker.n_items), dtype=np.float32)
    for first, tile in ScoreTiles(ranker, len(users)).of(users) if len(users) else ():
        found[:, first : first + tile.shape[1]] = tile.numpy()
    return found


def makes_blocks(ranker: BlockScorer) -> bool:
    """Whether scores come from the ranker's own ``block``, not from two tables."""
    return not (isinstance(ranker, EmbeddingRanker) and type(ranker).block is EmbeddingRanker.block)


def as_tensor(array: NDArray[np.float32]) -> Tensor:
    """A tensor that shares the array's memory where it may be written to, which torch asks for."""
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
