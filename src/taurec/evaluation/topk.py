"""The exact K best columns of a block of scores, with a tie rule that knows no favourites.

Order: score descending; equal scores by the BLAKE2b hash of the raw item id, then by the id. Ids often
follow first appearance or popularity, so "lower index first" would flatter a model whose scores are
constant; the hash puts it at chance, and lists do not change when items are renumbered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.data.vocabulary import Vocabulary

GROUP = 32


@lru_cache(maxsize=4)
def tie_ranks(items: Vocabulary) -> NDArray[np.int64]:
    """[I] place of each item in the order that settles ties, 0 first.

    >>> tie_ranks(Vocabulary(["a", "b", "c"])).tolist() == tie_ranks(Vocabulary(["c", "b", "a"])).tolist()[::-1]
    True
    """
    digests = b"".join(hashlib.blake2b(raw.encode(), digest_size=8).digest() for raw in items.ids.to_list())
    frame = pl.DataFrame({"hash": np.frombuffer(digests, dtype="<u8"), "id": items.ids})
    order = frame.select(pl.arg_sort_by("hash", "id")).to_series().to_numpy()
    ranks = np.empty(len(items), dtype=np.int64)
    ranks[order] = np.arange(len(items))
    ranks.setflags(write=False)
    return ranks


def block_top_k(scores: Tensor, k: int, ranks: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """The k best columns of each row, best first.

    A row's k + 1 best values are found without regard to ties. Where neighbours among them are equal the
    row is settled by ``ranks``, among its k + 1 best if the tie lies inside the list, over the whole row if
    it crosses the end. Models with continuous scores meet few ties, so ``ranks`` is asked for only then.

    Args:
        scores: [b, I] float32, contiguous; -inf for what must not appear. NaN or +inf comes out first.
        k: 1..I.
        ranks: gives [I] int64, the place of each column in the order that settles ties.
    Returns: columns [b, k] int64 and scores [b, k]; columns are arbitrary where the score is -inf.
    """
    values, columns = _largest(scores, min(k + 1, scores.shape[1]))
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf) & (values[:, :1] < torch.inf)
    crossing = (
        equal[:, k - 1] if equal.shape[1] >= k else torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    )
    values, columns = values[:, :k].contiguous(), columns[:, :k].contiguous()
    inside = (equal.any(1) & ~crossing).nonzero().flatten()
    if len(inside):
        keys = _keys(values[inside], ranks()[columns[inside]])
        columns[inside] = columns[inside].gather(1, keys.argsort(1, descending=True))
    # Eight bytes a key and as many while they are made: an eighth of the rows keeps that near the block's own size.
    for rows in torch.split(crossing.nonzero().flatten(), max(1, len(scores) // 8)):
        columns[rows] = _keys(scores[rows], ranks()).topk(k, dim=1).indices
        values[rows] = scores[rows].gather(1, columns[rows])
    return columns, values


def _largest(scores: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n largest values of each row, descending, and their columns; equal values in any order.

    A wide row is cut into groups of 32 columns, column c into group c modulo the number of groups. Its n
    largest values lie in the n groups with the largest maxima, so one pass of maxima and a selection among
    n * 32 candidates replace a selection in the row.
    """
    width = scores.shape[1]
    if width < max(4 * n * GROUP, GROUP * GROUP):
        values, columns = scores.topk(n, dim=1)
        return values, columns
    n_groups = -(-width // GROUP)
    whole = n_groups * (GROUP - 1)
    best = scores[:, :whole].view(-1, GROUP - 1, n_groups).amax(1)
    rest = scores[:, whole:]
    torch.maximum(best[:, : rest.shape[1]], rest, out=best[:, : rest.shape[1]])
    groups = best.topk(n, dim=1, sorted=False).indices
    candidates = (groups[:, :, None] + torch.arange(0, n_groups * GROUP, n_groups, device=scores.device)).flatten(1)
    found = scores.gather(1, candidates.clamp(max=width - 1)).masked_fill_(candidates >= width, -torch.inf)
    values, at = found.topk(n, dim=1)
    return values, candidates.gather(1, at)


def _keys(scores: Tensor, ranks: Tensor) -> Tensor:
    """Distinct integers that order by score, then by rank (smaller is larger).

    The bits of a float order like integers once those of negative numbers are flipped; adding 0 makes -0
    equal to 0.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << 32) | (0xFFFFFFFF - ranks)
