"""SL@K: the softmax loss with pairs weighted by whether they reach a user's top K."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.errors import UsageError
from taurec.losses.checks import checked_row_input, require_number
from taurec.losses.logspace import present
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce
from taurec.losses.state import TrainingLog, UserNumbers, Vectors

BLOCK_VALUES = 1 << 21
"""Upper bound of the values in the widest array of an estimate, which sets the users per block."""


@dataclass(frozen=True)
class SLAtK(StreamedLoss):
    """Softmax loss at K: pairs above their user's top-K threshold weigh more.

        L_b = sigmoid((pos_b - threshold_b) / tau_weight) * (-pos_b / tau + log sum_n exp(neg_bn / tau))

    A bound on NDCG@K. The threshold of a user is the score at rank K, as :class:`TopKThresholds` estimates it
    during training. If tau_weight is so large that the weight is constant, it is SL. The gradient goes through the
    weight too, so it has no fixed sign.

    Args:
        tau: temperature of the negatives, in score units.
        tau_weight: softness of the threshold, in score units.
        k: length of the list that matters.
        refresh_every: epochs between two estimates of the thresholds.
        samples: items drawn for each user and estimate; at least k.
    Called with: pos [B], neg [B, N], threshold [B] in score units; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if threshold is missing.
    Runs on: gather-dot, catalogue.
    Source: Yang et al., arXiv 2508.05673, as in IR-Benchmark (optimizer SL@K, thresholds by sorting). Differs in:
    all thresholds are estimated together at the end of an epoch with separate draws, where theirs are estimated
    batch by batch during that epoch, from the batch's negatives; all training items of a user count, where theirs
    stop at the 90th percentile of the numbers of items.

    >>> SLAtK(tau=0.5)(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]), threshold=torch.tensor([1.0]))
    tensor([-0.6534])
    """

    tau: float = 0.1
    tau_weight: float = 1.0
    k: int = 20
    refresh_every: int = 5
    samples: int = 1000

    needs: ClassVar[frozenset[str]] = frozenset({"threshold"})
    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "tau_weight", above=0)
        require_number(self, "k", least=1)
        require_number(self, "refresh_every", least=1)
        if self.samples < self.k:
            raise UsageError(f"SLAtK: samples must be at least k = {self.k}, got {self.samples!r}")

    def state(self, train: TrainingLog, seed: int) -> TopKThresholds:
        return TopKThresholds(self, train, seed)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.tau_weight": [0.5, 1.0, 2.0]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        threshold = checked_row_input("threshold", threshold, pos, "SLAtK")
        weight = torch.sigmoid((pos - threshold) / self.tau_weight)
        return present(weight * (reduced - pos / self.tau), n)


class TopKThresholds(UserNumbers):
    """The thresholds of SL@K: one per user, 0 at first, estimated after every ``refresh_every`` epochs.

    The estimate is the K-th largest score among the user's training items and ``samples`` items drawn uniformly with
    repetition, a function of (seed, epoch, user). If the catalogue has no more than ``samples`` items, it is the K-th
    largest score of all.

    Args:
        loss: its settings.
        train: the training pairs.
        seed: of the draws.
    """

    def __init__(self, loss: SLAtK, train: TrainingLog, seed: int = 0):
        super().__init__("threshold", torch.zeros(train.n_users))
        self.loss, self.train, self.seed = loss, train, seed

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        done = epoch - 1
        if done and done % self.loss.refresh_every == 0:
            user, item = vectors()
            self.numbers = self._estimated(user.cpu(), item.cpu(), draw.key(self.seed, "top-k threshold", done))

    def _estimated(self, user: Tensor, item: Tensor, stream: int) -> Tensor:
        """[U] thresholds; users with similar numbers of items form a block."""
        counts = self.train.user_counts
        result = torch.empty(len(user))
        by_count, start = np.argsort(counts, kind="stable"), 0
        while start < len(by_count):
            width = self.loss.samples + int(counts[by_count[start]])
            block = by_count[start : start + max(1, BLOCK_VALUES // (width * user.shape[1]))]
            result[torch.from_numpy(block)] = self._block(user, item, block, stream)
            start += len(block)
        return result

    def _block(self, user: Tensor, item: Tensor, block: NDArray[np.int64], stream: int) -> Tensor:
        counts, of_user = self.train.user_counts[block], user.index_select(0, torch.from_numpy(block))
        k = min(self.loss.k, self.train.n_items)
        if self.train.n_items <= self.loss.samples:
            return (of_user @ item.T).topk(k, dim=1).values[:, -1]
        own = np.full((len(block), int(counts.max(initial=0))), -1, dtype=np.int64)
        for row, u in enumerate(block):
            own[row, : counts[row]] = self.train.indices[self.train.indptr[u] : self.train.indptr[u + 1]]
        drawn = draw.integers(stream, block, self.train.n_items, self.loss.samples)
        ids = torch.from_numpy(np.concatenate([own, drawn], axis=1))
        vectors = item.index_select(0, ids.clamp(min=0).reshape(-1)).view(*ids.shape, -1)
        scores = torch.bmm(vectors, of_user[:, :, None])[:, :, 0]
        return scores.masked_fill(ids < 0, -torch.inf).topk(k, dim=1).values[:, -1]
