"""SimpleX: a user is the sum of a trained vector and a vector of the items of their history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.init import init_table
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.errors import UsageError, did_you_mean
from taurec.kernels.unit_rows import unit_rows
from taurec.types import Embeddings

Aggregator = Literal["mean", "user_attention", "self_attention"]
KEY_COST = 5
"""Work of an attention key, a product with a [D, D] matrix and back, as passes over a row of a table."""
PAIRS_AT_ONCE = 1 << 17
"""Number of pairs of a user and a history item in a block where all users are computed."""


class SimpleX(Backbone):
    """The user side of SimpleX (Mao et al. 2021): the user's vector plus a weighted sum of their history.

        h_u = gamma e_u + (1 - gamma) V a_u,        a_u = sum_{i in H_u} w_ui q_i

        mean             w_ui = 1 / |H_u|
        user_attention   w_ui = softmax over H_u of <tanh(K q_i + b), e_u>
        self_attention   w_ui = softmax over H_u of <tanh(K q_i + b), c>

    With ``padded`` the sum of either softmax also has a 1 for each item that the history has less than the longest of
    all, so that a short history weighs less than a long one:

        w_ui = exp(x_ui) / (sum_{j in H_u} exp(x_uj) + max(0, L - |H_u|))

    H_u are the user's training items. In training the item that a row is about is left out of the history of that
    row, so that it is not explained by itself; a history that is then empty adds nothing. With ``gamma=1`` it is MF.

    With ``biases`` the score is not a cosine alone but

        f(u, i) = <h_u, q_i> / (|h_u| |q_i|) + b_i + b_u + b

    which is the dot product of the vectors that :meth:`embed` then gives: (h_u / |h_u|, 1, b_u + b) and
    (q_i / |q_i|, b_i, 1). b_u and b rank nothing; in training they say where the loss's margin stands for a user. No
    dropout reaches them.

    Args:
        train: the training part; its pairs are the histories.
        dim: width of the vectors.
        gamma: weight of the user's own vector, 0..1.
        aggregator: how a history becomes a vector, see above.
        shared: whether the q_i are the item table itself, or a separate table.
        padded: see above; L is the longest history of a training row, so one less than the longest of a user.
        biases: whether scores have biases, see above; such a backbone takes ``dot`` scores and no other.
        init: of the tables; the authors draw `normal:0.0001`, which goes with a rate of 1e-4 to 1e-3. V, K and c are
            xavier-uniform, the b of K and the shared bias start at 0, other biases as the tables do.
        seed: of the tables, the biases and the matrices.
    Returns: of ``embed``: h_u [U, dim] with whole histories, and the item table; with ``biases`` both [., dim + 2].
    Source: Mao et al., CIKM 2021, arXiv 2109.12613, section 3.2; the authors' code in RecZoo.
    Differs from the authors' code in: the softmax runs over the history alone, unless ``padded``;
    histories are whole, where theirs may be cut at a length; K, V, c and b have other initial draws; no dropout on the
    weights; biases have no L2.

    >>> model = SimpleX(Interactions.from_pairs([0, 0, 1], [0, 1, 1]), dim=2, gamma=0.5)
    >>> whole, row = model.embed(), model.embed_pairs(torch.tensor([0]), torch.tensor([1]))
    >>> history = (model.item[0] + model.item[1]) / 2 @ model.values
    >>> torch.allclose(whole.user[0], 0.5 * model.user[0] + 0.5 * history)
    True
    >>> torch.allclose(row.user[0], 0.5 * model.user[0] + 0.5 * model.item[0] @ model.values)
    True
    """

    pairwise = True
    _start: Tensor
    _items: Tensor

    def __init__(
        self,
        train: Interactions,
        /,
        dim: int = 64,
        gamma: float = 0.5,
        aggregator: Aggregator = "mean",
        shared: bool = True,
        padded: bool = False,
        biases: bool = False,
        init: str = "xavier_uniform",
        seed: int = 0,
    ):
        super().__init__(train, dim, init, seed)
        if not 0 <= gamma <= 1:
            raise UsageError(f"gamma is the weight of the user's own vector, from 0 to 1, got {gamma}")
        if aggregator not in get_args(Aggregator):
            raise UsageError(f"unknown aggregator {aggregator!r}{did_you_mean(aggregator, get_args(Aggregator))}")
        self.gamma = gamma
        self.aggregator = aggregator
        if padded and aggregator == "mean":
            raise UsageError("padded is about the softmax of an attention, and aggregator='mean' has none")
        self.padded = padded
        self._longest = int(train.user_counts.max(initial=1)) - 1
        self.values = nn.Parameter(init_table("xavier_uniform", seed, "values", dim, dim))
        if aggregator != "mean":
            self.keys = nn.Parameter(init_table("xavier_uniform", seed, "keys", dim, dim))
            self.key_bias = nn.Parameter(torch.zeros(dim))
        if aggregator == "self_attention":
            self.query = nn.Parameter(init_table("xavier_uniform", seed, "query", 1, dim)[0])
        self._apart = not shared
        if self._apart:
            self.history = nn.Parameter(init_table(init, seed, "history", train.n_items, dim))
        self.biased = biases
        if biases:
            self.user_bias = nn.Parameter(init_table(init, seed, "user bias", train.n_users, 1))
            self.item_bias = nn.Parameter(init_table(init, seed, "item bias", train.n_items, 1))
            self.bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("_start", torch.from_numpy(train.indptr.copy()), persistent=False)
        self.register_buffer("_items", torch.from_numpy(train.indices.copy()), persistent=False)

    @classmethod
    def width(cls, settings: Mapping[str, Any]) -> int:
        return int(settings["dim"]) + 2 * bool(settings["biases"])

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        pairs = size.batch * size.log.pairs_of_a_row
        step, everybody = 3 * size.tables + 60 * pairs, 0.0
        if settings["aggregator"] != "mean":
            step += 4 * size.dim * (4 * pairs + 3 * min(pairs, size.log.items))
            everybody = size.tables + 3 * 4 * size.dim * min(size.log.pairs, PAIRS_AT_ONCE)
        return StepBytes(fixed=8 * (size.log.pairs + size.log.users), step=int(max(step, everybody)))

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        pairs = size.batch * size.log.pairs_of_a_row
        attention = settings["aggregator"] != "mean"
        return size.log.users + size.log.items + pairs + attention * KEY_COST * min(pairs, size.log.items)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        if self.gamma == 1:
            return self._scored(self.user)
        users = torch.arange(len(self.user), device=self.user.device)
        cuts = torch.searchsorted(self._start, torch.arange(0, len(self._items) + 1, PAIRS_AT_ONCE).to(self._start))
        ends = sorted({*cuts.tolist(), len(users)} - {0})
        parts = [self._of(users[lo:hi], None) for lo, hi in zip([0, *ends], ends, strict=False) if lo < hi]
        return self._scored(torch.cat(parts))

    def embed_pairs(self, user: Tensor, item: Tensor) -> Embeddings:
        if self.gamma == 1:
            return self.embed()
        return self._scored(self._of(user, item), user)

    def _scored(self, own: Tensor, user: Tensor | None = None) -> Embeddings:
        """Embeddings of these vectors of users: of everybody, or by row those of ``user``."""
        item: Tensor = self.item
        if self.biased:
            shift = (self.user_bias if user is None else F.embedding(user, self.user_bias)) + self.bias
            own = torch.cat([unit_rows(own, kernel=self.kernel), torch.ones_like(shift), shift], 1)
            item = torch.cat([unit_rows(item, kernel=self.kernel), self.item_bias, torch.ones_like(self.item_bias)], 1)
        return Embeddings(own, item, self.user, self.item, by_row=user is not None)

    def _of(self, user: Tensor, without: Tensor | None) -> Tensor:
        """[B, dim] vectors of these users, each with its history less one item, if that is given."""
        own = F.embedding(user, self.user)
        start, length = self._start[user], self._start[user + 1] - self._start[user]
        row = torch.repeat_interleave(torch.arange(len(user), device=user.device), length)
        first = length.cumsum(0) - length
        items = self._items[torch.arange(len(row), device=row.device) + (start - first)[row]]
        if without is not None:
            # The places stay, so that a step's shapes are known beforehand; what is left out weighs nothing.
            weight = self._weights(own, row, items, (items != without[row]).to(own.dtype))
        else:
            weight = self._weights(own, row, items, own.new_ones(len(row)))
        pooled = F.embedding_bag(items, self._table, first, mode="sum", per_sample_weights=weight)
        return self.gamma * own + (1 - self.gamma) * (pooled @ self.values)

    def _weights(self, own: Tensor, row: Tensor, items: Tensor, there: Tensor) -> Tensor:
        """The weight of each pair of a history; 0 where ``there`` is."""
        if self.aggregator == "mean":
            return there / _sums(there, row, len(own)).clamp(min=1).index_select(0, row)
        history = self._table
        if len(items) < len(history):
            key = torch.tanh(F.embedding(items, history) @ self.keys + self.key_bias)
        else:
            key = F.embedding(items, torch.tanh(history @ self.keys + self.key_bias))
        query = F.embedding(row, own) if self.aggregator == "user_attention" else self.query
        logit = (key * query).sum(1).masked_fill(there == 0, -torch.inf)
        top = logit.detach().new_full((len(own),), -torch.inf).scatter_reduce(0, row, logit.detach(), "amax")
        top = top.masked_fill(top == -torch.inf, 0.0)
        top = top.clamp(min=0) if self.padded else top
        raised = (logit - top.index_select(0, row)).exp()
        total = _sums(raised, row, len(own))
        if self.padded:
            total = total + (self._longest - _sums(there, row, len(own))).clamp(min=0) * (-top).exp()
        return raised / total.masked_fill(total == 0, 1.0).index_select(0, row)

    @property
    def _table(self) -> Tensor:
        return self.history if self._apart else self.item


def _sums(x: Tensor, row: Tensor, n: int) -> Tensor:
    return x.new_zeros(n).index_add(0, row, x)
