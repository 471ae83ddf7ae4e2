"""EASE on a log whose rows and columns are divided by powers of their counts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from taurec.baselines.closed_form import item_weights
from taurec.baselines.item_to_item import ItemToItem
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.ranker import Float


class NormalisedEASE(ItemToItem):
    """EASE of the normalised matrix, with exponents for users, for items, and for the scores.

        Y = N^(-rows/2) X D^-columns,   l = l2 mean_j (Y^T Y)_jj,   P = (Y^T Y + l I)^-1
        B_ij = -P_ij / P_jj,   B_jj = 0,   scores = X D^-columns B D^output

    X is the binary users x items matrix, N the diagonal of the users' counts and D that of the items' counts; the mean
    is over items with users. The columns' exponent alone only makes the ridge proportional to d^(2 columns); what it
    adds to that is ``output``: below ``columns``, popular items score lower. With all exponents 0 it is :class:`EASE`
    with a ridge in units of the mean popularity. Cost and memory are those of EASE.

    Args:
        l2: ridge in multiples of the mean diagonal of the normalised Gram matrix, above 0.
        rows: exponent of the users' counts; a larger one gives users with many items less weight.
        columns: exponent of the items' counts in the matrix and in the history.
        output: exponent of the items' counts in the scores.
    Raises: ResourceError if the matrix does not fit into memory, with the figure.
    Source: a variant of EASE (Steck, WWW 2019). Differs from DAN (Park et al., SIGIR 2025) in: histories are not
        multiplied by a power of the popularity, the ridge has no dropout term and follows the mean diagonal.
    ``item_vectors`` are the columns of the log, so similar items are those with the same users.

    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> model = NormalisedEASE(l2=1.0, rows=0.0, columns=0.5, output=0.5)  # EDLAE with drop 0.5 and l2 0
    >>> model.fit(log).weights().round(3)
    array([[0.  , 0.5 ],
           [0.25, 0.  ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"l2": l2, "rows": 0.5, "columns": 0.25, "output": output}
        for l2 in (1.0, 2.0, 4.0, 10.0)
        for output in (0.25, 0.15, 0.05)
    )
    SETTINGS = ("l2", "rows", "columns", "output")

    def __init__(self, l2: float = 2.0, rows: float = 0.5, columns: float = 0.25, output: float = 0.15):
        if not 0.0 < l2 < np.inf:
            raise UsageError(f"NormalisedEASE needs l2 above 0, got {l2}")
        if not all(np.isfinite([rows, columns, output])):
            raise UsageError(
                f"NormalisedEASE needs finite exponents, got rows={rows}, columns={columns}, output={output}"
            )
        self.l2, self.rows, self.columns, self.output = l2, rows, columns, output

    def solve(self, train: Interactions) -> Float:
        counts = train.item_counts
        d = np.maximum(counts, 1.0)
        weight = np.maximum(train.user_counts, 1.0) ** -self.rows
        diagonal = np.bincount(train.indices, weight[train.user_of], minlength=train.n_items) * d ** (-2 * self.columns)
        l2 = self.l2 * (diagonal[counts > 0].mean() if counts.any() else 1.0)
        ridge = l2 * d ** (2 * self.columns)
        return item_weights(train.csr(), ridge, self.rows, out=d ** (self.output - self.columns))
