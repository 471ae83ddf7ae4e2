"""BC loss: sampled softmax with an angle added to a pair, larger where popularity explains the pair less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from taurec import draw, notices
from taurec.losses.angle import cosine_plus_angle
from taurec.losses.checks import require_number
from taurec.losses.logspace import log_sum_exp, present, softplus
from taurec.losses.protocol import Scores, StreamedLoss
from taurec.losses.reduction import RowReduce
from taurec.losses.state import LossState, TrainingLog, Vectors, random_table
from taurec.types import Batch

ROWS = 1024
"""Pairs per step of the popularity branch."""


@dataclass(frozen=True)
class BC(StreamedLoss):
    """Sampled softmax with an angle added to that of the pair, which depends on popularity.

        L_b = -log(exp(c_b / tau) / (exp(c_b / tau) + sum_n exp(neg_bn / tau)))
        c_b = cos(min(theta_b + A_b, pi))

    with theta_b the angle of the pair, cos(theta_b) = pos_b. A pair that the popularity of its user and its item does
    not explain gets a larger angle A_b, and so has to be learned better. With A = 0 it is SSM. The angles are those of
    :class:`PopularityAngles`, a small model of popularity alone, trained before the first epoch and then constant.

    Args:
        tau: temperature of the loss, in units of the cosine.
        tau_pop: temperature of the popularity model.
        pop_epochs: passes of the popularity model over the log.
        pop_lr: its learning rate.
    Called with: pos [B], neg [B, N] cosines, angle [B] in radians, 0 to 1; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if angle is missing.
    Runs on: gather-dot, catalogue.
    Source: Zhang et al., NeurIPS 2022, as in the authors' repository BC-Loss. Differs in: the angle is bounded so that
    the sum is at most pi, without which the loss would not be monotone; no weight 1 - w (0.5 there), which only scales
    it; the popularity model is trained before the first epoch, where theirs takes the first five epochs of the run; no
    constant for it in the value; its negatives are uniform over all items and it has no L2; ranking by the cosine,
    where theirs is by the dot product.

    >>> BC(tau=1.0)(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]), angle=torch.tensor([0.0]))
    tensor([1.0986])
    """

    tau: float = 0.07
    tau_pop: float = 0.1
    pop_epochs: int = 5
    pop_lr: float = 1e-3

    needs: ClassVar[frozenset[str]] = frozenset({"angle"})
    scores: ClassVar[Scores] = "cosine"
    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "tau_pop", above=0)
        require_number(self, "pop_epochs", least=0)
        require_number(self, "pop_lr", above=0)

    def state(self, train: TrainingLog, seed: int) -> PopularityAngles:
        return PopularityAngles(self, train, seed)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.07, 0.1, 0.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, angle: Tensor | None = None) -> Tensor:
        return present(softplus(reduced - cosine_plus_angle(pos, angle, "BC") / self.tau), n)


class PopularityAngles(LossState):
    """The angles of BC loss: 1 - sigmoid(<v_u, w_i>), with a vector for each level of popularity.

    Users with the same number of items share a vector v, items with the same number of users a vector w. They are
    trained as SSM at ``tau_pop`` on the cosines, with 128 uniform negatives per pair; the angle uses inner products.

    Args:
        loss: its settings.
        train: the training pairs.
        seed: of all draws.
    """

    supplies = frozenset({"angle"})
    dim = 64
    negatives = 128

    def __init__(self, loss: BC, train: TrainingLog, seed: int = 0):
        self.loss, self.train, self.seed = loss, train, seed
        self._user_level, users = _levels(train.user_counts)
        self._item_level, items = _levels(train.item_counts)
        self.user = random_table(seed, "popularity of users", users, self.dim)
        self.item = random_table(seed, "popularity of items", items, self.dim)
        self._trained = False

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        if self._trained:
            return
        both = [self.user.requires_grad_(), self.item.requires_grad_()]
        adam = torch.optim.Adam(both, lr=self.loss.pop_lr)
        rows = self.loss.pop_epochs * len(self.train)
        tell = notices.Steps("rows of the popularity model", rows)
        for done in range(self.loss.pop_epochs):
            order = draw.permutation(draw.key(self.seed, "popularity order", done), len(self.train))
            for first in range(0, len(order), ROWS):
                adam.zero_grad()
                self._value(order[first : first + ROWS], done).backward()  # type: ignore[no-untyped-call]
                adam.step()
                tell(done * len(order) + first + ROWS)
        self.user, self.item = self.user.detach(), self.item.detach()
        self._trained = True

    def side(self, batch: Batch) -> dict[str, Tensor]:
        user = F.embedding(self._user_level[batch.user.cpu()], self.user)
        item = F.embedding(self._item_level[batch.item.cpu()], self.item)
        return {"angle": torch.sigmoid(-(user * item).sum(1)).detach().to(batch.user.device)}

    def state(self) -> dict[str, NDArray[Any]]:
        return {"user": self.user.numpy().copy(), "item": self.item.numpy().copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.user, self.item = torch.from_numpy(state["user"].copy()), torch.from_numpy(state["item"].copy())
        self._trained = True

    def _value(self, rows: NDArray[np.int64], done: int) -> Tensor:
        """The mean SSM of some pairs, by their positions in the log."""
        stream = draw.key(self.seed, "popularity negatives", done)
        drawn = draw.integers(stream, rows, self.train.n_items, self.negatives)
        items = torch.from_numpy(np.concatenate([self.train.indices[rows][:, None], drawn], axis=1))
        # the levels are few: the cosines of all of them, and then one number of each negative
        of_levels = F.normalize(self.user, dim=1) @ F.normalize(self.item, dim=1).T
        at = self._user_level[torch.from_numpy(self.train.user_of[rows])][:, None] * len(self.item)
        cosine = F.embedding(at + self._item_level[items], of_levels.reshape(-1, 1))[:, :, 0]
        return (log_sum_exp(cosine, self.loss.tau_pop) - cosine[:, 0] / self.loss.tau_pop).mean()


def _levels(counts: NDArray[Any]) -> tuple[Tensor, int]:
    """The level of each count among the different ones, and their number."""
    different, level = np.unique(counts, return_inverse=True)
    return torch.from_numpy(level.astype(np.int64)), len(different)
