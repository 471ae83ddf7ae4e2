"""Talos: the softmax loss on log-sigmoid scores above a threshold of the user, which is a learned quantile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import TrainingLog, UserNumbers
from taurec.types import Batch


@dataclass(frozen=True)
class Talos(ScoreLoss):
    """Softmax loss on log-sigmoid scores: pairs far above their user's threshold no longer pull.

        L_b = -g(pos_b) / tau + log sum_n exp(g(neg_bn) / tau),  g(x) = log sigmoid(x - threshold_b)

    A surrogate of Precision@K: the threshold is meant to be the user's K-th largest score, and what lies above it is in
    the list anyway. It is constant in the loss; :class:`QuantileThresholds` learns it. With a threshold of plus
    infinity the loss is SL. The slope of g is about 1/2 near the threshold, so a tau acts like twice that tau in SL.

    Args:
        tau: temperature, in units of log-sigmoid scores.
        k: length of the list that matters, the K of the threshold.
        threshold_lr: learning rate of the thresholds, in score units per step.
        learn: False keeps every threshold at 0, which has most of the gain in the paper's ablation.
    Called with: pos [B], neg [B, N], threshold [B] in score units; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if threshold is missing.
    Runs on: gather-dot. No catalogue path: log-sigmoid is none of the functions that are streamed.
    Source: Zhang et al., WWW 2026, arXiv 2601.19276, eq. 3.7 (loss) and 3.3 (threshold), as in the authors' repository
    WWW-2026-Talos, optimizer QR; tau there 0.05 to 0.3, 1,024 uniform negatives. Differs in: the log of the sigmoid is
    computed as such; the thresholds, see :class:`QuantileThresholds`.

    >>> Talos(tau=0.5)(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]), threshold=torch.tensor([0.0]))
    tensor([-0.0666])
    """

    tau: float = 0.1
    k: int = 20
    threshold_lr: float = 1e-3
    learn: bool = True

    needs: ClassVar[frozenset[str]] = frozenset({"threshold"})
    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "k", least=1)
        require_number(self, "threshold_lr", above=0)

    def state(self, train: TrainingLog, seed: int) -> QuantileThresholds:
        return QuantileThresholds(self, train)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2]}

    def __call__(self, pos: Tensor, neg: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        threshold = checked_row_input("threshold", threshold, pos, "Talos").detach()
        g_pos, g_neg = -softplus(threshold - pos), -softplus(threshold[:, None] - neg)
        return present(log_sum_exp(g_neg, self.tau) - g_pos / self.tau, count_present(neg))


class QuantileThresholds(UserNumbers):
    """The thresholds of Talos: one number per user, 0 at first, moved by quantile regression after every step.

    A user with P training items, of I, has the threshold b that minimises

        Q(b) = (1/I) [sum_(i in P) rho(s_i - b) + (I - P) mean_n rho(s_n - b)]
        rho(x) = (1 - K/I) max(0, x) + (K/I) max(0, -x)

    the K-th largest score, where the negatives s_n are drawn from the other items. A step of Adam (betas .9 and .999,
    all users in every step) follows the slope of Q, averaged over the rows of the batch, at the scores of the step.

    Differs from the authors' code in: a row's own positive represents all P positives of its user, with weight P, where
    theirs scores all of them in every row. Over the rows of a user in an epoch the mean slope is the same.

    Args:
        loss: its settings.
        train: the training pairs.
    """

    def __init__(self, loss: Talos, train: TrainingLog):
        super().__init__("threshold", torch.zeros(train.n_users))
        self.loss, self.n_items = loss, train.n_items
        self._own = torch.from_numpy(train.user_counts.copy())
        self._first, self._second = torch.zeros(train.n_users), torch.zeros(train.n_users)
        self._steps = 0

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        if not self.loss.learn:
            return
        assert pos is not None
        assert neg is not None  # held, as the loss has no catalogue path
        user, threshold = batch.user.cpu(), self.side(batch)["threshold"]
        own = self._own.to(batch.user.device)[batch.user]
        slope = quantile_slope(pos, neg, threshold, own, self.n_items, self.loss.k).cpu()
        # index_add on the CPU adds in the order of rows: the same bits for any number of threads.
        self._adam(torch.zeros_like(self.numbers).index_add_(0, user, slope / max(len(user), 1)))

    def state(self) -> dict[str, NDArray[Any]]:
        return {**super().state(), **{name: tensor.numpy().copy() for name, tensor in self._of_adam().items()}}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().load_state(state)
        for name, tensor in self._of_adam().items():
            tensor.copy_(torch.from_numpy(state[name]))
        self._steps = int(state["steps"][0])

    def _of_adam(self) -> dict[str, Tensor]:
        return {"first": self._first, "second": self._second, "steps": torch.tensor([self._steps])}

    def _adam(self, gradient: Tensor) -> None:
        self._steps += 1
        self._first.lerp_(gradient, 0.1)
        self._second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        rate = self.loss.threshold_lr / (1 - 0.9**self._steps)
        root = (self._second / (1 - 0.999**self._steps)).sqrt_()
        self.numbers.addcdiv_(self._first, root.add_(1e-8), value=-rate)


def quantile_slope(pos: Tensor, neg: Tensor, threshold: Tensor, own: Tensor, n_items: int, k: int) -> Tensor:
    """[B] slope of Q by the threshold, with a row's own positive for all of its user; 0 for a row without negatives.

    Args:
        pos, neg: [B], [B, N]; -inf marks an absent negative.
        threshold: [B].
        own: [B] training items of the user.
        n_items: I.
        k: K.

    >>> quantile_slope(torch.tensor([0.9]), torch.tensor([[0.1, 0.8]]), torch.zeros(1), torch.tensor([2]), 10, 1)
    tensor([-0.9000])
    """
    n = count_present(neg)
    own = own.to(pos.dtype)
    each = (n_items - own) / n.clamp(min=1)
    at = threshold[:, None]
    above = own * (pos > threshold) + each * (neg > at).sum(1)
    below = own * (pos < threshold) + each * ((neg < at) & (neg > -torch.inf)).sum(1)
    share = k / n_items
    return present((share * below - (1 - share) * above) / n_items, n)
