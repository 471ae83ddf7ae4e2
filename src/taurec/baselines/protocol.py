"""The contract of a baseline: a ranker that is fitted in one call."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from scipy.sparse import csr_array

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Ranker, State

__all__ = ["Baseline", "FitCost", "State", "fitted", "pack", "unpack"]

T = TypeVar("T")


@dataclass(frozen=True)
class FitCost:
    """Forecast of one fit with its validation, on this machine.

    Attributes:
        seconds: 0 for a fit that costs next to nothing; a search then makes it in any case.
        bytes: memory at the peak, beyond the log.
    """

    seconds: float
    bytes: int


@runtime_checkable
class Baseline(Ranker, Protocol):
    """A :class:`taurec.ranker.Ranker` that is built from its settings and fitted in one call.

    Subclass it: ``GRID``, ``fit_cost``, ``folds_in``, ``item_vectors`` and ``fold_in`` then have defaults. The settings
    are the parameters of the constructor, each kept in an attribute of the same name; ``seed`` is the run's.

    Laws: ``block`` scores all items, seen ones too; where ``folds_in``, ``from_history`` of a known user's items equals
    ``block`` of that user (to rounding); ``from_state(x.state())`` scores as ``x`` does.
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that ``taurec compare`` tries on the validation part."""

    @property
    def folds_in(self) -> bool:
        """By default True: baselines score a user by the user's items."""
        return True

    @abstractmethod
    def fit(self, train: Interactions) -> Baseline:
        """Fit to a log; returns itself."""
        ...

    def fit_cost(self, train: Interactions) -> FitCost | None:
        """Forecast of a fit to this log; None where it is to be measured on a part of the users."""
        return None

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Baseline:
        """The fitted baseline whose ``state`` this is; KeyError or ValueError where it is not."""
        ...


def fitted(value: T | None, model: object) -> T:
    """``value``, which fitting sets; before that, an error that says what to do."""
    if value is None:
        raise UsageError(f"{type(model).__name__} is not fitted; call fit(train) first")
    return value


def pack(matrix: csr_array, name: str) -> State:
    """A CSR matrix as plain arrays, for :meth:`Baseline.state`; ``unpack`` reads them back."""
    return {
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.indices": matrix.indices.astype(np.int64),
        f"{name}.data": matrix.data,
        f"{name}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def unpack(state: State, name: str) -> csr_array:
    """The CSR matrix that ``pack`` took apart; ValueError if the arrays do not fit together."""
    data, indices, indptr = (state[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    matrix = csr_array((data, indices, indptr), shape=tuple(state[f"{name}.shape"].tolist()))
    matrix.check_format(full_check=True)
    return matrix
