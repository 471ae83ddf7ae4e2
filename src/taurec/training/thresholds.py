"""The top-K thresholds of SL@K: for each user the score that its K-th best item has, estimated from a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.losses.topk import SLAtK
from taurec.types import Batch

BLOCK_VALUES = 1 << 21
"""Numbers of a block of users at most, in the widest array an estimate makes."""


class Thresholds:
    """A threshold for each user: 0, then re-estimated after every ``refresh_every`` epochs.

    The estimate is the K-th largest score among the user's training items and ``samples`` uniform draws with
    repetition, which are a function of (seed, epoch, user). Of a catalogue that is no larger than that it is the
    K-th largest score of all.

    Args:
        loss: its settings.
        train: the training pairs.
        seed: of the draws.
    """

    supplies = frozenset({"threshold"})

    def __init__(self, loss: SLAtK, train: Interactions, seed: int = 0):
        self.loss, self.train, self.seed = loss, train, seed
        self.threshold = torch.zeros(train.n_users)

    def begin_epoch(self, epoch: int, vectors: Callable[[], tuple[Tensor, Tensor]]) -> None:
        done = epoch - 1
        if done and done % self.loss.refresh_every == 0:
            user, item = vectors()
            self.threshold = self._estimated(user.cpu(), item.cpu(), draw.key(self.seed, "top-k threshold", done))

    def side(self, batch: Batch) -> dict[str, Tensor]:
        return {"threshold": self.threshold.to(batch.user.device)[batch.user]}

    def observe(self, batch: Batch, pos: Tensor, neg: Tensor | None) -> None:
        """Nothing hangs on single steps."""

    def state(self) -> dict[str, NDArray[Any]]:
        return {"threshold": self.threshold.numpy().copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.threshold.copy_(torch.from_numpy(state["threshold"]))

    def _estimated(self, user: Tensor, item: Tensor, stream: int) -> Tensor:
        """[U] thresholds; users of about equal numbers of items are worked on together."""
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
