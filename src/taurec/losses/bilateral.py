"""The bilateral softmax loss (BSL): a softmax over a user's positives beside the one over negatives.

Six formulas go by this name in print and in public code. Each has a name of its own here:

- :class:`BSL`: grouped positives, each row's own negatives; one value a row. The one to use.
- :class:`BSLPerUser`: the paper's value of a user, with the union of the user's negatives.
- :class:`BSLAuthorsMulti`, :class:`BSLAuthorsReweight`, :class:`BSLAuthorsSingle`: the modes of the
  authors' code, for reproducing their logs.
- :class:`BSLTwoTemperature`: IR-Benchmark's, which is SL at another scale.

The positive side weighs the low-scored, likely wrong, positives of a user down. It needs several of them
at once: where each user has one row in the batch, BSL is ``tau_neg * SL(tau_neg)`` plus a constant, and
tau_pos does nothing. So use an order of rows that keeps users together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from taurec.losses.logspace import group_log_sum_exp, group_slots, group_sum, present
from taurec.losses.protocol import Scores, checked, checked_group, require_number
from taurec.losses.reduction import RowReduce
from taurec.losses.softmax import as_catalogue_mean


@dataclass(frozen=True)
class BSL:
    """Bilateral softmax loss, one value a row.

        L_b = -tau_pos * log mean_{c: group_c = group_b} exp(pos_c / tau_pos)
              + tau_neg * log mean_n exp(neg_bn / tau_neg)

    Robust to noisy positives as well as to noisy negatives. With every group a single row it equals
    ``tau_neg * SL(tau_neg)`` plus a constant, so use it with an order of rows that groups users. As
    tau_pos grows, the positive side becomes the plain mean of the user's positives.

    Args:
        tau_pos: temperature of the positive side, in score units; on clean logs a small one is mostly
            harmful, on noisy ones .2 to 1 are worth a try (docs/bilateral.md).
        tau_neg: temperature of the negative side, in score units.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group. Optional logq [B, N] or [N], the log
    probability with which each negative was proposed: the mean over negatives is then weighted by 1 / q.
    Returns: [B] loss per row, in score units.
    Raises: UsageError if a temperature is not positive or group is missing.
    Source: Wu et al., ICDE 2024, arXiv 2312.12882, with the positives and negatives of the batch for
    those of the user. Differs from the authors' code in: two temperatures, where theirs has one and an
    exponent on the negative side (:class:`BSLAuthorsMulti`); score units, where theirs is divided by tau.

    >>> import torch
    >>> loss = BSL(tau_pos=1.0, tau_neg=1.0)
    >>> loss(torch.tensor([0.0, 0.0]), torch.zeros(2, 3), group=torch.tensor([7, 7]))
    tensor([0., 0.])
    """

    tau_pos: float = 1.0
    tau_neg: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    takes: ClassVar[frozenset[str]] = frozenset({"logq"})
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau_pos", above=0)
        require_number(self, "tau_neg", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau_neg)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        group = checked_group(group, pos, "BSL")
        positives = self.tau_pos * pooled(pos / self.tau_pos, group, n)
        return present(self.tau_neg * log_mean(reduced, n) - positives, n)

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None, logq: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        if logq is not None:
            neg = as_catalogue_mean(neg, logq, self.tau_neg)
        return self.combine(pos, *self.reduce(pos, neg), group=group)


@dataclass(frozen=True)
class BSLPerUser:
    """Bilateral softmax loss as the paper writes it: one log a side and user, then the mean over users.

        L_u = -tau_pos * log mean_{b: group_b = u} exp(pos_b / tau_pos)
              + tau_neg * log mean_{b: group_b = u, n} exp(neg_bn / tau_neg)

    The negatives of a user are those of all its rows together. A user counts once, however many rows it
    has; :class:`BSL` counts rows. A score loss gives a value a row, so row b gets

        L_b = L_u * B' / (G * R_u)

    with B' rows, G users and R_u rows of this user (rows without negatives not counted): the plain mean
    over rows is then the mean over users. :meth:`per_user` gives L_u itself.

    Args:
        tau_pos: temperature of the positive side, in score units.
        tau_neg: temperature of the negative side, in score units.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group.
    Returns: [B] a row's share, in score units.
    Raises: UsageError if a temperature is not positive or group is missing.
    Source: Wu et al., ICDE 2024, arXiv 2312.12882, the objective, over the positives and negatives of
    the batch. The authors' code has no such form.

    >>> import torch
    >>> loss, group = BSLPerUser(tau_pos=1.0, tau_neg=1.0), torch.tensor([7, 7, 3])
    >>> loss(torch.tensor([0.0, 0.0, -2.0]), torch.zeros(3, 4), group=group).mean()
    tensor(1.)
    """

    tau_pos: float = 1.0
    tau_neg: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau_pos", above=0)
        require_number(self, "tau_neg", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau_neg)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        slots = group_slots(checked_group(group, pos, "BSLPerUser"))
        rows = group_sum((n > 0).to(pos.dtype), slots)
        share = rows.sum() / (rows.count_nonzero() * rows).clamp(min=1)
        return present((self._by_slot(pos, reduced, n, slots) * share).index_select(0, slots), n)

    def _by_slot(self, pos: Tensor, reduced: Tensor, n: Tensor, slots: Tensor) -> Tensor:
        """[B] L_u by slot; slots without rows hold 0."""
        negatives = group_log_sum_exp(reduced.masked_fill(n == 0, -math.inf), slots)
        positives = group_log_mean_exp(pos / self.tau_pos, slots, n)
        return self.tau_neg * log_mean(negatives, group_sum(n, slots)) - self.tau_pos * positives

    def per_user(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The distinct users [G], ascending, and the loss L_u [G] of each; 0 for one without negatives."""
        pos, neg = checked(pos, neg)
        users, slots = torch.unique(checked_group(group, pos, "BSLPerUser"), return_inverse=True)
        return users, self._by_slot(pos, *self.reduce(pos, neg), slots)[: users.numel()]

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg), group=group)


@dataclass(frozen=True)
class BSLAuthorsMulti:
    """BSL as the authors' code computes it in mode ``multi``.

        L_b = -log mean_{c: group_c = group_b} exp(pos_c / tau) + k * log mean_n exp(neg_bn / tau)

    For reproducing their runs. k weighs the negative side; it is no second temperature, and only k = 1
    is the paper's loss (at equal temperatures, divided by tau).

    Args:
        tau: their ``temperature``, in score units.
        k: their ``temperature_2``.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or k is not positive or group is missing.
    Source: the authors' repository BSL, utils/losses.py, mode ``multi``. Differs in: sums of
    exponentials stay in log space, where theirs overflow at small tau; O(B) instead of O(B^2).

    >>> import torch
    >>> BSLAuthorsMulti(tau=1.0, k=2.0)(torch.zeros(2), torch.ones(2, 3), group=torch.tensor([7, 7]))
    tensor([2., 2.])
    """

    tau: float = 0.1
    k: float = 1.1

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "k", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        positives = pooled(pos / self.tau, checked_group(group, pos, "BSLAuthorsMulti"), n)
        return present(self.k * log_mean(reduced, n) - positives, n)

    def __call__(self, pos: Tensor, neg: Tensor, *, group: Tensor | None = None) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg), group=group)


@dataclass(frozen=True)
class BSLAuthorsReweight:
    """BSL as the authors' code computes it in mode ``reweight``.

        L_b = -pos_b / tau + k * log sum_n exp(neg_bn / tau)

    For reproducing their runs. There is nothing bilateral in it: SL with a weight on the negative side.
    k = 1 is SL.

    Args:
        tau: their ``temperature``, in score units.
        k: their ``temperature_2``.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or k is not positive.
    Source: the authors' repository BSL, utils/losses.py, mode ``reweight``. Differs in: log space.

    >>> import torch
    >>> BSLAuthorsReweight(tau=1.0, k=2.0)(torch.zeros(1), torch.ones(1, 1))
    tensor([2.])
    """

    tau: float = 0.1
    k: float = 1.1

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)
        require_number(self, "k", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(self.k * reduced - pos / self.tau, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class BSLAuthorsSingle:
    """BSL as the authors' code computes it in mode ``single``: the mean form of SL.

        L_b = -pos_b / tau + log mean_n exp(neg_bn / tau)

    Lower than SL by the log of the number of negatives, with the same gradient; its value can be compared
    between numbers of negatives.

    Args:
        tau: their ``temperature``, in score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Source: the authors' repository BSL, utils/losses.py, mode ``single``. Differs in: log space.

    >>> import torch
    >>> BSLAuthorsSingle(tau=1.0)(torch.zeros(1), torch.ones(1, 5))
    tensor([1.])
    """

    tau: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(log_mean(reduced, n) - pos / self.tau, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


@dataclass(frozen=True)
class BSLTwoTemperature:
    """BSL as IR-Benchmark computes it: SL at another scale.

        L_b = -pos_b / tau_pos + (tau_neg / tau_pos) * log sum_n exp(neg_bn / tau_neg)
            = (tau_neg / tau_pos) * SL_b(tau_neg)

    For reproducing results printed as BSL in papers that use that benchmark. tau_pos only scales the
    loss, which Adam without weight decay does not notice.

    Args:
        tau_pos: temperature of the pair's score, in score units.
        tau_neg: temperature of the negatives, in score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if a temperature is not positive.
    Source: IR-Benchmark (itemrec), optimizer BSL, the runs of arXiv 2411.00163. Differs in: log space.

    >>> import torch
    >>> BSLTwoTemperature(tau_pos=1.0, tau_neg=2.0)(torch.zeros(1), torch.ones(1, 1))
    tensor([1.])
    """

    tau_pos: float = 0.1
    tau_neg: float = 0.1

    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[Scores] = "any"

    def __post_init__(self) -> None:
        require_number(self, "tau_pos", above=0)
        require_number(self, "tau_neg", above=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau_neg)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present((self.tau_neg / self.tau_pos) * reduced - pos / self.tau_pos, n)

    def __call__(self, pos: Tensor, neg: Tensor) -> Tensor:
        pos, neg = checked(pos, neg)
        return self.combine(pos, *self.reduce(pos, neg))


def log_mean(log_sum: Tensor, n: Tensor) -> Tensor:
    """The log of a mean from the log of the sum and the count, which is taken as at least 1.

    >>> log_mean(torch.tensor([math.log(6.0)]), torch.tensor([3.0]))
    tensor([0.6931])
    """
    return log_sum - n.clamp(min=1).log()


def group_log_mean_exp(x: Tensor, slots: Tensor, n: Tensor) -> Tensor:
    """[B] log mean exp(x) by slot, over the rows that have negatives (n > 0); 0 for a slot without any.

    >>> x, n = torch.tensor([1.0, 1.0, 9.0]), torch.tensor([4.0, 4.0, 0.0])
    >>> group_log_mean_exp(x, torch.tensor([0, 0, 0]), n)
    tensor([1., 0., 0.])
    """
    absent = n == 0
    total = group_log_sum_exp(x.masked_fill(absent, -math.inf), slots)
    return log_mean(total, group_sum((~absent).to(x.dtype), slots))


def pooled(x: Tensor, group: Tensor, n: Tensor) -> Tensor:
    """[B] log mean exp(x) over the rows of each row's group, those without negatives left out.

    >>> pooled(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([7, 3, 7]), torch.ones(3))
    tensor([1., 2., 1.])
    """
    slots = group_slots(group)
    return group_log_mean_exp(x, slots, n).index_select(0, slots)
