"""DrRL: a power mean over the negatives above a margin, which is learned for each user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.logspace import count_present, present
from taurec.losses.protocol import ScoreLoss, Scores
from taurec.losses.state import TrainingLog, UserNumbers
from taurec.types import Batch


@dataclass(frozen=True)
class DrRL(ScoreLoss):
    """Robust loss over a Renyi ball around the negatives: their power mean above a margin of the user.

        L_b = max(0, 1 - pos_b) + [mean_n (eps + neg_weight * max(0, neg_bn - threshold_b))^q]^(1/q) + threshold_b
        q = omega / (omega - 1)

    omega decides how much the hardest negatives dominate: from the mean above the margin (omega to infinity: CCL with
    the threshold as its margin, plus constants) to the largest term (omega to 1). The threshold is constant in the
    loss; :class:`UserMargins` learns it.

    Args:
        omega: order of the ball, above 1; 150 is the authors' default, a power q of 1.007.
        neg_weight: weight of a negative's excess over the margin.
        margin: where the threshold of each user begins, in score units.
        margin_lr: learning rate of the thresholds.
        eps: added to every term inside the power mean; only the code has it.
    Called with: pos [B], neg [B, N], threshold [B] in score units; -inf marks an absent negative.
    Returns: [B] loss per row, in score units.
    Raises: UsageError for a setting out of range, or if threshold is missing.
    Runs on: gather-dot. No catalogue path: a power of the excess is none of the functions that are streamed, and the
    margin differs between rows.
    Source: Zhang et al., AAAI 2025, arXiv 2506.15120, as in the authors' repository AAAI-2025-DrRL (the formula is read
    from the code). Differs in: the thresholds move after the step, where theirs move before it, at the same scores; the
    power mean is scaled by its largest term, so that a large q neither overflows nor vanishes.

    >>> DrRL(omega=2.0, eps=0.0)(torch.tensor([1.0]), torch.tensor([[0.5, 0.0]]), threshold=torch.tensor([0.0]))
    tensor([0.3536])
    """

    omega: float = 150.0
    neg_weight: float = 1.0
    margin: float = 0.7
    margin_lr: float = 1e-3
    eps: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset({"threshold"})
    scores: ClassVar[Scores] = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "omega", above=1)
        require_number(self, "neg_weight", above=0)
        require_number(self, "margin")
        require_number(self, "margin_lr", least=0)
        require_number(self, "eps", least=0)

    @property
    def q(self) -> float:
        """The power."""
        return self.omega / (self.omega - 1)

    def state(self, train: TrainingLog, seed: int) -> UserMargins:
        return UserMargins(self, train)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.neg_weight": [1.0, 50.0, 150.0], "loss.margin": [0.2, 0.4, 0.7]}

    def __call__(self, pos: Tensor, neg: Tensor, *, threshold: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        threshold = checked_row_input("threshold", threshold, pos, "DrRL").detach()
        n = count_present(neg)
        top, mean = self._scaled(self._terms(neg, threshold), n, self.q)
        # a row whose terms are all 0 has mean 0, at which the root has no slope
        root = torch.where(mean > 0, mean, 1.0).pow(1 / self.q)
        return present(torch.relu(1 - pos) + top * root.masked_fill(mean == 0, 0.0) + threshold, n)

    def slope(self, neg: Tensor, threshold: Tensor) -> Tensor:
        """[B] the derivative of the loss by the threshold; 0 for a row without negatives.

        1 - neg_weight * mean_n(r_n^(q - 1) [neg_n > threshold]) * mean_n(r_n^q)^(1/q - 1)
        """
        n = count_present(neg)
        terms = self._terms(neg, threshold)
        top, mean = self._scaled(terms, n, self.q)
        above = (terms / top[:, None]).pow(self.q - 1) * (neg > threshold[:, None])
        pull = above.sum(1) / n.clamp(min=1) * torch.where(mean > 0, mean, 1.0).pow(1 / self.q - 1)
        return present(1 - self.neg_weight * pull, n)

    def _terms(self, neg: Tensor, threshold: Tensor) -> Tensor:
        """[B, N] what is raised to the power; 0 for an absent negative."""
        over = torch.relu(neg - threshold[:, None])
        return (self.eps + self.neg_weight * over).masked_fill(neg == -torch.inf, 0.0)

    @staticmethod
    def _scaled(terms: Tensor, n: Tensor, q: float) -> tuple[Tensor, Tensor]:
        """The largest term of each row [B], constant, and the mean of (term / largest)^q."""
        top = terms.detach().amax(1).clamp(min=torch.finfo(terms.dtype).tiny)
        return top, (terms / top[:, None]).pow(q).sum(1) / n.clamp(min=1)


class UserMargins(UserNumbers):
    """The thresholds of DrRL: one per user, moved after each step by ``margin_lr`` times the sum of its rows' slopes.

    Args:
        loss: its settings.
        train: the training pairs.
    """

    def __init__(self, loss: DrRL, train: TrainingLog):
        super().__init__("threshold", torch.full((train.n_users,), loss.margin))
        self.loss = loss

    def observe(self, batch: Batch, pos: Tensor | None, neg: Tensor | None) -> None:
        assert neg is not None  # held, as the loss has no catalogue path
        slope = self.loss.slope(neg, self.side(batch)["threshold"]).cpu()
        # index_add on the CPU adds in the order of rows: the same bits for any number of threads.
        self.numbers.index_add_(0, batch.user.cpu(), slope, alpha=-self.loss.margin_lr)
