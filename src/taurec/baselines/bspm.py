"""BSPM: the history blurred over the item graph, then sharpened."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from taurec.baselines.filter import GraphFilter
from taurec.baselines.graph import ItemGraph
from taurec.errors import UsageError
from taurec.ranker import Float

Solver = Literal["rk4", "euler"]
Merge = Literal["early", "late"]


class BSPM(GraphFilter):
    """Blurring-sharpening process model: two differential equations over the item graph, solved in few steps.

        blur:     b = x S,   z = x D^-1/2 V V^T D^1/2,   S = R^T R,   R = N^-1/2 X D^-1/2
        sharpen:  dy/dt = -y S from t = 0 to ``time``, y(0) = b + beta z (early merge) or b (late merge)
        scores:   y(time), or with ``mean`` the mean of b and of y after each step;   late merge then adds beta z

    X is the binary users x items matrix with row counts N and column counts D; V are the k leading eigenvectors of S.
    A step of length h multiplies y by I - hS (``euler``), or by I - hS + h^2 S^2 / 2 - h^3 S^3 / 6 + h^4 S^4 / 24
    (``rk4``).

    The authors' variants: Gowalla, the defaults; Yelp2018, ``k=384, beta=0.3, solver="euler", time=1.2, mean=True``;
    Amazon-book, ``beta=0, time=2.2, steps=2, merge="late"``.

    Args:
        k: number of eigenvectors; more than S has are left out.
        beta: weight of the ideal low-pass filter z; 0 leaves it out.
        solver: of the sharpening, ``rk4`` or ``euler``.
        time: end of the sharpening; 0 leaves it out.
        steps: number of equal steps to it.
        merge: ``early``, z is sharpened too, or ``late``.
        mean: whether the blurred signal and all steps are averaged.
    Source: Choi et al., SIGIR 2023, arXiv 2211.09324, in the form and with the settings of their code
        (repository jeongwhanchoi/BSPM). Differs from the authors' code in: the solver of V; blurring is always one step
        of Euler's method of length 1.

    >>> from taurec.data.interactions import Interactions
    >>> log = Interactions.from_pairs([0, 0, 1], [0, 1, 1])
    >>> BSPM(k=1).fit(log).block(np.array([1])).round(3)
    array([[0.288, 0.562]], dtype=float32)
    """

    GRID: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"k": k, "beta": beta, "time": time} for k in (64, 448) for beta in (0.2, 1.0) for time in (1.0, 2.5)
    )

    def __init__(
        self,
        k: int = 448,
        beta: float = 0.2,
        solver: Solver = "rk4",
        time: float = 2.5,
        steps: int = 1,
        merge: Merge = "early",
        mean: bool = False,
    ):
        if not (0.0 <= beta < np.inf and 0.0 <= time < np.inf and steps >= 1):
            raise UsageError(f"BSPM needs beta >= 0, time >= 0, steps >= 1; got {beta=}, {time=}, {steps=}")
        if solver not in ("rk4", "euler") or merge not in ("early", "late"):
            raise UsageError(f"BSPM has the solvers rk4, euler and the merges early, late; got {solver!r}, {merge!r}")
        super().__init__(k)
        self.beta, self.solver, self.time, self.steps = beta, solver, time, steps
        self.merge, self.mean = merge, mean

    def rank(self) -> int:
        return self.k if self.beta else 0

    def passes(self) -> int:
        return 1 + self.steps * self._order()

    def _order(self) -> int:
        """Of the Taylor polynomial of exp(-hS) that a step multiplies by."""
        return 4 if self.solver == "rk4" else 1

    def filtered(self, graph: ItemGraph, signal: Float) -> Float:
        blurred = graph.smooth(signal)
        if not self.rank():
            return self._sharpened(graph, blurred, blurred)
        passed = np.float32(self.beta) * self.ideal(graph, signal, 0.5)
        if self.merge == "early":
            return self._sharpened(graph, blurred + passed, blurred)
        return self._sharpened(graph, blurred, blurred) + passed

    def _sharpened(self, graph: ItemGraph, y: Float, blurred: Float) -> Float:
        h, total = self.time / self.steps, blurred
        for _ in range(self.steps):
            term = y
            for power in range(1, self._order() + 1):
                term = np.float32(-h / power) * graph.smooth(term)
                y = y + term
            total = total + y
        return total / np.float32(self.steps + 1) if self.mean else y
