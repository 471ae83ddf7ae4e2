"""AdvInfoNCE: sampled softmax whose negatives are weighed by an adversary, which learns which of them are hard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taurec.errors import UsageError
from taurec.losses.checks import checked, require_number
from taurec.losses.logspace import count_present, log_sum_exp, present, softplus
from taurec.losses.protocol import ScoreLoss
from taurec.losses.state import LossState, TrainingLog, Vectors, column_items, random_table
from taurec.types import Batch

FIRST = 2
"""Adversarial epochs are those whose number, plus this, is a multiple of ``interval``: 3, 8, 13 with the default."""


@dataclass(frozen=True)
class AdvInfoNCE(ScoreLoss):
    """Sampled softmax with the negatives weighed by an adversary.

        L_b = -log(exp(pos_b / tau) / (exp(pos_b / tau) + k_neg * n_b * sum_n a_bn exp(neg_bn / tau)))
        a_bn = softmax over the row's n_b negatives of log_weight_bn

    log(n_b a_bn) is the hardness of a negative: above 0 it counts more than in the softmax. With equal weights and
    k_neg = 1 it is SSM. The logits are those of :class:`Adversary`, which raises the loss in a few epochs, while the
    vectors lower it, and is constant in the others.

    Args:
        tau: temperature, in score units.
        k_neg: weight of all negatives together.
        interval: epochs from one adversarial epoch to the next; the first is the epoch ``interval - 2``.
        adversarial_epochs: how many there are; more of them move the weights further from equal ones.
        adversary_lr: learning rate of the adversary, 5e-5 to 1e-2 in the authors' commands.
        dim: width of the adversary's vectors.
    Called with: pos [B], neg [B, N], log_weight [B, N], the adversary's logits; -inf in neg marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if log_weight is missing or does not fit.
    Runs on: gather-dot. No catalogue path: each negative of a row has its own weight. The adversary's logits cost
    another gather of [B, N, dim].
    Source: Zhang et al., NeurIPS 2023, as in the authors' repository AdvInfoNCE (version ``embed``). Differs in: log
    space; the adversary learns in the model's steps of an adversarial epoch, where theirs has a separate pass over the
    log before such an epoch, with the model frozen; it has no L2 (theirs adds that of the model, which does not reach
    it); its Adam counts the steps of the run, so its first steps are a few times larger than the learning rate.

    >>> both = torch.tensor([[0.0, 0.0]])
    >>> AdvInfoNCE(tau=1.0, k_neg=1.0)(torch.tensor([0.0]), both, log_weight=both)
    tensor([1.0986])
    """

    tau: float = 0.1
    k_neg: float = 64.0
    interval: int = 5
    adversarial_epochs: int = 7
    adversary_lr: float = 5e-5
    dim: int = 64

    needs: ClassVar[frozenset[str]] = frozenset({"log_weight"})
    temperature: ClassVar[str | None] = "tau"
    softmax_weights: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "k_neg", above=0)
        require_number(self, "interval", least=1)
        require_number(self, "adversarial_epochs", least=0)
        require_number(self, "adversary_lr", above=0)
        require_number(self, "dim", least=1)

    def state(self, train: TrainingLog, seed: int) -> Adversary:
        return Adversary(self, train, seed)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2], "loss.adversary_lr": [5e-5, 1e-3]}

    def __call__(self, pos: Tensor, neg: Tensor, *, log_weight: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if log_weight is None or log_weight.shape != neg.shape:
            got = "nothing" if log_weight is None else f"shape {tuple(log_weight.shape)}"
            raise UsageError(f"AdvInfoNCE needs log_weight=[B, N], a logit for each negative; got {got}")
        n = count_present(neg)
        absent = neg == -math.inf
        logits = log_weight.to(neg.dtype).masked_fill(absent, -math.inf)
        log_a = (logits - log_sum_exp(logits)[:, None]).masked_fill(absent, -math.inf)
        weighed = log_sum_exp(neg / self.tau + log_a) + n.clamp(min=1).log() + math.log(self.k_neg)
        return present(softplus(weighed - pos / self.tau), n)


class Adversary(LossState):
    """The adversary of AdvInfoNCE: a vector for each user and item, whose inner products are the logits of negatives.

    In an adversarial epoch Adam moves the vectors in the direction that raises the loss. They begin at normal draws of
    standard deviation sqrt(2 / (rows + dim)).

    Args:
        loss: its settings.
        train: the training pairs.
        seed: of the draws.
    """

    supplies = frozenset({"log_weight"})
    asks_items = "weighs items by its adversary"

    def __init__(self, loss: AdvInfoNCE, train: TrainingLog, seed: int = 0):
        self.loss, self.lr = loss, loss.adversary_lr
        self.user = nn.Parameter(random_table(seed, "adversary's users", train.n_users, loss.dim))
        self.item = nn.Parameter(random_table(seed, "adversary's items", train.n_items, loss.dim))
        self.learns = False

    def parameters(self) -> dict[str, nn.Parameter]:
        return {"adversary's user": self.user, "adversary's item": self.item}

    def begin_epoch(self, epoch: int, vectors: Vectors) -> None:
        self.learns = epoch in self.epochs()

    def epochs(self) -> range:
        """The adversarial epochs, which are numbered from 1; the first epoch is none."""
        every, number = self.loss.interval, self.loss.adversarial_epochs
        first = next(e for e in range(2, every + 2) if (e + FIRST) % every == 0)
        return range(first, first + every * number, every)

    def side(self, batch: Batch) -> dict[str, Tensor]:
        items = column_items(batch)
        with torch.set_grad_enabled(self.learns):
            user, item = F.embedding(batch.user, self.user), F.embedding(items, self.item)
            logits = user @ item.T if item.ndim == 2 else torch.bmm(item, user[:, :, None])[:, :, 0]
        # equal in value, with the opposite gradient: Adam lowers the loss, and this raises it
        return {"log_weight": 2 * logits.detach() - logits if self.learns else logits}
