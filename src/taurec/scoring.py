"""Scores of a batch: from embeddings and ids of negatives to ``pos[B]`` and ``neg[B, N]``.

The one place that knows layouts, score functions and kernels; losses see only its result.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.kernels import gather_dot
from taurec.types import NegativeIds

ScoreName = Literal["cosine", "dot", "neg_sq_dist"]


def unit(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Rows of x[R, D] divided by their length; a row shorter than ``eps`` becomes zero, without gradient."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    tiny = norm <= eps
    return torch.where(tiny, torch.zeros_like(x), x / torch.where(tiny, torch.ones_like(norm), norm))


def batch_scores(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: NegativeIds,
    score: ScoreName = "cosine",
    kernel: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Scores of the observed pairs and of their negatives.

    Args:
        user: [B, D] the rows' user vectors, gathered (and dropped out) by the caller.
        item: [I, D] all item vectors.
        positive: [B] int64 item of each row.
        negatives: where the negatives are; see :class:`taurec.types.NegativeIds`.
        score: ``cosine`` in [-1, 1], ``dot``, or ``neg_sq_dist`` = -|u - v|^2.
        kernel: how per-row negatives are gathered; see :func:`taurec.kernels.gather_dot`.
    Returns: ``pos[B]`` and ``neg[B, N]``; an absent negative has -inf.
    """
    if score == "cosine":
        user, item = unit(user), unit(item)
    # F.embedding, not item[positive]: its backward gives the same bits for any number of threads.
    own = F.embedding(positive, item)
    pos = (user * own).sum(-1)
    if negatives.layout == "per_row":
        assert negatives.ids is not None
        neg = gather_dot(user, item, negatives.ids, kernel=kernel)
    elif negatives.layout == "shared":
        assert negatives.ids is not None
        neg = user @ F.embedding(negatives.ids, item).T
    elif negatives.layout == "in_batch":
        neg = user @ own.T
    else:
        neg = user @ item.T
    if score == "neg_sq_dist":
        pos, neg = _negative_distance(user, item, own, pos, neg, negatives)
    if negatives.absent is not None:
        neg = neg.masked_fill(negatives.absent, -torch.inf)
    return pos, neg


def _negative_distance(
    user: Tensor, item: Tensor, own: Tensor, pos: Tensor, neg: Tensor, negatives: NegativeIds
) -> tuple[Tensor, Tensor]:
    """-|u - v|^2 = 2<u, v> - |u|^2 - |v|^2, from the dot products."""
    u2, own2 = (user * user).sum(-1), (own * own).sum(-1)
    if negatives.layout == "in_batch":
        v2 = own2
    else:
        v2 = (item * item).sum(-1)
        if negatives.ids is not None:
            v2 = F.embedding(negatives.ids, v2[:, None]).reshape(negatives.ids.shape)
    return 2 * pos - u2 - own2, 2 * neg - u2[:, None] - v2
