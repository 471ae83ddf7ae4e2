"""Top-K in plain torch: the K best columns of each row of a block of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from taurec.kernels.topk.best import Best, Index, Marks, Ranks

GROUP = 64


def best_of_scores(
    scores: Tensor,
    users: Index,
    k: int,
    ranks: Ranks,
    seen: tuple[Index, Index] | None = None,
    banned: Marks | None = None,
) -> Best:
    """See :mod:`taurec.kernels.topk`.

    >>> scores = torch.tensor([[3.0, 1.0, 2.0, 3.0]])
    >>> best_of_scores(scores, np.array([0]), 2, lambda: torch.tensor([3, 2, 1, 0])).items.tolist()
    [[3, 0]]
    """
    if seen is not None:
        scores.view(-1).index_fill_(0, _seen_positions(*seen, users, scores.shape[1]), -torch.inf)
    if banned is not None:
        scores.masked_fill_(torch.from_numpy(banned), -torch.inf)
    columns, values = block_top_k(scores, k, ranks)
    best = values.numpy()
    return Best(np.where(best > -np.inf, columns.numpy(), -1), best, _non_finite(values, scores))


def _seen_positions(indptr: Index, indices: Index, users: Index, n_items: int) -> Tensor:
    """Flat positions in the users' block [b, I] of the items they have seen."""
    first = indptr[users]
    counts = indptr[users + 1] - first
    row = np.repeat(np.arange(len(users)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return torch.from_numpy(row * n_items + indices[first[row] + within])


def _non_finite(values: Tensor, block: Tensor) -> tuple[int, int, float] | None:
    """The ``bad`` of :class:`Best`; only each row's best value is checked, since NaN and +inf always come first."""
    rows = (~(values[:, 0] < torch.inf)).nonzero()
    if not len(rows):
        return None
    row = int(rows[0])
    item = int((~(block[row] < torch.inf)).nonzero()[0])
    return row, item, float(block[row, item])


def block_top_k(scores: Tensor, k: int, ranks: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """The k best columns of each row, best first.

    The k + 1 best values of each row are selected without regard to ties. A row in which two neighbours of them are
    equal is ordered by ``ranks``: among its k + 1 best if the tie lies inside the list, over the whole row if the tie
    crosses the end of the list. Continuous scores have few ties, so ``ranks`` is called only if there is one.

    Args:
        scores: [b, I] float32, contiguous; -inf for columns to leave out. NaN and +inf come first.
        k: 1..I.
        ranks: returns [I] int64, the position of each column in the order that breaks ties.
    Returns: columns [b, k] int64 and scores [b, k]; columns are arbitrary where the score is -inf.
    """
    values, columns = _largest(scores, min(k + 1, scores.shape[1]))
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf) & (values[:, :1] < torch.inf)
    crossing = equal[:, k - 1] if equal.shape[1] >= k else torch.zeros_like(equal.any(1))
    values, columns = values[:, :k].contiguous(), columns[:, :k].contiguous()
    if not equal.any():
        return columns, values
    place = ranks()
    inside = (equal.any(1) & ~crossing).nonzero().flatten()
    keys = _keys(values[inside], place[columns[inside]])
    columns[inside] = columns[inside].gather(1, keys.argsort(1, descending=True))
    # A key takes 8 bytes, and 16 more while it is computed: a sixteenth of the rows costs 1.5 bytes per score.
    for rows in torch.split(crossing.nonzero().flatten(), max(1, len(scores) // 16)):
        columns[rows] = _keys(scores[rows], place).topk(k, dim=1).indices
        values[rows] = scores[rows].gather(1, columns[rows])
    return columns, values


def _largest(scores: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n largest values of each row, descending, and their columns; equal values in any order.

    A wide row is divided into groups of 64 columns. Its n largest values lie in the n groups with the largest
    maxima, or in the remainder. So one pass for the maxima and a selection among n * 64 candidates replace a
    selection among the whole row.
    """
    width = scores.shape[1]
    if width < 4 * n * GROUP:
        values, columns = scores.topk(n, dim=1)
        return values, columns
    whole = width // GROUP * GROUP
    maxima = scores[:, :whole].view(len(scores), -1, GROUP).amax(2)
    groups = maxima.topk(n, dim=1, sorted=False).indices
    columns = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=scores.device)).flatten(1)
    remainder = torch.arange(whole, width, device=scores.device).expand(len(scores), -1)
    columns = torch.cat([columns, remainder], dim=1)
    values, at = scores.gather(1, columns).topk(n, dim=1)
    return values, columns.gather(1, at)


def _keys(scores: Tensor, ranks: Tensor) -> Tensor:
    """Distinct integers whose order is that of the scores, with equal scores in descending order of rank.

    The bits of a float order like integers once those of negative numbers are flipped; adding 0 makes -0
    equal to 0.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << 32) | (0xFFFFFFFF - ranks)
