"""SL@K: the softmax loss of pairs weighted by whether they reach a user's top K."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from taurec.errors import UsageError
from taurec.losses.logspace import present
from taurec.losses.protocol import Scores, checked, checked_row_input, require_number
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class SLAtK:
    """Softmax loss at K: pairs above their user's top-K threshold weigh more.

        L_b = sigmoid((pos_b - threshold_b) / tau_weight) * (-pos_b / tau + log sum_n exp(neg_bn / tau))

    A bound on NDCG@K. The threshold of a user is the score of place K; training supplies it
    (:class:`taurec.training.thresholds.Thresholds`): 0 at first, and after every ``refresh_every`` epochs the K-th
    largest score among the user's training items and ``samples`` items drawn uniformly (among all items, where there
    are no more). With tau_weight so large
    that the weight is constant it is SL. The gradient goes through the weight too, so it has no fixed sign.

    Args:
        tau: temperature of the negatives, in score units.
        tau_weight: how softly the threshold cuts, in score units.
        k: the length of the lists that matter.
        refresh_every: epochs between two estimates of the thresholds.
        samples: items drawn for each user and estimate; at least k.
    Called with: pos [B], neg [B, N], threshold [B] in score units; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError for a setting out of range, or if threshold is missing.
    Source: Yang et al., arXiv 2508.05673, as in IR-Benchmark (optimizer SL@K, thresholds by sorting). Differs in:
    all thresholds are estimated together at the end of an epoch with draws of their own, where theirs are estimated
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
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "tau_weight", above=0)
        require_number(self, "k", least=1)
        require_number(self, "refresh_every", least=1)
        if self.samples < self.k:
            raise UsageError(f"SLAtK: samples must be at least k = {self.k}, got {self.samples!r}")

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        threshold = checked_row_input("threshold", threshold, pos, "SLAtK")
        weight = torch.sigmoid((pos - threshold) / self.tau_weight)
        return present(weight * (reduced - pos / self.tau), n)

    def __call__(self, pos: Tensor, neg: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg), threshold=threshold)
