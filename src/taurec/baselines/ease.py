"""EASE: a linear model from items to items, in closed form."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from taurec.baselines.closed_form import item_weights
from taurec.baselines.item_to_item import ItemToItem
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


class EASE(ItemToItem):
    """Ridge regression of each item on all others (embarrassingly shallow auto-encoder).

        P = (X^T X + l2 I)^-1,   B_ij = -P_ij / P_jj,   B_jj = 0,   scores = X B

    X is the binary users x items matrix. With fewer users than items, the same B comes from the smaller matrix of
    users (Woodbury's identity):

        A = X^T (X X^T + l2 I)^-1 X,   B_ij = A_ij / (1 - A_jj),   B_jj = 0

    With n the smaller of U and I it costs n^3 operations and 8 n^2 + 4 I^2 bytes (a float64 inverse made in place, a
    float32 B), on as many threads as torch is set to. Bits may differ in the last place with their number.

    Args:
        l2: weight of the squared entries of B, above 0; the value grows with the number of users.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: Steck, WWW 2019, arXiv 1905.03375, eq. 8 and algorithm 1, which inverts the matrix of items.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> EASE(l2=1.0).fit(log).weights()
    array([[0.        , 0.5       ],
           [0.33333334, 0.        ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2} for l2 in (10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
    )
    SETTINGS = ("l2",)

    def __init__(self, l2: float = 500.0):
        if not 0.0 < l2 < np.inf:
            raise UsageError(f"EASE needs l2 above 0, got {l2}")
        self.l2 = l2

    def solve(self, train: Interactions) -> Float:
        return item_weights(train.csr(), self.l2)
