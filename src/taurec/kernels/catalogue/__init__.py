"""Mean or log-sum-exp of phi over the scores of each row with all items; the scores [B, I] are never stored.

Kernels: ``torch`` (tiles of matrix products), ``numba`` (the same tiles with compiled exponentials, float32 on the CPU;
a mean has no exponentials, so it runs the torch code) and ``triton`` (tiles that stay on the chip, float32 on a GPU).
The selection depends on ``(user, item)``. The lower bound is the time of the matrix products: one forward, three
backward.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from taurec.errors import UsageError
from taurec.kernels import Operation, misfit_of, select
from taurec.kernels.reductions import Kind, Phi, Reduction

__all__ = ["OPERATION", "Precision", "catalogue_reduce"]

Precision = Literal["ieee", "tf32x3", "tf32", "bf16"]
OPERATION = Operation(misfit_of)


def catalogue_reduce(
    user: Tensor,
    item: Tensor,
    pos: Tensor | None = None,
    absent: Tensor | None = None,
    *,
    kind: Kind,
    phi: Phi = "identity",
    margins: tuple[float, ...] = (),
    weights: tuple[float, ...] = (),
    tau: float = 1.0,
    kernel: str = "auto",
    precision: Precision = "ieee",
) -> tuple[Tensor, Tensor]:
    """The mean, or the log-sum-exp, of phi over the scores of each row with all items.

        mean:       r_b = sum_i phi(x_bi) / n_b
        logsumexp:  r_b = log sum_i exp(phi(x_bi) / tau)

    with x_bi = <user[b], item[i]>, minus pos[b] if that is given, over the n_b items that are not absent.
    :class:`taurec.kernels.reductions.Reduction` describes each phi.

    Differentiable in user, item and pos. Besides its results it needs memory for a few tiles of at most 2^20 scores.

    Args:
        user: [B, D] vectors of the rows, float32 or float64.
        item: [I, D] vectors of all items; its gradient is dense.
        pos: [B] score of each row's pair, for a pairwise reduction.
        absent: [2, M] int64, distinct (row, item) to leave out, such as the ``indices()`` of a sparse tensor.
        kind, phi, margins, weights, tau: as in ``Reduction``.
        kernel: ``auto``, ``numba`` (compiled exponentials, float32 on CPU), ``triton`` (float32 on a GPU) or
            ``torch``.
        precision: of ``triton``'s products: ``ieee`` float32; ``tf32x3`` and ``tf32`` on the tensor cores, the first
            nearly as exact as ``ieee``; ``bf16`` rounds the two vectors of a score to 8 bits (its error is up to 2^-8
            of the product of their lengths), while sums stay float32.
    Returns: r [B] and n [B]; r and its gradient are 0 where n is 0.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call.

    >>> import torch
    >>> user, item = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 5.0], [7.0, 1.0]])
    >>> catalogue_reduce(user, item, absent=torch.tensor([[0], [2]]), kind="mean", phi="square")
    (tensor([5.]), tensor([2.]))
    """
    if user.ndim != 2 or item.ndim != 2 or user.shape[1] != item.shape[1]:
        raise UsageError(
            f"catalogue_reduce takes user [B, D], item [I, D]; got {tuple(user.shape)}, {tuple(item.shape)}"
        )
    how = Reduction(kind, phi, pos is not None, margins, weights, tau)
    found = select("catalogue", user, item, kernel=kernel).kernel.reduce(user, item, pos, absent, how, precision)
    reduced, n = found
    return reduced, n
