"""Adap-tau: the softmax loss with one temperature per user, derived from the log, the vectors and the user's loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import lambertw
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present
from taurec.losses.protocol import ScoreLoss, Scores
from taurec.losses.state import LossState, TrainingLog, Vectors
from taurec.types import Batch

FEW = 0.2
"""Share of users, those with the fewest pairs, whose pairs do not enter tau_0."""
LEAST_GAP = 0.05
"""Lower bound of a measured gap, without which tau_0 could be 0 or negative."""
BLOCK = 1 << 16
"""Pairs scored at once."""


@dataclass(frozen=True)
class AdapTau(ScoreLoss):
    """Softmax loss with one temperature per user, which training derives from the data.

        L_b = -pos_b / tau_pos_b + log sum_n exp(neg_bn / tau_b)

    The loss itself only takes the temperatures. The settings are those of :class:`UserTemperatures`, which
    sets them at the start of each epoch, from one number for all users and the users' losses:

        tau_0 = gap / log(U I / (2 P)),    tau_u = tau_0 exp(W(max(-1/e, (l_u - m) / beta)))

    with U the users apart from the fifth with the fewest pairs, their P pairs and I items; W is Lambert's
    function; l_u is the mean over the user's rows of the last epoch of the loss at temperature 1, and m the
    middle of the l_u. The rows of a user with a low loss get a small tau, down to tau_0 / e, the others a large
    one. tau_pos is tau_0 for all. In the first epoch tau is tau_0.

    Args:
        beta: scale of the loss differences, in nats; the larger, the less tau_u varies.
        middle: m as the ``mean`` of the users' losses, or their ``quantile``; with ``none`` every tau_u is tau_0.
        quantile: which quantile.
        gap: mean cosine of the training pairs minus that of all pairs of a user and an item, as assumed in
            the first ``warmup`` epochs.
        warmup: epochs with that gap; afterwards it is measured before each epoch, with 0.05 as the lower bound.
    Called with: pos [B], neg [B, N], tau [B], optional tau_pos [B] (tau where it is not given), in score units;
    -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if tau is missing.
    Runs on: gather-dot. No catalogue path: its temperature differs between rows, and the scores are observed.
    Source: Chen et al., WWW 2023, arXiv 2302.04775, as in the authors' repository Adap_tau, whose modes
    ``weight_mean``, ``weight_ratio`` and ``weight_v0`` are the three values of ``middle``; their ``temperature`` is
    ``quantile``, ``temperature_2`` is ``beta`` and ``cnt_lr`` is ``warmup``. In their runs scores are cosines in
    training (ranking is by cosine for MF, by dot product for LightGCN), the pair is not in the sum, the temperature
    of the pair's own score is tau_0, and in-batch negatives leave out the diagonal only. Differs in: log space;
    Lambert's function itself, where theirs is a table in steps of 1e-4; a measured gap is bounded below; where the
    log is so dense that tau_0 is not positive, training refuses.

    >>> import torch
    >>> AdapTau()(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]), tau=torch.tensor([0.5]))
    tensor([-1.3069])
    """

    beta: float = 1.0
    middle: Literal["mean", "quantile", "none"] = "mean"
    quantile: float = 0.9
    gap: float = 0.7
    warmup: int = 100

    needs: ClassVar[frozenset[str]] = frozenset({"tau"})
    takes: ClassVar[frozenset[str]] = frozenset({"tau_pos"})
    scores: ClassVar[Scores] = "cosine"

    def state(self, train: TrainingLog, seed: int) -> UserTemperatures:
        return UserTemperatures(self, train)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.beta": [0.5, 1.0, 2.0]}

    def __post_init__(self) -> None:
        require_number(self, "beta", above=0)
        require_number(self, "quantile", least=0, most=1)
        require_number(self, "gap", above=0)
        require_number(self, "warmup", least=0)

    def __call__(self, pos: Tensor, neg: Tensor, *, tau: Tensor | None = None, tau_pos: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        tau = checked_row_input("tau", tau, pos, "AdapTau")
        tau_pos = tau if tau_pos is None else checked_row_input("tau_pos", tau_pos, pos, "AdapTau")
        return present(log_sum_exp(neg / tau[:, None]) - pos / tau_pos, count_present(neg))


class UserTemperatures(LossState):
    """The temperatures of Adap-tau: tau of each user, and tau_0; see :class:`AdapTau` for the formulas.

    Args:
        loss: its settings.
        train: the training pairs.
    Raises: UsageError if half of all pairs or more are observed: no temperature follows from such a log.
    """

    supplies = frozenset({"tau", "tau_pos"})

    def __init__(self, loss: AdapTau, train: TrainingLog):
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

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        gap = self.loss.gap if epoch <= self.loss.warmup else max(self._measured(*vectors()), LEAST_GAP)
        self.tau_0 = gap / self.log_sparsity
        self.tau = torch.from_numpy(self.tau_0 * self.shares()).to(torch.float32)
        self._sum.zero_()
        self._rows.zero_()

    def shares(self) -> NDArray[np.float64]:
        """[U] tau_u / tau_0 from the losses observed in this epoch; 1 for a user without rows."""
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

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        assert pos is not None
        assert neg is not None  # held, as the loss has no catalogue path
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
        of_all = user[self._active].double().mean(0) @ item.double().mean(0)
        return total / len(self._user) - float(of_all)


def principal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lambert's W on its principal branch, the solution w >= -1 of w exp(w) = x, with -1/e as the lower bound of x.

    >>> principal(np.array([-1.0, 0.0, np.e])).tolist()
    [-1.0, 0.0, 1.0]
    """
    least = -math.exp(-1)
    w: NDArray[np.float64] = lambertw(np.maximum(x, least)).real
    # At the branch point itself rounding may leave NaN.
    return np.where(x <= least, -1.0, w)
