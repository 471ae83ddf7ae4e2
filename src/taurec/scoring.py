"""Scores of a batch: from embeddings and negatives to ``pos[B]`` and ``neg[B, N]``.

The one place that knows score functions; layouts and their kernels are known to the negatives, and losses see only the
result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.unit_rows import unit_rows
from taurec.losses.reduction import RowReduce
from taurec.sampling.layouts import positive_scores
from taurec.types import Negatives

ScoreName = Literal["cosine", "dot", "neg_sq_dist"]


def score_vectors(user: Tensor, item: Tensor, score: ScoreName, kernel: str = "auto") -> tuple[Tensor, Tensor]:
    """Vectors whose dot products are the scores.

        cosine       u / |u|,  v / |v|
        dot          u,  v
        neg_sq_dist  (2u, -|u|^2, -1),  (v, 1, |v|^2),  as -|u - v|^2 = 2<u, v> - |u|^2 - |v|^2

    >>> u, v = score_vectors(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]]), "neg_sq_dist")
    >>> u @ v.T
    tensor([[-9.]])
    """
    return _user_side(user, score, None, kernel), _item_side(item, score, kernel)


def pair_vectors(
    user: Tensor, item: Tensor, positive: Tensor, score: ScoreName, keep: Tensor | None = None, kernel: str = "auto"
) -> tuple[Tensor, Tensor]:
    """The vectors [B, D] of observed pairs: of length 1 for cosine scores, as they are for others.

    Arguments as in :func:`batch_scores`.
    """
    own = F.embedding(positive, item)
    if score == "cosine":
        user, own = unit_rows(user, kernel=kernel), unit_rows(own, kernel=kernel)
    return user if keep is None else user * keep, own


def batch_scores(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: Negatives,
    score: ScoreName = "cosine",
    kernel: str = "auto",
    d_item: Tensor | None = None,
    keep: Tensor | None = None,
    own: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores of the observed pairs and of their negatives.

    Args:
        user: [B, D] the rows' user vectors, gathered (and dropped out) by the caller.
        item: [I, D] all item vectors.
        positive: [B] int64 item of each row.
        negatives: of the batch; see :class:`taurec.types.Negatives`.
        score: ``cosine`` in [-1, 1], ``dot``, or ``neg_sq_dist`` = -|u - v|^2.
        kernel: what normalises rows and gathers per-row negatives; see :func:`taurec.kernels.select`.
        d_item: for cosine scores of gathered negatives whose ``item`` rows have length 1 already: where their
            gradient is written, instead of to autograd.
        keep: [B, D] dropout factors of the users' vectors once they have length 1.
        own: [B, D] the users' vectors with which the observed pairs are scored; None for ``user``.
    Returns: ``pos[B]`` and ``neg[B, N]``; an absent negative has -inf.
    """
    item, positive = negatives.narrow(item, positive)
    user = _user_side(user, score, keep, kernel)
    item = item if d_item is not None else _item_side(item, score, kernel)
    negatives = negatives.with_vectors(ItemsOf(score, kernel))
    pos, neg = negatives.scores(user, item, positive, kernel, d_item)
    if negatives.absent is not None:
        neg = neg.masked_fill(negatives.absent.to_dense(), -torch.inf)
    if own is not None:
        pos = positive_scores(_user_side(own, score, keep, kernel), item, positive)
    return pos, neg


def reduced_scores(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: Negatives,
    how: RowReduce,
    score: ScoreName = "cosine",
    kernel: str = "auto",
    keep: Tensor | None = None,
    own: Tensor | None = None,
    held: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of the observed pairs, and the reduction of those of their negatives.

    Rows that share their negatives and their user's vector (:meth:`taurec.types.Negatives.once`) share the reduction,
    unless it is pairwise.

    Args:
        how: what :func:`batch_scores` would be followed by; the other arguments are as there.
        held: whether the scores are held before they are reduced. Else the negatives are a layout with ``columns``,
            whose ``absent`` is sparse or None.
    Returns: ``pos[B]``, ``reduced[B]`` and ``n[B]``, the number of negatives that are not absent.
    """
    user, item = _user_side(user, score, keep, kernel), _item_side(item, score, kernel)
    negatives = negatives.with_vectors(ItemsOf(score, kernel))
    pos = positive_scores(user if own is None else _user_side(own, score, keep, kernel), item, positive)
    once = None if how.pairwise else negatives.once()
    if once is not None:
        negatives, user, positive = once.negatives, *(x.index_select(0, once.first) for x in (user, positive))
    if held:
        neg = negatives.scores(user, *negatives.narrow(item, positive), kernel, None)[1]
        if negatives.absent is not None:
            neg = neg.masked_fill(negatives.absent.to_dense(), -torch.inf)
        reduced, n = how(pos, neg)
    else:
        arguments = asdict(how)
        subtracted = pos if arguments.pop("pairwise") else None
        absent = None if negatives.absent is None else negatives.absent.indices()
        columns = negatives.columns(item)
        assert columns is not None, "these negatives share no columns"
        reduced, n = catalogue_reduce(user, columns, subtracted, absent, kernel=kernel, **arguments)
    if once is not None:
        reduced, n = reduced.index_select(0, once.place), n.index_select(0, once.place)
    return pos, reduced, n


def pair_scores(
    user: Tensor,
    item: Tensor,
    items: Tensor,
    score: ScoreName = "cosine",
    kernel: str = "auto",
    keep: Tensor | None = None,
) -> Tensor:
    """[n] scores of the pairs of a user's vector and an item: user [n, D], items [n]; see :func:`batch_scores`."""
    return positive_scores(_user_side(user, score, keep, kernel), _item_side(item, score, kernel), items)


@dataclass(frozen=True)
class ItemsOf:
    """The :class:`taurec.types.ItemSide` of a score."""

    score: ScoreName
    kernel: str

    @property
    def unit(self) -> bool:
        return self.score == "cosine"

    @property
    def added(self) -> int:
        return 2 if self.score == "neg_sq_dist" else 0

    def __call__(self, vectors: Tensor) -> Tensor:
        return _item_side(vectors, self.score, self.kernel)


def _user_side(user: Tensor, score: ScoreName, keep: Tensor | None, kernel: str) -> Tensor:
    """The users' vectors as one side of a dot product that is the score.

    For distances -|u - v|^2 = 2<u, v> - |u|^2 - |v|^2 = <(2u, -|u|^2, -1), (v, 1, |v|^2)>.
    """
    user = unit_rows(user, kernel=kernel) if score == "cosine" else user
    user = user if keep is None else user * keep
    if score == "neg_sq_dist":
        square = user.square().sum(-1, keepdim=True)
        return torch.cat([2 * user, -square, -torch.ones_like(square)], -1)
    return user


def _item_side(item: Tensor, score: ScoreName, kernel: str) -> Tensor:
    """The other side, for items and for vectors in their place."""
    if score == "neg_sq_dist":
        square = item.square().sum(-1, keepdim=True)
        return torch.cat([item, torch.ones_like(square), square], -1)
    return unit_rows(item, kernel=kernel) if score == "cosine" else item
