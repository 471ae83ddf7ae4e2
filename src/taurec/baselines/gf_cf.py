"""GF-CF: one smoothing of the history over the item graph, and an ideal low-pass filter."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from taurec.baselines.filter import GraphFilter
from taurec.baselines.graph import ItemGraph
from taurec.errors import UsageError
from taurec.ranker import Float


class GFCF(GraphFilter):
    """Graph-filter collaborative filtering: a linear and an ideal low-pass filter of the history.

        R = N^-1/2 X D^-1/2,   S = R^T R,   F = S + alpha D^-1/2 V V^T D^1/2,   scores = x F

    X is the binary users x items matrix with row counts N and column counts D; V are the k leading eigenvectors of S.
    Costs one product with S for a score, and one Lanczos iteration for V.

    Args:
        k: number of eigenvectors; more than S has are left out.
        alpha: weight of the ideal filter; 0 leaves it out, as the authors do on Amazon-book.
    Source: Shen et al., CIKM 2021, arXiv 2108.07567, with alpha and k of their code (repository yshenaw/GF_CF).
        Differs from the authors' code in: the solver of V.

    >>> from taurec.data.interactions import Interactions
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> GFCF(k=1).fit(log).block(np.array([1])).round(3)
    array([[0.454, 0.95 ]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.0},
        *({"k": k, "alpha": alpha} for k in (64, 256) for alpha in (0.1, 0.3, 1.0)),
    )

    def __init__(self, k: int = 256, alpha: float = 0.3):
        if not 0.0 <= alpha < np.inf:
            raise UsageError(f"GFCF needs alpha of at least 0, got {alpha}")
        super().__init__(k)
        self.alpha = alpha

    def rank(self) -> int:
        return self.k if self.alpha else 0

    def passes(self) -> int:
        return 1

    def filtered(self, graph: ItemGraph, signal: Float) -> Float:
        scores = graph.smooth(signal)
        if self.rank():
            scores += np.float32(self.alpha) * self.ideal(graph, signal, 0.5)
        return scores
