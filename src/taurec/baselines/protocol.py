"""What every baseline is: a ranker that fits itself in one call."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float

State = dict[str, np.ndarray]
T = TypeVar("T")


@runtime_checkable
class Baseline(Protocol):
    """A :class:`taurec.ranker.Ranker` that is built from its settings and fitted in one call.

    ``block`` scores all items, seen ones too: leaving them out is the business of who ranks.
    Laws: ``from_history`` of a known user's items equals ``block`` of that user (to rounding);
    ``from_state(x.state())`` scores as ``x`` does.
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]]
    """Settings that ``taurec compare`` tries on the validation part."""

    def fit(self, train: Interactions) -> Baseline: ...

    @property
    def n_users(self) -> int: ...

    @property
    def n_items(self) -> int: ...

    def block(self, users: NDArray[np.int64]) -> Float: ...

    def from_history(self, histories: csr_array) -> Float: ...

    def item_vectors(self) -> Float | csr_array: ...

    def state(self) -> State: ...

    @classmethod
    def from_state(cls, state: State) -> Baseline: ...


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
