"""How a loss reduces over a row's negatives: the declaration that lets a kernel stream the catalogue.

A loss of this library is a reduction over negatives followed by a formula on [B]:

    loss(pos, neg) == loss.combine(pos, *loss.reduce(pos, neg))

A kernel that computes the reduction in blocks, without holding [B, I], gives the loss over the whole catalogue through
``combine``. :class:`RowReduce` is the declaration, and the reference implementation that computes every loss and with
which the kernels are compared; :mod:`taurec.kernels.reductions` defines phi for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from taurec.kernels.reductions import Phi, Reduction, weighted_hinge
from taurec.losses.logspace import count_present, log_sum_exp

__all__ = ["Phi", "RowReduce", "weighted_hinge"]


@dataclass(frozen=True)
class RowReduce(Reduction):
    """The mean, or the log-sum-exp, of phi over a row's negatives, computed on scores that are held.

        mean:       r_b = sum_n phi(x_bn) / n_b
        logsumexp:  r_b = log sum_n exp(phi(x_bn) / tau)

    with x_bn = neg_bn, or neg_bn - pos_b if pairwise, over the n_b negatives that are present. The attributes are those
    of :class:`taurec.kernels.reductions.Reduction`.

    Calling it takes pos [B] and neg [B, N] and returns (r [B], n [B]); r and its gradient are 0 where n is.

    >>> import torch
    >>> RowReduce("mean", "square")(torch.zeros(1), torch.tensor([[3.0, 1.0, -math.inf]]))
    (tensor([5.]), tensor([2.]))
    """

    def __call__(self, pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
        n = count_present(neg)
        x = neg - pos[:, None] if self.pairwise else neg
        if self.kind == "logsumexp":
            if self.phi != "identity":
                x = self._present(x).masked_fill(neg == -math.inf, -math.inf)
            return log_sum_exp(x, self.tau), n
        return self._present(x).sum(dim=1) / n.clamp(min=1), n

    def _present(self, x: Tensor) -> Tensor:
        """phi(x), which is 0 without gradient at x = -inf."""
        if self.phi in ("identity", "square"):
            x = x.masked_fill(x == -math.inf, 0.0)
        return self.value(x)
