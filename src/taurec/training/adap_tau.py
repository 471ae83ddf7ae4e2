"""The temperatures of Adap-tau: one number from the log and the vectors, and each user's from its loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import lambertw
from torch import Tensor

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses.adaptive import AdapTau
from taurec.losses.logspace import count_present, log_sum_exp
from taurec.types import Batch

FEW = 0.2
"""The share of users with the fewest pairs, whose pairs do not enter tau_0."""
LEAST_GAP = 0.05
"""What a measured gap is taken as at least: without one tau_0 would be 0 or below."""
BLOCK = 1 << 16
"""Pairs scored at once."""


class AdaptiveTau:
    """tau of each user and tau_0; see :class:`taurec.losses.AdapTau` for the formulas.

    Args:
        loss: its settings.
        train: the training pairs.
        seed: nothing is drawn here.
    Raises: UsageError where half of all pairs or more are observed: no temperature follows from such a log.
    """

    supplies = frozenset({"tau", "tau_pos"})

    def __init__(self, loss: AdapTau, train: Interactions, seed: int = 0):
        self.loss = loss
        counts = train.user_counts
        active = counts > np.quantile(counts[counts > 0], FEW)
        self._active = torch.from_numpy(active if active.any() else counts > 0)
        pairs = self._active.numpy()[train.user_of]
        self._user = torch.from_numpy(train.user_of[pairs])
        self._item = torch.from_numpy(train.indices[pairs].astype(np.int64))
        self.log_sparsity = math.log(int(self._active.sum()) * train.n_items / (2 * len(self._user)))
        if self.log_sparsity <= 0:
            raise UsageError(
                f"adap-tau takes its temperature from how sparse the log is, and of this one half of all pairs or "
                f"more are observed ({len(self._user):,} pairs of {int(self._active.sum()):,} users, "
                f"{train.n_items:,} items); use --loss sl or ssm with a tau of your own"
            )
        self.tau_0 = loss.gap / self.log_sparsity
        self.tau = torch.full((train.n_users,), self.tau_0)
        self._sum = torch.zeros(train.n_users, dtype=torch.float64)
        self._rows = torch.zeros(train.n_users, dtype=torch.float64)

    def begin_epoch(self, epoch: int, vectors: Callable[[], tuple[Tensor, Tensor]]) -> None:
        gap = self.loss.gap if epoch <= self.loss.warmup else max(self._measured(*vectors()), LEAST_GAP)
        self.tau_0 = gap / self.log_sparsity
        self.tau = torch.from_numpy(self.tau_0 * self.shares()).to(torch.float32)
        self._sum.zero_()
        self._rows.zero_()

    def shares(self) -> NDArray[np.float64]:
        """[U] tau_u / tau_0 by the losses seen since the epoch began; 1 for a user without rows."""
        seen = self._rows.numpy() > 0
        share = np.ones(len(seen))
        if self.loss.middle != "none" and seen.any():
            losses = self._sum.numpy()[seen] / self._rows.numpy()[seen]
            middle = losses.mean() if self.loss.middle == "mean" else np.quantile(losses, self.loss.quantile)
            share[seen] = np.exp(principal((losses - middle) / self.loss.beta))
        return share

    def side(self, batch: Batch) -> dict[str, Tensor]:
        tau = self.tau.to(batch.user.device)[batch.user]
        return {"tau": tau, "tau_pos": torch.full_like(tau, self.tau_0)}

    def observe(self, batch: Batch, pos: Tensor, neg: Tensor | None) -> None:
        assert neg is not None  # the loss has no reduction that could be streamed
        value = (log_sum_exp(neg) - pos).double().cpu()
        there = (count_present(neg) > 0).cpu()
        user = batch.user.cpu()[there]
        # index_add on the CPU adds in the order of rows: the same bits for any number of threads.
        self._sum.index_add_(0, user, value[there])
        self._rows.index_add_(0, user, torch.ones(len(user), dtype=torch.float64))

    def state(self) -> dict[str, NDArray[Any]]:
        return {"loss_sum": self._sum.numpy().copy(), "rows": self._rows.numpy().copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._sum.copy_(torch.from_numpy(state["loss_sum"]))
        self._rows.copy_(torch.from_numpy(state["rows"]))

    def _measured(self, user: Tensor, item: Tensor) -> float:
        """Mean cosine of the active users' pairs minus that of these users with all items."""
        user, item = user.cpu(), item.cpu()
        total = 0.0
        for start in range(0, len(self._user), BLOCK):
            part = slice(start, start + BLOCK)
            own = F.embedding(self._user[part], user) * F.embedding(self._item[part], item)
            total += float(own.sum(dim=1).double().sum())
        everybody = user[self._active].double().mean(0) @ item.double().mean(0)
        return total / len(self._user) - float(everybody)


def principal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lambert's W on its principal branch, the solution w >= -1 of w exp(w) = x, with x taken as at least -1/e.

    >>> principal(np.array([-1.0, 0.0, np.e])).tolist()
    [-1.0, 0.0, 1.0]
    """
    least = -math.exp(-1)
    w: NDArray[np.float64] = lambertw(np.maximum(x, least)).real
    # At the branch point itself rounding may leave NaN.
    return np.where(x <= least, -1.0, w)
