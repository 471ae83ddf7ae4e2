"""Scores of a batch: from embeddings and ids of negatives to ``pos[B]`` and ``neg[B, N]``.

The one place that knows layouts, score functions and kernels; losses see only its result.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.gather_dot import gather_dot
from taurec.kernels.unit_rows import unit_rows
from taurec.losses.reduction import RowReduce
from taurec.types import Batch, NegativeIds

#: Scores [B, N] of shared negatives from which on they are reduced in tiles instead of held.
SHARED_WORTH = 1 << 21

ScoreName = Literal["cosine", "dot", "neg_sq_dist"]


def batch_scores(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: NegativeIds,
    score: ScoreName = "cosine",
    kernel: str = "auto",
    d_item: Tensor | None = None,
    keep: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores of the observed pairs and of their negatives.

    Args:
        user: [B, D] the rows' user vectors, gathered (and dropped out) by the caller.
        item: [I, D] all item vectors.
        positive: [B] int64 item of each row.
        negatives: where the negatives are; see :class:`taurec.types.NegativeIds`.
        score: ``cosine`` in [-1, 1], ``dot``, or ``neg_sq_dist`` = -|u - v|^2.
        kernel: what normalises rows and gathers per-row negatives; see :func:`taurec.kernels.select`.
        d_item: for cosine scores of per-row negatives whose ``item`` rows have length 1 already: where their
            gradient is written, instead of to autograd.
        keep: [B, D] factors of the users' vectors once they have length 1, a dropout.
    Returns: ``pos[B]`` and ``neg[B, N]``; an absent negative has -inf.
    """
    if negatives.layout == "in_batch":
        # The other items are not looked at, and the table may be large.
        item, positive = F.embedding(positive, item), torch.arange(len(positive), device=positive.device)
    if score == "cosine":
        user = unit_rows(user, kernel=kernel)
        item = item if d_item is not None else unit_rows(item, kernel=kernel)
    user = user if keep is None else user * keep
    if negatives.layout == "per_row":
        assert negatives.ids is not None
        ids = torch.cat([positive[:, None], negatives.ids], 1)
        together = gather_dot(user, item, ids, kernel=kernel, d_item=d_item)
        # One cut: two slices would each fill a [B, 1 + N] with zeros for the gradient, and add them.
        pos, neg = torch.split_with_sizes(together, [1, negatives.ids.shape[1]], 1)
        pos = pos[:, 0]
    else:
        # F.embedding, not item[positive]: its backward gives the same bits for any number of threads.
        own = F.embedding(positive, item)
        pos = (user * own).sum(-1)
        if negatives.layout == "shared":
            assert negatives.ids is not None
            neg = user @ F.embedding(negatives.ids, item).T
        else:
            neg = user @ item.T
    if score == "neg_sq_dist":
        pos, neg = _negative_distance(user, item, positive, pos, neg, negatives)
    if negatives.absent is not None:
        neg = neg.masked_fill(negatives.absent.to_dense(), -torch.inf)
    return pos, neg


def streams(batch: Batch) -> bool:
    """Whether :func:`catalogue_scores` is the better way: over the catalogue, or where many scores are shared."""
    negatives = batch.negatives
    if negatives.layout == "shared" and negatives.ids is not None and negatives.absent is None:
        return len(batch.user) * len(negatives.ids) >= SHARED_WORTH
    return negatives.layout == "full"


def catalogue_scores(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: NegativeIds,
    how: RowReduce,
    score: ScoreName = "cosine",
    kernel: str = "auto",
    keep: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of the observed pairs, and the reduction of those that all rows share, which are never held.

    Args:
        how: what :func:`batch_scores` would be followed by; the other arguments are as there, of layout ``full``, or
            ``shared`` with no negative absent.
    Returns: ``pos[B]``, ``reduced[B]`` and ``n[B]``, the number of negatives that are not absent.
    """
    if score == "cosine":
        user, item = unit_rows(user, kernel=kernel), unit_rows(item, kernel=kernel)
    user = user if keep is None else user * keep
    if score == "neg_sq_dist":
        # 2<u, v> - |u|^2 - |v|^2 as one dot product
        square = user.square().sum(1, keepdim=True), item.square().sum(1, keepdim=True)
        user = torch.cat([2 * user, -square[0], -torch.ones_like(square[0])], 1)
        item = torch.cat([item, torch.ones_like(square[1]), square[1]], 1)
    pos = (user * F.embedding(positive, item)).sum(-1)
    arguments = asdict(how)
    subtracted = pos if arguments.pop("pairwise") else None
    absent = None if negatives.absent is None else negatives.absent.indices()
    if negatives.ids is not None:
        item = F.embedding(negatives.ids, item)
    return pos, *catalogue_reduce(user, item, subtracted, absent, kernel=kernel, **arguments)


def _negative_distance(
    user: Tensor, item: Tensor, positive: Tensor, pos: Tensor, neg: Tensor, negatives: NegativeIds
) -> tuple[Tensor, Tensor]:
    """-|u - v|^2 = 2<u, v> - |u|^2 - |v|^2, from the dot products."""
    u2, v2 = (user * user).sum(-1), (item * item).sum(-1)
    own2 = F.embedding(positive, v2[:, None])[:, 0]
    if negatives.layout == "in_batch":
        v2 = own2
    elif negatives.ids is not None:
        v2 = F.embedding(negatives.ids, v2[:, None])[..., 0]
    return 2 * pos - u2 - own2, 2 * neg - u2[:, None] - v2
