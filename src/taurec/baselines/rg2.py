"""RG2: a squared bound of the softmax over the catalogue, by alternating least squares."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec import draw
from taurec.baselines.protocol import Baseline, State, fitted
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.kernels.solve import solve_rows
from taurec.ranker import Float

Double = NDArray[np.float64]


class RG2(Baseline):
    """Matrix factorisation by a quadratic in place of the softmax loss over all items: no negatives, no learning rate.

        L_u = - sum_{i in I_u} f_ui + (|I_u| / 2I) sum_{all j} (f_uj + 1)^2 + alpha sum_{i in I_u} (f_ui - 1)^2
              + l2 (|I_u| / 2 + alpha I + 1) |w_u|^2,                    f_ui = <w_u, h_i>

    The sum over all items is a second-order bound of the log of the partition function at f = 0. With c_u = |I_u| / 2I
    the steps are exact:

        A_u w_u = (1/2 + alpha) sum_{I_u} h - c_u sum_i h_i
        A_u     = c_u sum_i h h^T + alpha sum_{I_u} h h^T + l2 (|I_u| / 2 + alpha I + 1)
        A_i h_i = (1/2 + alpha) sum_{U_i} w - sum_u c_u w_u
        A_i     = sum_u c_u w w^T + alpha sum_{U_i} w w^T + l2 (sum_u c_u + alpha U)

    Each iteration solves the items given the users, then the users given the items, in float64; so the vector of a
    known user is what :meth:`from_history` finds for the same items. User vectors start from N(0, 0.01 / dim). Bits do
    not depend on the number of threads of the solver. Cost and memory are those of ``ials``.

    Args:
        dim: width of the vectors.
        alpha: weight of the squared error on observed pairs, above 0.
        l2: weight of the squared norms.
        iterations: number of pairs of half-steps.
        released: use the item step of the authors' code, in which the sum over users has the other sign than in L.
        seed: of the starting vectors.
    Raises: UsageError for a setting out of its range.
    Source: Pu, Chen, Huang, Chen, Lian and Chen, ICML 2024 (PMLR 235), steps as in the authors' code. Differs from it
        in: the sign of the item step, see ``released``; small starting vectors in place of N(0, 1).
    ``item_vectors`` are the item factors.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> RG2(dim=2).fit(log).block(np.array([0])).shape
    (1, 2)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"alpha": alpha, "l2": l2} for alpha in (0.01, 0.03, 0.1) for l2 in (0.01, 0.03, 0.1)
    )

    def __init__(
        self,
        dim: int = 64,
        alpha: float = 0.03,
        l2: float = 0.03,
        iterations: int = 15,
        released: bool = False,
        seed: int = 0,
    ):
        if dim < 1 or iterations < 1:
            raise UsageError(f"RG2 needs dim and iterations of at least 1, got {dim} and {iterations}")
        if not (0.0 < alpha < np.inf and 0.0 < l2 < np.inf):
            raise UsageError(f"RG2 needs alpha > 0 and l2 > 0, got alpha={alpha}, l2={l2}")
        self.dim, self.alpha, self.l2 = dim, alpha, l2
        self.iterations, self.released, self.seed = iterations, released, seed
        self._user: Double | None = None
        self._item: Double | None = None

    def fit(self, train: Interactions) -> RG2:
        by_user = train.csr()
        by_item = csr_array(by_user.T.tocsr())
        counts = np.diff(by_user.indptr)
        start = draw.normal(draw.key(self.seed, "rg2:user"), np.arange(train.n_users), self.dim)
        user = start * (0.1 / np.sqrt(self.dim))
        for _ in range(self.iterations):
            item = self.item_step(by_item, user, counts)
            user = self.user_step(by_user, item)
        self._user, self._item = user, item
        return self

    def user_step(self, histories: csr_array, item: Double) -> Double:
        """[r, dim] the exact vectors of users with these histories [r, I], given the items [I, dim]."""
        n_items, counts = histories.shape[1], np.diff(histories.indptr)
        ridge = self.l2 * (counts / 2 + self.alpha * n_items + 1)
        return self._solved(histories, item, item.T @ item, item.sum(0), counts / (2 * n_items), ridge)

    def item_step(self, by_item: csr_array, user: Double, counts: NDArray[np.int64]) -> Double:
        """[I, dim] the exact vectors of items with these users [I, U], given the users and their numbers of items."""
        share = counts / (2 * by_item.shape[0])
        total = (share[:, None] * user).sum(0)
        ridge = np.full(by_item.shape[0], self.l2 * (share.sum() + self.alpha * len(user)))
        one = np.ones(by_item.shape[0])
        sign = -1.0 if self.released else 1.0
        return self._solved(by_item, user, (share[:, None] * user).T @ user, sign * total, one, ridge)

    def _solved(
        self, rows: csr_array, other: Double, base: Double, total: Double, times: Double, ridge: Double
    ) -> Double:
        """(times base + alpha sum h h^T + ridge)^-1 ((1/2 + alpha) sum h - times total), by the system over alpha."""
        spread, axes = np.linalg.eigh(base)
        spread, along = np.maximum(spread, 0.0), np.ascontiguousarray(other @ axes)
        gain = (0.5 + self.alpha) / self.alpha
        indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int64)
        shift, along_rows = (total @ axes) / -gain, np.ascontiguousarray(axes.T)
        given = indptr, indices, along, spread, along_rows, ridge / self.alpha, times / self.alpha, shift
        return gain * solve_rows(*given)

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

    def state(self) -> State:
        settings = np.array([self.alpha, self.l2, self.iterations, self.released, self.seed], dtype=np.float64)
        return {"user": fitted(self._user, self), "item": fitted(self._item, self), "settings": settings}

    @classmethod
    def from_state(cls, state: State) -> RG2:
        alpha, l2, iterations, released, seed = state["settings"].tolist()
        if state["user"].shape[1:] != state["item"].shape[1:]:
            raise ValueError("user and item factors differ in width")
        model = cls(state["user"].shape[1], alpha, l2, int(iterations), bool(released), int(seed))
        model._user, model._item = state["user"].astype(np.float64), state["item"].astype(np.float64)
        return model
