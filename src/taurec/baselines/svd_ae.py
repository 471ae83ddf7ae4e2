"""SVD-AE: a history's projection on the leading directions of the users, read from the log."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from taurec.baselines.from_log import FromLog
from taurec.baselines.graph import bytes_of_leading, leading, normalised, powers, seconds_of_leading
from taurec.baselines.memory import require
from taurec.baselines.protocol import FitCost, State, fitted
from taurec.baselines.threads import blas_of_run
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


class SVDAE(FromLog):
    """Linear autoencoder by a truncated singular value decomposition, without a ridge.

        R = N^-1/2 X D^-1/2 ~ U s V^T,   B = V s^-1 U^T X,   scores of user u = (R B)_u = (U U^T X)_u
        a history x of n items:  n^-1/2 x D^-1/2 B

    X is the binary users x items matrix with row counts N and column counts D; U, s and V are its k leading singular
    vectors and values. A known user's items give the user's row of R, so both scores are equal. Stores two arrays
    [I, k].

    Args:
        k: number of singular vectors, at least 1; more than R has are left out.
    Source: Hong et al., IJCAI 2024, arXiv 2405.04746 (repository seoyoungh/svd-ae). Differs from the authors'
        code in: the solver of the decomposition.
    ``item_vectors`` are the columns of the log.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> SVDAE(k=2).fit(log).block(np.array([1])).round(3) + 0
    array([[0., 1.]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple({"k": k} for k in (8, 16, 32, 64, 128, 256, 512))

    def __init__(self, k: int = 128):
        if k < 1:
            raise UsageError(f"SVDAE needs k of at least 1, got {k}")
        self.k = k
        self._read: Float | None = None
        self._write: Float | None = None

    def fit(self, train: Interactions) -> SVDAE:
        require(_bytes(train, self.k), f"SVDAE with k={self.k}", "use a smaller k, or keep fewer items (k-core)")
        seen = train.csr()
        v, values = leading(seen, self.k)
        users = (normalised(seen) @ v) / np.sqrt(values)  # U
        read = v * powers(train.item_counts.astype(np.float64), -0.5)[:, None] / np.sqrt(values)
        self._seen, self._read = seen, read.astype(np.float32)
        self._write = np.ascontiguousarray(seen.T @ users, dtype=np.float32)
        return self

    def fit_cost(self, train: Interactions) -> FitCost:
        """Time by the iteration for the singular vectors, and by the products of all users' scores."""
        vectors = seconds_of_leading(train.n_users, train.n_items, len(train), self.k)
        return FitCost(vectors + 1e-10 * train.n_users * train.n_items * self.k, _bytes(train, self.k))

    def from_history(self, histories: csr_array) -> Float:
        lengths = powers(np.diff(histories.indptr).astype(np.float64), -0.5)[:, None].astype(np.float32)
        with blas_of_run():
            codes = lengths * (histories.astype(np.float32) @ fitted(self._read, self))
            scores: Float = codes @ fitted(self._write, self).T
        return scores

    def state(self) -> State:
        return {**self.log_and_settings(), "read": fitted(self._read, self), "write": fitted(self._write, self)}

    @classmethod
    def from_state(cls, state: State) -> SVDAE:
        if state["read"].shape != state["write"].shape:
            raise ValueError("the two arrays of items differ in shape")
        model = cls.built(state)
        model._read, model._write = state["read"], state["write"]
        return model


def _bytes(train: Interactions, k: int) -> int:
    """Memory of a fit: of the iteration, and float64 and float32 arrays of users and items."""
    return bytes_of_leading(train.n_users, train.n_items, k) + 12 * k * (train.n_users + 2 * train.n_items)
