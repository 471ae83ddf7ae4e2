"""ChebyCF: a Chebyshev polynomial of the item graph, shaped as a plateau, and an ideal low-pass filter."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from taurec.baselines.filter import GraphFilter
from taurec.baselines.graph import ItemGraph
from taurec.errors import UsageError
from taurec.ranker import Float

Double = NDArray[np.float64]
Nodes = Literal["authors", "roots"]


class ChebyCF(GraphFilter):
    """Chebyshev collaborative filtering: a polynomial of the graph's Laplacian that is flat in the middle.

        R = N^-1/2 X D^-1/2,   L = I - 2 R^T R,   scores = x D^-beta (sum_k c_k T_k(L) + alpha V V^T) D^beta
        c_k = 2 / (K + 1) sum_m h(y_m) T_k(x_m), c_0 half of it,   x_m the K + 1 roots of T_(K+1)
        h(x) = (1 + |x|^phi) / 2 for x < 0, (1 - x^phi) / 2 otherwise

    X is the binary users x items matrix with row counts N and column counts D; V are the k leading eigenvectors of
    R^T R. The eigenvalues of L are between -1 (smooth over the graph) and 1. A score costs K products with R^T R.

    Args:
        order: K, the degree of the polynomial.
        phi: flatness of the plateau; a larger value makes it flatter and its ends steeper.
        k: number of eigenvectors, eta in the paper; more than there are, are left out.
        alpha: weight of the ideal filter; 0 leaves it out.
        beta: power of the counts that divide the history and multiply the scores; a larger one prefers popular items.
        nodes: ``roots`` takes h at y_m = x_m, which interpolates it. ``authors`` takes it where their code does: at the
            extrema y_m = cos((K - m) pi / K), m from 0, rounded to three decimals, the values of h rounded as well.
    Source: Kim et al., SIGIR 2025, arXiv 2505.00552, in the form and with the defaults of their code for Gowalla
        (repository chanwoo0806/ChebyCF). Differs from the authors' code in: the solver of V.

    >>> from taurec.data.interactions import Interactions
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> ChebyCF(k=1).fit(log).block(np.array([1])).round(3)
    array([[0.325, 0.902]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"phi": phi, "k": k, "beta": beta} for phi in (1.5, 10.0) for k in (64, 512) for beta in (0.0, 0.4)
    )

    def __init__(
        self,
        order: int = 8,
        phi: float = 1.5,
        k: int = 512,
        alpha: float = 0.2,
        beta: float = 0.4,
        nodes: Nodes = "authors",
    ):
        if order < 1 or not 0.0 < phi < np.inf:
            raise UsageError(f"ChebyCF needs order of at least 1 and phi above 0, got order={order}, phi={phi}")
        if not (0.0 <= alpha < np.inf and abs(beta) < np.inf):
            raise UsageError(f"ChebyCF needs alpha of at least 0 and a finite beta, got alpha={alpha}, beta={beta}")
        super().__init__(k)
        self.order, self.phi, self.alpha, self.beta, self.nodes = order, phi, alpha, beta, nodes
        self._coefficients = coefficients(order, phi, nodes)

    def rank(self) -> int:
        return self.k if self.alpha else 0

    def passes(self) -> int:
        return self.order

    def filtered(self, graph: ItemGraph, signal: Float) -> Float:
        c = self._coefficients.astype(np.float32)
        signal = graph.degrees(-self.beta) * signal
        before, now = signal, signal - 2 * graph.smooth(signal)
        total = c[0] * before + c[1] * now
        for weight in c[2:]:
            before, now = now, 2 * now - 4 * graph.smooth(now) - before
            total += weight * now
        if self.rank():
            total += np.float32(self.alpha) * self.ideal(graph, signal, 0.0)
        return graph.degrees(self.beta) * total


def plateau(x: Double, phi: float) -> Double:
    """The target h of the filter, for x from -1 to 1.

    >>> plateau(np.array([-1.0, -0.5, 0.0, 1.0]), 2.0)
    array([1.   , 0.625, 0.5  , 0.   ])
    """
    found: Double = 0.5 - 0.5 * np.sign(x) * np.abs(x) ** phi
    return found


def coefficients(order: int, phi: float, nodes: Nodes) -> Double:
    """c_0 to c_K of the Chebyshev polynomials, of which the filter is the sum."""
    if nodes not in ("authors", "roots"):
        raise UsageError(f"nodes must be 'authors' or 'roots', got {nodes!r}")
    m = np.arange(order + 1)
    angle = (order + 0.5 - m) / (order + 1) * np.pi
    if nodes == "roots":
        h = plateau(np.cos(angle), phi)
    else:
        h = plateau(np.cos((order - m) / order * np.pi).round(3), phi).round(3)
    c: Double = 2 / (order + 1) * np.cos(np.outer(m, angle)) @ h
    c[0] /= 2
    return c
