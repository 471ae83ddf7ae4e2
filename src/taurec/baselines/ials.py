"""iALS: matrix factorisation of the whole matrix by alternating least squares."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from taurec.baselines.factors import Double, Factors, solved
from taurec.baselines.protocol import State, fitted
from taurec.errors import UsageError
from taurec.foldin import RidgeFactors


class IALS(Factors):
    """Least squares on observed pairs, and weakly on all pairs, solved by alternating exact steps.

        L = sum_{(u,i) seen} (<w_u, h_i> - 1)^2 + alpha * sum_{all u,i} <w_u, h_i>^2
            + l2 * ( sum_u (|I_u| + alpha I)^nu |w_u|^2 + sum_i (|U_i| + alpha U)^nu |h_i|^2 )

        w_u = ( sum_{i in I_u} h_i h_i^T + alpha H^T H + l2 (|I_u| + alpha I)^nu )^-1 sum_{i in I_u} h_i

    Each iteration solves the items given the users, then the users given the items, in float64; so
    the vector of a known user is what :meth:`from_history` finds for the same items. A row with fewer
    items than ``dim`` has the same solution from a system of its items, which is smaller. User vectors
    start from N(0, 0.01 / dim). Bits do not depend on the number of threads of the solver.

    Args:
        dim: width of the vectors.
        alpha: weight of every pair; an observed pair adds 1.
        l2: weight of the squared norms, scaled by frequency.
        nu: power of the frequency; 1 as in weighted-lambda ALS, 0 for the same l2 on every row.
        iterations: number of pairs of half-steps.
        seed: of the starting vectors.
    Source: Hu, Koren and Volinsky, ICDM 2008, in the form of Rendle, Krichene, Zhang and Koren,
        RecSys 2022, arXiv 2110.14037, eq. 2-5. Differs from their code in: the order of the half-steps.
    ``item_vectors`` are the item factors.

    >>> from taurec.data.interactions import Interactions
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> IALS(dim=2).fit(log).block(np.array([0])).shape
    (1, 2)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"alpha": alpha, "l2": l2} for alpha in (0.01, 0.03, 0.1, 0.3, 1.0) for l2 in (0.003, 0.01)
    )

    def __init__(
        self,
        dim: int = 64,
        alpha: float = 0.1,
        l2: float = 0.003,
        nu: float = 1.0,
        iterations: int = 15,
        seed: int = 0,
    ):
        if dim < 1 or iterations < 1:
            raise UsageError(f"IALS needs dim and iterations of at least 1, got {dim} and {iterations}")
        if not (0.0 <= alpha < np.inf and 0.0 < l2 < np.inf and 0.0 <= nu < np.inf):
            raise UsageError(f"IALS needs alpha >= 0, l2 > 0, nu >= 0; got alpha={alpha}, l2={l2}, nu={nu}")
        self.dim, self.alpha, self.l2, self.nu = dim, alpha, l2, nu
        self.iterations, self.seed = iterations, seed

    def user_step(self, histories: csr_array, item: Double) -> Double:
        return self.half_step(histories, item)

    def item_step(self, by_item: csr_array, user: Double, counts: NDArray[np.int64]) -> Double:
        return self.half_step(by_item, user)

    def half_step(self, rows: csr_array, other: Double) -> Double:
        """[r, dim] float64: the exact solution for each row of a binary [r, n] matrix, given the n others."""
        ridge = self.l2 * (np.diff(rows.indptr) + self.alpha * rows.shape[1]) ** self.nu
        return solved(rows, other, self.alpha * (other.T @ other), ridge)

    def fold_in(self) -> RidgeFactors:
        item = fitted(self._item, self)
        base = (self.alpha * item.T @ item).astype(np.float32)
        return RidgeFactors(item, base, self.alpha, self.l2, self.nu, self.n_items)

    def state(self) -> State:
        settings = np.array([self.alpha, self.l2, self.nu, self.iterations, self.seed], dtype=np.float64)
        return {**self.factors(), "settings": settings}

    @classmethod
    def from_state(cls, state: State) -> IALS:
        alpha, l2, nu, iterations, seed = state["settings"].tolist()
        return cls(state["user"].shape[1], alpha, l2, nu, int(iterations), int(seed)).with_factors(state)
