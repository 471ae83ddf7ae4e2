"""Negatives by their cluster: items too near the positive are left out, its wider neighbourhood is drawn more often."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError
from taurec.sampling.known import Known
from taurec.sampling.layouts import PerRowNegatives
from taurec.sampling.per_row import BoundPerRow, check_n, check_n_epochs
from taurec.sampling.proposal import by_popularity
from taurec.sampling.protocol import BoundSampler, Sampler, Vectors
from taurec.types import StepShape

ROUNDS = 8
"""Rounds of Lloyd's algorithm."""


@dataclass(frozen=True)
class ESANS(Sampler):
    """Experimental, negatives by two-level clusters of the item vectors.

        items -> ``coarse`` clusters, each -> ``fine`` clusters (k-means)
        near:  the positive's fine cluster        suspected false negatives, never drawn
        hard:  its coarse cluster, the rest of it drawn with probability ``hard``
        easy:  all other items                    drawn with probability 1 - ``hard``;    uniform within a class

    Where one of the two classes is empty the other is drawn; where both are, the row has no negative.

    Args:
        n: negatives a row.
        coarse, fine: clusters, and clusters within each of them.
        hard: probability that a negative is of the hard class.
        warmup: epochs with uniform negatives, whose vectors mean little yet.
        refresh: epochs between two clusterings.
        exclude: mark training positives of the row's user absent.
    Guarantees: given the clusters, each draw is item j with the probability whose log is in ``logq``, independently;
        no item of the positive's fine cluster is drawn. The clusters are saved in checkpoints.
    Cost: a clustering is 8 rounds of I (coarse + fine) products of D numbers and one pass of the backbone, every
        ``refresh`` epochs; a step costs as much as ``uniform``.
    Raises: UsageError if a count is below 1 or hard is not in 0..1.
    Source: the clustering (MSAC) of ESANS, Xing et al., WWW 2025, arXiv 2502.16077, whose abstract describes
        hierarchical clusters of item representations; classes and probabilities are from memory, and no code was
        found. Differs from the paper in: the vectors are the model's, not made from texts and pictures. Its
        interpolation is ``interpolated``.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> bound = ESANS(n=3, coarse=2, fine=1, hard=0.0, warmup=0).bind(train, seed=0)
    >>> bound.look(lambda: (torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])))
    >>> bound.draw(user, item, row, epoch=1).ids[0].tolist()
    [1, 1, 1]
    """

    n: int = 256
    coarse: int = 16
    fine: int = 8
    hard: float = 0.5
    warmup: int = 1
    refresh: int = 1
    exclude: bool = False

    needs: ClassVar[frozenset[str]] = frozenset({"vectors"})

    def __post_init__(self) -> None:
        check_n("esans", self.n)
        for name in ("coarse", "fine"):
            if getattr(self, name) < 1:
                raise UsageError(f"esans: {name} must be at least 1 cluster, got {getattr(self, name)}")
        if not 0 <= self.hard <= 1:
            raise UsageError(f"esans: hard is a probability and must be in 0..1, got {self.hard}")
        check_n_epochs("esans", "warmup", self.warmup, 0)
        check_n_epochs("esans", "refresh", self.refresh, 1)

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.hard": [0.1, 0.25, 0.5], "negatives.fine": [4, 8, 32]}

    def bind(self, train: Interactions, seed: int) -> BoundESANS:
        return BoundESANS(self, Known(train), seed)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items, logq=True)


class BoundESANS(BoundSampler):
    """:class:`ESANS` bound to a log and a seed.

    Attributes:
        cluster: [2, I] the coarse and the fine cluster of each item (fine numbers differ between coarse clusters).
        block: which span of ``refresh`` epochs the clusters are of; -1 before the first.
    """

    def __init__(self, how: ESANS, known: Known, seed: int):
        self.how, self.known, self.seed = how, known, seed
        self._uniform = BoundPerRow(known, by_popularity(known, 0.0), seed, how.n, exclude=False)
        self._vectors: Vectors | None = None
        self._use(np.zeros((2, known.train.n_items), dtype=np.int64), -1)

    def look(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PerRowNegatives:
        """Ids [B, n], their ``logq``, and ``absent`` for known positives and for rows without any."""
        users, rows = user.numpy(), row.numpy()
        if epoch <= self.how.warmup:
            plain = self._uniform.draw(user, item, row, epoch)
            absent = self._known(users, plain.ids.numpy())
            return PerRowNegatives(ids=plain.ids, logq=plain.logq, absent=absent)
        block = (epoch - self.how.warmup - 1) // self.how.refresh
        if block != self.block:
            assert self._vectors is not None, "esans looks at vectors; call look() first"
            key = draw.key(self.seed, "clusters", block)
            items = self._vectors()[1].detach().cpu().float()
            self._use(two_level(items, self.how.coarse, self.how.fine, key), block)
        ids, log_q, none = self._drawn(item.numpy(), rows, epoch)
        absent = self._known(users, ids)
        if none.any():
            wide = torch.from_numpy(none)[:, None].expand(-1, self.how.n)
            absent = wide if absent is None else absent | wide
        return PerRowNegatives(ids=torch.from_numpy(ids), logq=torch.from_numpy(log_q), absent=absent)

    def _drawn(self, item: Index, rows: Index, epoch: int) -> tuple[Index, NDArray[np.float32], NDArray[np.bool_]]:
        n_items = self.known.train.n_items
        wide, narrow = (edges[cluster[item]] for edges, cluster in zip(self._edges, self.cluster, strict=True))
        n_hard = np.diff(wide)[:, 0] - np.diff(narrow)[:, 0]
        n_easy = n_items - np.diff(wide)[:, 0]
        none = n_hard + n_easy == 0
        share = np.where(n_hard == 0, 0.0, np.where(n_easy == 0, 1.0, self.how.hard))
        words = draw.bits(draw.key(self.seed, "esans", epoch), rows, self.how.n)
        hard = draw.heads(words, share)
        many = np.where(hard, n_hard[:, None], n_easy[:, None])
        rank = draw.below(words, np.maximum(many, 1))
        # Ranks count the places of a class in the order of clusters, in which what is left out is one span.
        out = np.where(hard[:, :, None], narrow[:, None], wide[:, None])
        rank += np.where(hard, wide[:, :1], 0)
        place = np.where(rank < out[:, :, 0], rank, rank + out[:, :, 1] - out[:, :, 0])
        ids = self._order[np.where(none[:, None], 0, place)]
        with np.errstate(divide="ignore"):
            chance = np.where(hard, share[:, None], 1 - share[:, None]) / np.maximum(many, 1)
            log_q = np.where(none[:, None], 0.0, np.log(chance)).astype(np.float32)
        return ids, log_q, none

    def _known(self, users: Index, ids: Index) -> Tensor | None:
        return torch.from_numpy(self.known.among(users, ids)) if self.how.exclude else None

    def _use(self, cluster: Index, block: int) -> None:
        self.cluster, self.block = cluster, block
        self._order = np.lexsort((cluster[1], cluster[0]))
        self._edges = []
        for numbers in cluster:
            count = np.bincount(numbers)
            stop = np.zeros(len(count), dtype=np.int64)
            present = np.flatnonzero(count)
            first = np.full(len(count), len(numbers))
            np.minimum.at(first, numbers[self._order], np.arange(len(numbers)))
            stop[present] = first[present] + count[present]
            self._edges.append(np.stack([first, stop], 1))

    def state(self) -> Mapping[str, NDArray[Any]]:
        return {"cluster": self.cluster, "block": np.array([self.block])}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._use(state["cluster"].copy(), int(state["block"][0]))


def two_level(vectors: Tensor, coarse: int, fine: int, stream: int) -> Index:
    """[2, I] the coarse and the fine cluster of each vector; fine cluster f of coarse cluster c is c * fine + f."""
    first = k_means(vectors, coarse, stream)
    second = np.empty_like(first)
    for c in np.unique(first):
        inside = np.flatnonzero(first == c)
        second[inside] = c * fine + k_means(vectors[torch.from_numpy(inside)], fine, stream + 1 + int(c))
    return np.stack([first, second])


def k_means(vectors: Tensor, k: int, stream: int) -> Index:
    """[I] the cluster of each vector after :data:`ROUNDS` rounds of Lloyd's algorithm from k vectors drawn at random.

    Ties go to the first cluster; one that loses all vectors keeps its centre. Same bits for any number of threads.
    """
    if len(vectors) <= k:
        return np.arange(len(vectors))
    table = vectors.double().numpy()
    first = table[draw.permutation(stream, len(table))[:k]]
    with warnings.catch_warnings(action="ignore"):  # that a cluster lost all vectors
        found = kmeans2(table, first, iter=ROUNDS, minit="matrix")[1]
    return found.astype(np.int64)
