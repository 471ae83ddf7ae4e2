"""Formulas that other code calls BSL, to reproduce published runs: the authors' three modes, and IR-Benchmark's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from taurec.losses.checks import checked_group, require_number
from taurec.losses.logspace import log_mean, pooled, present
from taurec.losses.protocol import StreamedLoss
from taurec.losses.reduction import RowReduce


@dataclass(frozen=True)
class AuthorsLoss(StreamedLoss):
    """The temperature and the reduction that the three modes of the authors' code share."""

    tau: float = 0.1

    temperature: ClassVar[str | None] = "tau"

    def __post_init__(self) -> None:
        require_number(self, "tau", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau": [0.05, 0.1, 0.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau)


@dataclass(frozen=True)
class WeightedAuthorsLoss(AuthorsLoss):
    """The modes with a weight k of the negative side."""

    k: float = 1.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number(self, "k", above=0)


@dataclass(frozen=True)
class BSLAuthorsMulti(WeightedAuthorsLoss):
    """BSL as the authors' code computes it in mode ``multi``.

        L_b = -log mean_{c: group_c = group_b} exp(pos_c / tau) + k * log mean_n exp(neg_bn / tau)

    To reproduce their runs. k weighs the negative side and is not a second temperature; only k = 1
    is the paper's loss (at equal temperatures, divided by tau).

    Args:
        tau: their ``temperature``, in score units.
        k: their ``temperature_2``.
    Called with: pos [B], neg [B, N], group [B] int64, equal for rows of the same user; -inf marks an
    absent negative, and a row with none is left out of its group.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or k is not positive or group is missing.
    Runs on: gather-dot, catalogue.
    Source: the authors' repository BSL, utils/losses.py, mode ``multi``. Differs in: sums of
    exponentials stay in log space, where theirs overflow at small tau; O(B) instead of O(B^2).

    >>> import torch
    >>> BSLAuthorsMulti(tau=1.0, k=2.0)(torch.zeros(2), torch.ones(2, 3), group=torch.tensor([7, 7]))
    tensor([2., 2.])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"group"})
    positive_temperature: ClassVar[str | None] = "tau"
    without_groups: ClassVar[str] = (
        "without groups it is bsl-authors-reweight. Use --order user-blocks:4 or --loss bsl-authors-reweight"
    )

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor, *, group: Tensor | None = None) -> Tensor:
        positives = pooled(pos / self.tau, checked_group(group, pos, "BSLAuthorsMulti"), n)
        return present(self.k * log_mean(reduced, n) - positives, n)


@dataclass(frozen=True)
class BSLAuthorsReweight(WeightedAuthorsLoss):
    """BSL as the authors' code computes it in mode ``reweight``.

        L_b = -pos_b / tau + k * log sum_n exp(neg_bn / tau)

    To reproduce their runs. Nothing in it is bilateral: it is SL with a weight on the negative side.
    k = 1 is SL.

    Args:
        tau: their ``temperature``, in score units.
        k: their ``temperature_2``.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau or k is not positive.
    Runs on: gather-dot, catalogue.
    Source: the authors' repository BSL, utils/losses.py, mode ``reweight``. Differs in: log space.

    >>> import torch
    >>> BSLAuthorsReweight(tau=1.0, k=2.0)(torch.zeros(1), torch.ones(1, 1))
    tensor([2.])
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(self.k * reduced - pos / self.tau, n)


@dataclass(frozen=True)
class BSLAuthorsSingle(AuthorsLoss):
    """BSL as the authors' code computes it in mode ``single``: the mean form of SL.

        L_b = -pos_b / tau + log mean_n exp(neg_bn / tau)

    Lower than SL by the log of the number of negatives, with the same gradient; its value can be compared
    between numbers of negatives.

    Args:
        tau: their ``temperature``, in score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if tau is not positive.
    Runs on: gather-dot, catalogue.
    Source: the authors' repository BSL, utils/losses.py, mode ``single``. Differs in: log space.

    >>> import torch
    >>> BSLAuthorsSingle(tau=1.0)(torch.zeros(1), torch.ones(1, 5))
    tensor([1.])
    """

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present(log_mean(reduced, n) - pos / self.tau, n)


@dataclass(frozen=True)
class BSLTwoTemperature(StreamedLoss):
    """BSL as IR-Benchmark computes it: SL at another scale.

        L_b = -pos_b / tau_pos + (tau_neg / tau_pos) * log sum_n exp(neg_bn / tau_neg)
            = (tau_neg / tau_pos) * SL_b(tau_neg)

    To reproduce results printed as BSL in papers that use that benchmark. tau_pos only scales the
    loss, which Adam without weight decay ignores.

    Args:
        tau_pos: temperature of the pair's score, in score units.
        tau_neg: temperature of the negatives, in score units.
    Called with: pos [B], neg [B, N]; -inf marks an absent negative.
    Returns: [B] loss per row, in nats.
    Raises: UsageError if a temperature is not positive.
    Runs on: gather-dot, catalogue.
    Source: IR-Benchmark (itemrec), optimizer BSL, the runs of arXiv 2411.00163. Differs in: log space.

    >>> import torch
    >>> BSLTwoTemperature(tau_pos=1.0, tau_neg=2.0)(torch.zeros(1), torch.ones(1, 1))
    tensor([1.])
    """

    tau_pos: float = 0.1
    tau_neg: float = 0.1

    temperature: ClassVar[str | None] = "tau_neg"

    def __post_init__(self) -> None:
        require_number(self, "tau_pos", above=0)
        require_number(self, "tau_neg", above=0)

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        return {"loss.tau_neg": [0.05, 0.1, 0.2]}

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("logsumexp", tau=self.tau_neg)

    def combine(self, pos: Tensor, reduced: Tensor, n: Tensor) -> Tensor:
        return present((self.tau_neg / self.tau_pos) * reduced - pos / self.tau_pos, n)
