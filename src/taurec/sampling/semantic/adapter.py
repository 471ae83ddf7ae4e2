"""HNLMRec: the vector of a near text, brought to the width of the item vectors, mixed into a random negative's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling.layouts import positive_scores
from taurec.sampling.per_row import Uniform, check_n
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.sampling.semantic.sampler import Near, Semantic, Texts
from taurec.sampling.semantic.vectors import TextVectors
from taurec.sampling.virtual import Interpolated, VirtualNegatives
from taurec.types import StepShape

BLOCK = 1024
"""Texts that pass the adapter at a time."""


@dataclass(frozen=True)
class Adapter:
    """A multilayer perceptron with fixed random weights from text vectors to vectors of any width.

        x -> relu(W x + b), layer by layer, the last included;    W, b ~ U(-1 / sqrt(in), 1 / sqrt(in))

    Args:
        vectors: of the texts.
        hidden: widths of the hidden layers.
        seed: of the weights.

    >>> adapter = Adapter(TextVectors("", np.eye(3, dtype=np.float32)), hidden=(8,), seed=0)
    >>> adapter.table(4, torch.device("cpu")).shape, bool((adapter.table(4, torch.device("cpu")) >= 0).all())
    (torch.Size([3, 4]), True)
    """

    vectors: TextVectors
    hidden: tuple[int, ...]
    seed: int
    _tables: dict[tuple[int, str], Tensor] = field(default_factory=dict, compare=False, repr=False)

    def weights(self, dim: int) -> list[tuple[Tensor, Tensor]]:
        """(W [out, in], b [out]) of each layer, for vectors of ``dim`` numbers."""
        widths = (self.vectors.unit.shape[1], *self.hidden, dim)
        found = []
        for layer, (wide, out) in enumerate(pairwise(widths)):
            key = draw.key(self.seed, "adapter", layer)
            both = torch.from_numpy((2 * draw.uniform(key, np.arange(out), wide + 1) - 1) / math.sqrt(wide)).float()
            found.append((both[:, :wide].contiguous(), both[:, wide]))
        return found

    def table(self, dim: int, device: torch.device) -> Tensor:
        """[I, dim] the adapted vector of each text; made once for each width and device."""
        key = dim, str(device)
        if key not in self._tables:
            with torch.no_grad():
                layers, parts = self.weights(dim), []
                for part in torch.split(torch.from_numpy(self.vectors.unit), BLOCK):
                    for weight, bias in layers:
                        part = torch.relu(F.linear(part, weight, bias))
                    parts.append(part)
                self._tables[key] = torch.cat(parts).to(device)
        return self._tables[key]


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptedNegatives(VirtualNegatives):
    """(1 - alpha) v_j + alpha a(t_k), with j from ``ids`` [B, N, 1] and k from ``near``; the gradient reaches v_j.

    Args:
        near: [B, N] the item whose text is mixed in; -1 for none, which leaves v_j.
        alpha: share of the text.
        adapter: a.
    """

    near: Tensor
    alpha: float
    adapter: Adapter

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        vectors = self.raw(item)
        table = self.adapter.table(vectors.shape[1], vectors.device).to(vectors.dtype)
        text = F.embedding(self.near.clamp_min(0), table)
        if self.change is not None and self.change.unit:
            text = F.normalize(text, dim=-1)
        share = torch.where(self.near < 0, 0.0, self.alpha)[:, :, None].to(vectors.dtype)
        points = self.finished((1 - share) * F.embedding(self.ids[:, :, 0], vectors) + share * text)
        return positive_scores(user, item, positive), torch.bmm(points, user[:, :, None])[:, :, 0]


@dataclass(frozen=True)
class HNLMRec(Texts, Sampler):
    """A uniform negative into whose vector the text of a near item is mixed.

        e_n = (1 - alpha) v_j + alpha a(t_k),    j uniform,    k near in meaning as for ``semantic``,
        a a multilayer perceptron with ReLU after each layer, text width -> 2048 -> 1024 -> D

    With cosine scores v_j and a(t_k) are of length 1 before they are mixed, and e_n is brought to length 1 again. Where
    no item is near, the negative is v_j.

    Args:
        n: negatives a row; 1 as in the authors' code, for a loss with a margin. A softmax needs more, such as 64.
        alpha: share of the text; the authors' code has 0.0001 for Yelp and 0.01 for Toys.
        hidden: widths of the adapter's hidden layers.
        near, pool: which texts are near; see :class:`Semantic`.
        exclude: draw no training positive of the row's user, neither as j nor as k.
        texts, item_column, text_columns, encoder, cache, quantile: see :class:`Semantic`.
    Guarantees: j, k and the adapter are functions of the seed; the gradient reaches v_j. A resumed run is refused if
        texts or encoder have changed. No ``logq``.
    Cost: that of ``semantic`` once, and one pass of all I texts through the adapter; about 6 B n D numbers a step.
    Raises: UsageError for a setting out of range.
    Source: HNLMRec, Zhao et al., arXiv 2504.04726, and the authors' code. Differs from the authors' code in: t_k is the
        vector of an item of the catalogue, not of a text that a fine-tuned language model wrote; without a near text
        they mix in the adapter of random numbers; n negatives; their contrastive term (0.001, temperature 0.2) is
        left out, and the loss is chosen apart (theirs is a margin of 0.3: ``ccl`` with a weight of 1 is near). As in
        their code the adapter keeps its first, random weights: their optimizer is given the backbone's alone.

    >>> from taurec.data.vocabulary import Vocabulary
    >>> names = Vocabulary(["ann", "bob"]), Vocabulary(["libc6", "gimp", "libc6-dev"])
    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1], *names)
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = HNLMRec(n=3, alpha=0.5).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.near.shape
    (torch.Size([2, 3, 1]), torch.Size([2, 3]))
    """

    n: int = 1
    alpha: float = 0.01
    hidden: tuple[int, ...] = (2048, 1024)
    near: Near = "positive"
    pool: int = 50
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n("hnlmrec", self.n)
        self.check_texts("hnlmrec")
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"hnlmrec: alpha is a share and must be in 0..1, got {self.alpha}")
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"hnlmrec: hidden layers need at least 1 number each, got {self.hidden}")
        self._semantic()

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.n": [1, 64], "negatives.alpha": [1e-4, 1e-2, 0.1, 0.3]}

    def bind(self, train: Interactions, seed: int) -> BoundHNLMRec:
        return BoundHNLMRec(self, train, seed, self._semantic())

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return VirtualNegatives.shape(batch_size, self.n, 1)

    def timed_as(self) -> Interpolated:
        return Interpolated(self.n, between="positive", exclude=self.exclude)

    def _semantic(self) -> Semantic:
        """The sampler of the near texts."""
        return Semantic(
            n=self.n, near=self.near, pool=self.pool, share=1.0, exclude=self.exclude, texts=self.texts,
            item_column=self.item_column, text_columns=self.text_columns, encoder=self.encoder, cache=self.cache,
            quantile=self.quantile,
        )  # fmt: skip


class BoundHNLMRec(BoundSampler):
    """:class:`HNLMRec` bound to a log and a seed."""

    def __init__(self, how: HNLMRec, train: Interactions, seed: int, semantic: Semantic):
        self.how = how
        self._near = semantic.bind(train, seed)
        self._items = Uniform(how.n, how.exclude).bind(train, seed)
        self._adapter = Adapter(self._near.vectors, how.hidden, seed)

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> AdaptedNegatives:
        """Ids [B, n, 1] of uniform items, and the near items [B, n] whose texts are mixed in."""
        drawn = self._items.draw(user, item, row, epoch)
        near = self._near.draw_near(user, item, row, epoch)
        return AdaptedNegatives(
            ids=drawn.ids[:, :, None], absent=drawn.absent, near=near, alpha=self.how.alpha, adapter=self._adapter
        )

    def state(self) -> Mapping[str, NDArray[Any]]:
        return self._near.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._near.load_state(state)
