"""EDLAE: EASE whose ridge grows with the popularity of the item, as dropout makes it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taurec.baselines.closed_form import item_weights
from taurec.baselines.item_to_item import ItemToItem
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


def dropout_ridge(train: Interactions, l2: float, drop: float) -> NDArray[np.float64]:
    """The diagonal of Lam [I]: ``l2 + drop / (1 - drop) d``, with d the number of users of each item.

    >>> dropout_ridge(Interactions.from_pairs([0, 0, 1], [0, 1, 1]), l2=1.0, drop=0.5).tolist()
    [2.0, 3.0]
    """
    ridge: NDArray[np.float64] = l2 + drop / (1.0 - drop) * train.item_counts.astype(np.float64)
    return ridge


def check_ridge(name: str, l2: float, drop: float) -> None:
    """Refuse a ridge that is 0 or not a number."""
    if not (0.0 <= l2 < np.inf and 0.0 <= drop < 1.0 and l2 + drop > 0.0):
        raise UsageError(f"{name} needs l2 >= 0 and 0 <= drop < 1, not both 0; got l2={l2}, drop={drop}")


class EDLAE(ItemToItem):
    """Linear denoising auto-encoder with a zero diagonal: EASE with a ridge that grows with popularity.

        P = (X^T X + Lam)^-1,   Lam = diag(l2 + drop / (1 - drop) d),   B_ij = -P_ij / P_jj,   B_jj = 0,   scores = X B

    X is the binary users x items matrix and d_j the number of users of item j. It is what squared error leads to if
    each input is dropped with probability ``drop`` and only the dropped items are targets. Cost and memory are those
    of :class:`EASE`; ``drop=0`` is EASE.

    Args:
        l2: ridge that is the same for every item, at least 0.
        drop: probability of dropping an input, 0 to below 1.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Steck, NeurIPS 2020, in the form of the authors' code of Moon, Kim and Lee (RDLAE), SIGIR 2023.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> EDLAE(l2=1.0, drop=0.5).fit(log).weights().round(3)
    array([[0.   , 0.333],
           [0.2  , 0.   ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2, "drop": drop} for l2 in (5.0, 20.0, 50.0, 200.0, 500.0) for drop in (0.2, 0.5)
    )
    SETTINGS = ("l2", "drop")

    def __init__(self, l2: float = 50.0, drop: float = 0.25):
        check_ridge("EDLAE", l2, drop)
        self.l2, self.drop = l2, drop

    def solve(self, train: Interactions) -> Float:
        return item_weights(train.csr(), dropout_ridge(train, self.l2, self.drop))
