"""DAN: data-adaptive normalisation of a linear auto-encoder, by users and by items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from taurec.baselines.closed_form import item_weights
from taurec.baselines.edlae import check_ridge, dropout_ridge
from taurec.baselines.item_to_item import ItemToItem
from taurec.baselines.rlae import check_bound
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


class DAN(ItemToItem):
    """EASE or RLAE with users weighted by their number of items, and items rescaled by their popularity.

        P = (X^T N^-beta X + Lam)^-1,   Lam = diag(l2 + drop / (1 - drop) d),   s_j = max(Lam_j, (1 - xi) / P_jj)
        B_ij = -P_ij s_j,   B_jj = 0,   scores = X D^alpha B D^-alpha

    X is the binary users x items matrix, N the diagonal of the users' counts and D that of the items' counts d. A
    larger beta gives users with many items less weight, a larger alpha raises rare items. Cost and memory are those of
    :class:`EASE`. With alpha = beta = xi = 0 it is :class:`EDLAE`.

    Args:
        l2: ridge that is the same for every item, at least 0. The Gram matrix is weighted, so suitable values are
            smaller than those of EASE.
        alpha: exponent of the items' counts, the exponent itself.
        beta: exponent of the users' counts.
        drop: probability of dropping an input, 0 to below 1.
        xi: upper bound of the diagonal: 0 is EASE_DAN of the paper, above 0 RLAE_DAN, and 1 LAE_DAN.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Park, Yoon, Kim and Lee, SIGIR 2025, arXiv 2504.05805, read from the authors' code: the dropout ridge takes
        the unweighted counts d beside a weighted Gram matrix. ``alpha`` is the option of their command line.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> DAN(l2=1.0, alpha=0.0, beta=1.0, drop=0.0).fit(log).weights().round(3)
    array([[0.   , 0.333],
           [0.2  , 0.   ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2, "alpha": alpha, "beta": beta, "drop": drop}
        for l2 in (5.0, 20.0)
        for drop in (0.1, 0.3, 0.6)
        for alpha, beta in ((0.1, 0.6), (0.2, 0.3))
    )
    SETTINGS = ("l2", "alpha", "beta", "drop", "xi")

    def __init__(self, l2: float = 20.0, alpha: float = 0.2, beta: float = 0.3, drop: float = 0.4, xi: float = 0.0):
        check_ridge("DAN", l2, drop)
        check_bound("DAN", xi)
        if not (np.isfinite(alpha) and np.isfinite(beta)):
            raise UsageError(f"DAN needs finite exponents, got alpha={alpha}, beta={beta}")
        self.l2, self.alpha, self.beta, self.drop, self.xi = l2, alpha, beta, drop, xi

    def solve(self, train: Interactions) -> Float:
        popularity = np.maximum(train.item_counts, 1.0) ** self.alpha
        ridge = dropout_ridge(train, self.l2, self.drop)
        return item_weights(train.csr(), ridge, self.beta, self.xi, into=popularity, out=1.0 / popularity)
