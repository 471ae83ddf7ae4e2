"""The contract of a baseline: a ranker that is fitted in one call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float, HistoryScorer, Ranker, State
from taurec.run import Run

__all__ = ["Baseline", "Composite", "FitCost", "FittedPart", "Picked", "Picker", "State", "fitted", "pack", "unpack"]

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

    closed_form: ClassVar[bool] = False
    """Whether the model is computed by a formula, without iterations that end before they converge."""

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


@dataclass(frozen=True)
class FittedPart:
    """A fitted model that another one is made of.

    Attributes:
        run: every setting, with what the fit chose.
        ranker: the model.
    """

    run: Run
    ranker: Ranker


class Composite(Baseline):
    """A model made of other models, its parts, which may be trained ones.

    Its setting ``parts`` holds a complete run of each, as a document, which :attr:`taurec.run.Run.parts` reads. To
    train a part takes more than the training pairs, such as a validation part; so :func:`taurec.fitting.fit_run` fits
    the parts first, in order, and hands them to :meth:`join`. Then the attributes that are its settings hold what was
    chosen.
    """

    parts: tuple[dict[str, Any], ...]

    @abstractmethod
    def join(
        self, train: Interactions, parts: Sequence[FittedPart], value: Callable[[HistoryScorer], float] | None = None
    ) -> Self:
        """Fit what is its own, given its fitted parts; returns itself.

        Args:
            train: the training pairs.
            parts: in the order of the setting, fitted to ``train``.
            value: the metric of a ranker on the validation part; None where there is none.
        """
        ...

    @abstractmethod
    def found(self) -> dict[str, str]:
        """How each setting that was chosen by :meth:`join` was found, by its name in a run: ``model.weight``."""
        ...

    @property
    @abstractmethod
    def runs(self) -> tuple[Run, ...]:
        """The runs of its parts."""
        ...

    @classmethod
    @abstractmethod
    def from_parts(cls, state: State, class_of: Callable[[Run, State], type[Ranker]]) -> Self:
        """As :meth:`from_state`; ``class_of`` gives the class of a part's ranker, from its run and its arrays."""
        ...


@dataclass(frozen=True)
class Picked:
    """The model for a log.

    Attributes:
        fields: of a run, as :func:`taurec.training.presets.resolve` takes them.
        why: in a few words.
    """

    fields: dict[str, Any]
    why: str


class Picker(Baseline):
    """A name for the model that suits a log. It says which; :class:`taurec.recommender.Recommender` fits that one."""

    @abstractmethod
    def pick(self, train: Interactions, has_valid: bool) -> Picked:
        """The model for a log.

        Args:
            train: the training pairs.
            has_valid: whether there is a validation part.
        """
        ...

    def fit(self, train: Interactions) -> Self:
        raise UsageError(f"{type(self).__name__} only says which model to fit; taurec.Recommender does both")

    @property
    def n_users(self) -> int:
        raise self._none()

    @property
    def n_items(self) -> int:
        raise self._none()

    def block(self, users: NDArray[np.int64]) -> Float:
        raise self._none()

    def from_history(self, histories: csr_array) -> Float:
        raise self._none()

    def state(self) -> State:
        raise self._none()

    @classmethod
    def from_state(cls, state: State) -> Self:
        raise ValueError(f"{cls.__name__} only says which model to fit")

    def _none(self) -> UsageError:
        return UsageError(f"{type(self).__name__} is no model itself; call pick(train, has_valid) for one")


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
