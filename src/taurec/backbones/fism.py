"""FISM: a user is the sum of the vectors of the items of their history; there is no table of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taurec.backbones.cost import Sizes, StepBytes, StepSize
from taurec.backbones.init import init_table
from taurec.backbones.protocol import Backbone, NegativesOf, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.kernels import select
from taurec.kernels.hop import hop
from taurec.losses import Loss, ScoreLoss, StreamedLoss
from taurec.ranker import SumOfItemsRanker
from taurec.types import Embeddings, LeftOut

SOFTMAX: Mapping[str, Any] = {
    "negatives": "full",
    "batch_size": 8192,
    "lr": 5e-3,
    "lr_schedule": "linear",
    "epochs": 15,
}
"""Run fields for a softmax over scores, whose sum over the catalogue a user's pairs share."""


class FISM(Backbone):
    """A user as the items of their history H, with two vectors for each item: p in histories, q as a target.

        z_u = |H|^-alpha sum_{i in H} p_i
        a training pair (u, j):   score(z_u - |H|^-alpha p_j, q_j)
        its negatives k:          score(z_u, q_k), k outside H                      one pass
                                  score(z_u - |H|^-alpha p_j, q_k), k outside H     ``exact``
        ranking:                  score(z_u, q_i)

    A pair is not explained by itself: its own p_j is left out of the user's vector. In one pass all pairs of a user
    are compared with the same scores of negatives, so a step computes them, and the loss's reduction over them, once
    for each user of the batch; ``exact`` computes them for each pair. The two are different losses.

    A new user gets the same vector, to the bit, as a known one with the same history. With cosine scores alpha has no
    effect; with dot products it acts as a temperature tau |H|^alpha, and the model is the item-to-item matrix P Q^T
    with a zero diagonal, of rank ``dim``.

    A user with a single training item has no other item to be explained by: such pairs are not trained, and are
    counted as rows without negatives. The users are ranked nevertheless. Batches have all pairs of a user (order
    ``whole-users``).

    Samplers whose draws depend on the user alone (``full``, ``uniform``, ``popularity``, ``shared``) leave out all
    items of the user here, whatever their settings say, and ``uniform`` and ``popularity`` draw once for each user
    instead of each pair. Other samplers work as they are set, for each pair.

    Args:
        train: the training part; its pairs are the histories.
        dim: width of the vectors.
        alpha: exponent of the length of the history, at least 0.
        tied: whether q is p, one table.
        exact: whether negatives are scored without the pair's item too.
        init: of the tables, see :func:`taurec.backbones.init.init_table`.
        seed: of the tables.
    Returns: of ``embed``: z [U, dim] of whole histories, and q [I, dim].
    Raises: UsageError for alpha below 0, or a training part in which no user has two items.
    Source: Kabbur, Ning and Karypis, KDD 2013 (FISMauc), without biases. Differs from it in: the loss is any of the
    family; (|H| - 1)^-alpha there is |H|^-alpha here in a training pair; q is a separate table.

    >>> model = FISM(Interactions.from_pairs([0, 0, 1, 1], [0, 1, 1, 2]), dim=2, alpha=0.5)
    >>> whole, pair = model.embed(), model.embed_pairs(torch.tensor([0]), torch.tensor([1]))
    >>> torch.allclose(whole.user[0], (model.history[0] + model.history[1]) / 2**0.5)
    True
    >>> torch.allclose(pair.left_out.without(pair.user, torch.tensor([1])), model.history[0] / 2**0.5)
    True
    """

    pairwise = True
    user_table = False
    order = "whole-users"
    _share: Tensor
    _indptr: Tensor
    _indices: Tensor
    _values: Tensor
    _back_indptr: Tensor
    _back_indices: Tensor
    _back_values: Tensor

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 256,
        alpha: float = 0.5,
        tied: bool = False,
        exact: bool = False,
        init: str = "xavier_uniform",
        seed: int = 0,
    ):
        super().__init__(train, dim, init, seed)
        if not 0 <= alpha < np.inf:
            raise UsageError(f"alpha is the exponent of the length of a history and must be at least 0, got {alpha}")
        self.alpha, self.exact, self.tied = alpha, exact, tied
        if not tied:
            self.history = nn.Parameter(init_table(init, seed, "history", train.n_items, dim))
        counts = np.maximum(train.user_counts, 1).astype(np.float64)
        matrix = train.csr()
        matrix.data = (counts**-alpha)[train.user_of].astype(np.float32)
        back, index = matrix.T.tocsr(), np.int32 if matrix.nnz < np.iinfo(np.int32).max else np.int64
        self._alone = train.user_counts[train.user_of] < 2
        for name, of in (("", matrix), ("_back", back)):
            self.register_buffer(f"{name}_indptr", torch.from_numpy(of.indptr.astype(index)), persistent=False)
            self.register_buffer(f"{name}_indices", torch.from_numpy(of.indices.astype(index)), persistent=False)
            self.register_buffer(f"{name}_values", torch.from_numpy(of.data), persistent=False)
        share = torch.from_numpy((counts**-alpha).astype(np.float32))
        self.register_buffer("_share", share, persistent=False)

    @classmethod
    def negatives(cls, settings: Mapping[str, Any]) -> NegativesOf:
        return "apart" if settings["exact"] else "user"

    @classmethod
    def preset(cls, loss: type[Loss]) -> Mapping[str, Any]:
        weight = {"user_weight": 0.5} if issubclass(loss, ScoreLoss) and loss.rows else {}
        if issubclass(loss, StreamedLoss) and loss.temperature is not None and loss.softmax_weights:
            return {**weight, **SOFTMAX, f"loss.{loss.temperature}": 0.15}
        return weight

    @classmethod
    def table_rows(cls, log: Sizes, settings: Mapping[str, Any]) -> int:
        return log.items * (1 if settings["tied"] else 2)

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        step = 9 * size.item_table + 10 * 4 * size.dim * size.batch
        return StepBytes(fixed=16 * size.log.pairs, step=max(step, 4 * size.dim * size.log.users))

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        return size.log.items + size.batch

    def tables(self) -> tuple[nn.Parameter, nn.Parameter]:
        return (self.item if self.tied else self.history), self.item

    def trained_rows(self, train: Interactions) -> NDArray[np.bool_] | None:
        return ~self._alone if self._alone.any() else None

    def ranker(self, train: Interactions, score: str) -> SumOfItemsRanker:
        history, item = (table.detach().cpu().numpy().copy() for table in self.tables())
        return SumOfItemsRanker(history, item, train.csr(), self.alpha, score)

    def kernels(self, at_rows: bool) -> dict[str, str]:
        given = self._indptr, self._indices, self._values, self.item.detach()
        return {"hop": select("hop", *given, kernel=self.kernel).name}

    def embed(self, rows: Rows | None = None) -> Embeddings:
        return Embeddings(self._sums(None), self.item, *self.tables(), of_histories=True)

    def embed_pairs(self, user: Tensor, item: Tensor) -> Embeddings:
        users, at = torch.unique(user, return_inverse=True)
        share = self._share.index_select(0, user)
        left_out = LeftOut(at, share, self.tables()[0], everywhere=self.exact)
        return Embeddings(self._sums(users), self.item, *self.tables(), of_histories=True, left_out=left_out)

    def _sums(self, users: Tensor | None) -> Tensor:
        """z of all users, or of these, which ascend."""
        matrix = self._indptr, self._indices, self._values
        back = self._back_indptr, self._back_indices, self._back_values
        return hop(*matrix, self.tables()[0], transpose=back, rows=users, kernel=self.kernel)
