"""The common part of matrix factorisations by alternating least squares."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec import draw
from taurec.baselines.protocol import Baseline, State, fitted
from taurec.data.interactions import Interactions
from taurec.kernels.solve import solve_rows
from taurec.ranker import Float

Double = NDArray[np.float64]


class Factors(Baseline):
    """Scores <w_u, h_i> of user and item vectors, in float64 while they are fitted and float32 in scores.

    Each iteration solves the items given the users, then the users given the items; so the vector of a known user is
    what :meth:`from_history` finds for the same items. User vectors start from N(0, 0.01 / dim).
    """

    dim: int
    iterations: int
    seed: int
    _user: Double | None = None
    _item: Double | None = None

    def user_step(self, histories: csr_array, item: Double) -> Double:
        """[r, dim] the exact vectors of users with these histories [r, I], given the items [I, dim]."""
        raise NotImplementedError

    def item_step(self, by_item: csr_array, user: Double, counts: NDArray[np.int64]) -> Double:
        """[I, dim] the exact vectors of items with these users [I, U], given the users and their numbers of items."""
        raise NotImplementedError

    def fit(self, train: Interactions) -> Self:
        by_user = train.csr()
        by_item = csr_array(by_user.T.tocsr())
        key = draw.key(self.seed, f"{type(self).__name__.lower()}:user")
        user = draw.normal(key, np.arange(train.n_users), self.dim) * (0.1 / np.sqrt(self.dim))
        for _ in range(self.iterations):
            item = self.item_step(by_item, user, train.user_counts)
            user = self.user_step(by_user, item)
        self._user, self._item = user, item
        return self

    @property
    def n_users(self) -> int:
        return len(fitted(self._user, self))

    @property
    def n_items(self) -> int:
        return len(fitted(self._item, self))

    def block(self, users: NDArray[np.int64]) -> Float:
        return self._scores(fitted(self._user, self)[users])

    def from_history(self, histories: csr_array) -> Float:
        return self._scores(self.user_step(histories, fitted(self._item, self)))

    def _scores(self, user: Double) -> Float:
        scores: Float = user.astype(np.float32) @ fitted(self._item, self).astype(np.float32).T
        return scores

    def item_vectors(self) -> Float:
        return fitted(self._item, self).astype(np.float32)

    def factors(self) -> State:
        """The part of a state that :meth:`with_factors` reads."""
        return {"user": fitted(self._user, self), "item": fitted(self._item, self)}

    def with_factors(self, state: State) -> Self:
        """This model with the vectors of a state."""
        if state["user"].shape[1:] != state["item"].shape[1:]:
            raise ValueError("user and item factors differ in width")
        self._user, self._item = state["user"].astype(np.float64), state["item"].astype(np.float64)
        return self


def solved(
    rows: csr_array,
    other: Double,
    base: Double,
    ridge: Double,
    times: Double | None = None,
    total: Double | None = None,
) -> Double:
    """[r, d] of each row of a binary [r, n] matrix, with h over its vectors among ``other`` [n, d]:

        (sum h h^T + times base + ridge I)^-1 (sum h + times total)

    Args:
        base: [d, d] symmetric, without negative eigenvalues but for rounding.
        ridge, times: [r]; None is 1 for ``times``.
        total: [d]; None is 0.
    """
    spread, axes = np.linalg.eigh(base)
    spread, along = np.maximum(spread, 0.0), np.ascontiguousarray(other @ axes)
    shift = None if total is None else total @ axes
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int64)
    return solve_rows(indptr, indices, along, spread, np.ascontiguousarray(axes.T), ridge, times, shift)
