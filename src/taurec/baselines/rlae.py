"""RLAE and RDLAE: linear auto-encoders whose diagonal is bounded instead of zero."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from taurec.baselines.closed_form import item_weights
from taurec.baselines.edlae import check_ridge, dropout_ridge
from taurec.baselines.item_to_item import ItemToItem
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


def check_bound(name: str, xi: float) -> None:
    """Refuse a bound of the diagonal outside 0 to 1."""
    if not 0.0 <= xi <= 1.0:
        raise UsageError(f"{name} needs 0 <= xi <= 1, got xi={xi}")


class RLAE(ItemToItem):
    """Ridge regression of the log on itself whose diagonal is at most xi, used with a zero diagonal.

        P = (X^T X + l2 I)^-1,   s_j = max(l2, (1 - xi) / P_jj),   B_ij = -P_ij s_j,   B_jj = 0,   scores = X B

    A column reaches the bound if ``1 - l2 P_jj > xi``. With xi = 0 all do, which is :class:`EASE`; with xi = 1 none
    does, which is plain ridge regression (LAE). While all columns reach the bound, B is (1 - xi) times that of EASE and
    the ranking is the same. Cost and memory are those of EASE.

    Args:
        l2: ridge, above 0.
        xi: upper bound of the diagonal, 0 to 1.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Moon, Kim and Lee, SIGIR 2023, arXiv 2305.12922, in the form of the authors' code.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> RLAE(l2=1.0, xi=0.25).fit(log).weights()  # three quarters of EASE's
    array([[0.   , 0.375],
           [0.25 , 0.   ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2, "xi": xi} for l2 in (5.0, 20.0, 100.0, 250.0, 500.0, 1000.0) for xi in (0.2, 0.5)
    )
    SETTINGS = ("l2", "xi")

    def __init__(self, l2: float = 100.0, xi: float = 0.5):
        if not 0.0 < l2 < np.inf:
            raise UsageError(f"RLAE needs l2 above 0, got {l2}")
        check_bound("RLAE", xi)
        self.l2, self.xi = l2, xi

    def solve(self, train: Interactions) -> Float:
        return item_weights(train.csr(), self.l2, xi=self.xi)


class RDLAE(ItemToItem):
    """RLAE with the ridge of dropout: the diagonal of EDLAE is at most xi instead of zero.

        P = (X^T X + Lam)^-1,   Lam = diag(l2 + drop / (1 - drop) d),   s_j = max(Lam_j, (1 - xi) / P_jj)
        B_ij = -P_ij s_j,   B_jj = 0,   scores = X B

    With xi = 0 it is :class:`EDLAE`, with drop = 0 :class:`RLAE`. Cost and memory are those of EASE.

    Args:
        l2: ridge that is the same for every item, at least 0.
        drop: probability of dropping an input, 0 to below 1.
        xi: upper bound of the diagonal, 0 to 1.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Moon, Kim and Lee, SIGIR 2023, arXiv 2305.12922, in the form of the authors' code.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> RDLAE(l2=1.0, drop=0.5, xi=0.25).fit(log).weights().round(3)
    array([[0.  , 0.25],
           [0.15, 0.  ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2, "drop": drop, "xi": xi} for l2 in (20.0, 100.0, 300.0) for drop in (0.2, 0.5) for xi in (0.1, 0.3)
    )
    SETTINGS = ("l2", "drop", "xi")

    def __init__(self, l2: float = 50.0, drop: float = 0.25, xi: float = 0.25):
        check_ridge("RDLAE", l2, drop)
        check_bound("RDLAE", xi)
        self.l2, self.drop, self.xi = l2, drop, xi

    def solve(self, train: Interactions) -> Float:
        return item_weights(train.csr(), dropout_ridge(train, self.l2, self.drop), xi=self.xi)
