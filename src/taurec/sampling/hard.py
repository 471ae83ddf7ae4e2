"""Hard negatives: those of a row's pool of candidates that the model scores high."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling.known import Known
from taurec.sampling.layouts import PerRowNegatives
from taurec.sampling.per_row import BoundPerRow, check_n, check_n_epochs
from taurec.sampling.proposal import by_popularity
from taurec.sampling.protocol import BoundSampler, Sampler
from taurec.types import StepShape


@dataclass(frozen=True, kw_only=True, eq=False)
class PoolNegatives(PerRowNegatives):
    """n of each row's candidates ``ids`` [B, C], chosen by the scores of the step itself.

    All candidates are scored once; only those chosen get a gradient.

    Args:
        n: negatives a row.
        point: [B, n] uniform over [0, 1), one per draw from the softmax; None takes the n highest scores.
        temperature: of the softmax, in score units.
    """

    n: int
    point: Tensor | None = None
    temperature: float = 1.0

    def items(self, positive: Tensor) -> None:
        return None

    def scores(
        self, user: Tensor, item: Tensor, positive: Tensor, kernel: str, d_item: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        pos, pool = super().scores(user, item, positive, kernel, d_item)
        return pos, pool.gather(1, self.chosen(pool.detach()))

    def chosen(self, pool: Tensor) -> Tensor:
        """[B, n] the columns of ``pool`` [B, C], the candidates' scores, that become negatives."""
        if self.point is None:
            return pool.topk(self.n, dim=1).indices
        total = torch.softmax(pool.double() / self.temperature, 1).cumsum(1)
        place = torch.searchsorted(total, self.point * total[:, -1:], right=True)
        return place.clamp_max(pool.shape[1] - 1)


@dataclass(frozen=True)
class _Pool(Sampler):
    """The settings that samplers with a pool share."""

    n: int = 32
    pool: int = 8
    exclude: bool = True

    def __post_init__(self) -> None:
        check_n(self._name, self.n)
        if self.pool < 1:
            raise UsageError(f"{self._name}: pool must be at least 1 candidate per negative, got {self.pool}")

    @property
    def _name(self) -> str:
        return "dns"

    def bind(self, train: Interactions, seed: int) -> BoundPool:
        known = Known(train)
        candidates = BoundPerRow(known, by_popularity(known, 0.0), seed, self.n * self.pool, self.exclude)
        return BoundPool(candidates, self)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        candidates = self.n * self.pool
        return StepShape(self.n, batch_size * (candidates + 1), batch_size * candidates, gathered=True)

    def temperature_at(self, epoch: int) -> float | None:
        """The temperature of the softmax over the pool in an epoch; None takes the highest scores."""
        return None


@dataclass(frozen=True)
class DynamicHard(_Pool):
    """Dynamic hard negatives: the n highest-scored of n * pool uniform candidates of the row.

        C_b = {j_1, ..., j_{n pool}},  j uniform        N_b = the n items of C_b with the highest f(u_b, j)

    The scores are those of the step itself, so there is no second pass of the backbone and no stale vector. With
    ``n=1`` and a pool of C this is the original method; a larger n keeps the hard ones of a larger pool for a loss
    that sums over negatives. Candidates repeat, as they are drawn with replacement, so a negative may repeat.

    Args:
        n: negatives a row.
        pool: candidates per negative; 1 is ``uniform``.
        exclude: draw no training positive of the row's user into the pool. Without it the hardest candidates are
            often positives.
    Guarantees: the pool is a function of (seed, epoch, row) and uniform; the choice depends on the present scores
        alone, so there is no state. The distribution of the negatives depends on the model: no ``logq``.
    Cost: a step scores n * pool items a row, as ``uniform`` with that n does; the loss sees n.
    Raises: UsageError if n or pool is below 1.
    Source: Zhang et al., SIGIR 2013 (dynamic negative sampling). L2 of the modes that count drawn items counts the
        whole pool.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = DynamicHard(n=2, pool=4).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.ids.shape, drawn.chosen(torch.arange(16.0).view(2, 8)).tolist()
    (torch.Size([2, 8]), [[7, 6], [7, 6]])
    """

    @classmethod
    def grid(cls) -> dict[str, list[int]]:
        return {"negatives.n": [1, 8, 32], "negatives.pool": [2, 8, 32]}


@dataclass(frozen=True)
class PoolSoftmax(_Pool):
    """n draws, with replacement, from the softmax of the scores over n * pool uniform candidates of the row.

        P(j | C_b) = exp(f(u_b, j) / temperature) / sum_{k in C_b} exp(f(u_b, k) / temperature)

    It lies between ``uniform`` (temperature to infinity) and the single hardest candidate (to 0), and is less
    prone to false negatives than ``dns``.

    Args:
        n: negatives a row.
        pool: candidates per negative.
        exclude: draw no training positive of the row's user into the pool.
        temperature: in score units; 0.1 suits cosines.
    Guarantees: given the scores, each draw follows P independently; pool and random numbers are a function of
        (seed, epoch, row). No state, no ``logq``.
    Cost: as ``dns``, and a cumulative sum over the pool.
    Raises: UsageError if n or pool is below 1, or temperature is not positive.
    Source: the adaptive variant of dynamic negative sampling; compare Rendle and Freudenthaler, WSDM 2014, whose
        sampler ranks items by one factor instead. Formula from memory.

    >>> train = Interactions.from_pairs([0, 0, 1], [0, 2, 1])
    >>> user, item, row = torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([1, 2])
    >>> drawn = PoolSoftmax(n=2, pool=4).bind(train, seed=0).draw(user, item, row, epoch=0)
    >>> drawn.point.shape, drawn.temperature
    (torch.Size([2, 2]), 0.1)
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_temperature(self._name, "temperature", self.temperature)

    @property
    def _name(self) -> str:
        return "pool-softmax"

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.temperature": [0.05, 0.1, 0.5], "negatives.pool": [2, 8, 32]}

    def temperature_at(self, epoch: int) -> float:
        return self.temperature


@dataclass(frozen=True)
class GenNi(_Pool):
    """Experimental, negatives drawn from the model's own softmax, whose temperature falls over the first epochs.

        P_e(j | C_b) = softmax over C_b of f(u_b, j) / T_e,   T_e = start (end / start)^min(1, (e - 1) / (epochs - 1))

    The negatives of an untrained model are nearly uniform (``start`` is large) and become as hard as ``end`` says.

    Args:
        n: negatives a row.
        pool: candidates per negative.
        exclude: draw no training positive of the row's user into the pool, the pair's own item included.
        start, end: temperature in the first epoch and from epoch ``epochs`` on, in score units.
        epochs: length of the curriculum; 1 has the temperature ``end`` throughout.
    Guarantees: as ``pool-softmax``, with T_e a function of the epoch alone; no state, no ``logq``.
    Cost: as ``pool-softmax``.
    Raises: UsageError if n, pool or epochs is below 1, or a temperature is not positive.
    Source: Chen et al., 2022, arXiv 2208.03645, whose abstract says that negatives are drawn from the model's
        present preferences. The pool is our reading of its efficient form and the curriculum is from memory; no code
        was found, and the paper's models are sequential. Results of the paper do not carry over.

    >>> how = GenNi(start=1.0, end=0.1, epochs=3)
    >>> [round(how.temperature_at(epoch), 3) for epoch in (1, 2, 3, 9)]
    [1.0, 0.316, 0.1, 0.1]
    """

    start: float = 1.0
    end: float = 0.1
    epochs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_temperature(self._name, "start", self.start)
        _check_temperature(self._name, "end", self.end)
        check_n_epochs(self._name, "epochs", self.epochs, 1)

    @property
    def _name(self) -> str:
        return "genni"

    @classmethod
    def grid(cls) -> dict[str, list[float]]:
        return {"negatives.end": [0.05, 0.1, 0.5], "negatives.epochs": [1, 10, 30]}

    def temperature_at(self, epoch: int) -> float:
        share = 1.0 if self.epochs == 1 else min(1.0, max(0, epoch - 1) / (self.epochs - 1))
        return self.start * (self.end / self.start) ** share


@dataclass(frozen=True, eq=False)
class BoundPool(BoundSampler):
    """A sampler with a pool, bound to a log and a seed; ``candidates`` draws the pool."""

    candidates: BoundPerRow
    how: _Pool

    def on(self, device: torch.device) -> BoundPool:
        return replace(self, candidates=self.candidates.on(device))

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> PoolNegatives:
        """The pool [B, n * pool]; a row is absent where its user has every item."""
        n, pool, temperature = self.how.n, self.candidates.draw(user, item, row, epoch), self.how.temperature_at(epoch)
        absent = None if pool.absent is None else pool.absent[:, :1].expand(-1, n)
        if temperature is None:
            return PoolNegatives(ids=pool.ids, absent=absent, n=n)
        point = draw.uniform(draw.key(self.candidates.seed, "from the pool", epoch), np.asarray(row), n)
        return PoolNegatives(ids=pool.ids, absent=absent, n=n, point=torch.from_numpy(point), temperature=temperature)


def _check_temperature(name: str, setting: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name}: {setting} must be above 0 (score units), got {value}; 0.1 suits cosines")
