"""RG2: a squared bound of the softmax over the catalogue, by alternating least squares."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines.factors import Double, Factors, solved
from taurec.baselines.protocol import State
from taurec.errors import UsageError


class RG2(Factors):
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

    >>> from taurec.data.interactions import Interactions
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

    def user_step(self, histories: csr_array, item: Double) -> Double:
        n_items, counts = histories.shape[1], np.diff(histories.indptr)
        ridge = self.l2 * (counts / 2 + self.alpha * n_items + 1)
        return self._step(histories, item, item.T @ item, item.sum(0), counts / (2 * n_items), ridge)

    def item_step(self, by_item: csr_array, user: Double, counts: NDArray[np.int64]) -> Double:
        share = counts / (2 * by_item.shape[0])
        total = (share[:, None] * user).sum(0)
        ridge = np.full(by_item.shape[0], self.l2 * (share.sum() + self.alpha * len(user)))
        one = np.ones(by_item.shape[0])
        sign = -1.0 if self.released else 1.0
        return self._step(by_item, user, (share[:, None] * user).T @ user, sign * total, one, ridge)

    def _step(
        self, rows: csr_array, other: Double, base: Double, total: Double, times: Double, ridge: Double
    ) -> Double:
        """(times base + alpha sum h h^T + ridge)^-1 ((1/2 + alpha) sum h - times total), by the system over alpha."""
        gain = (0.5 + self.alpha) / self.alpha
        return gain * solved(rows, other, base, ridge / self.alpha, times / self.alpha, -total / gain)

    def state(self) -> State:
        settings = np.array([self.alpha, self.l2, self.iterations, self.released, self.seed], dtype=np.float64)
        return {**self.factors(), "settings": settings}

    @classmethod
    def from_state(cls, state: State) -> RG2:
        alpha, l2, iterations, released, seed = state["settings"].tolist()
        model = cls(state["user"].shape[1], alpha, l2, int(iterations), bool(released), int(seed))
        return model.with_factors(state)
