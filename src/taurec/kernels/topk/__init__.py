"""The exact K best items of each user: by score descending, then by the tie order, ascending.

Kernels: ``torch`` selects from blocks of scores [b, I]; ``numba`` (float32 on the CPU) from blocks of scores, or from
two tables whose products are compared while they are in registers and never stored; ``triton`` (float32 on a GPU)
from two tables alone. The selection depends on ``(like, rows, n_items, tables)``: a tensor of the type and device that
is computed on, the number of users and of items, and whether scores are products of two tables. The floor is that of
the products: of a row's I scores in random order about K log(I / K) are looked at.

Each module has ``best_of_scores(scores, users, k, ranks, seen, banned)`` or ``best_of_tables(user, item, users, k,
ranks, seen, banned)`` or both:

- ``scores`` [b, I] float32, contiguous, which may be overwritten; or ``user`` [U, D] and ``item`` [I, D].
- ``users`` [b]: the row of ``seen``, and of ``user``, that each result belongs to.
- ``ranks``: :data:`taurec.kernels.topk.best.Ranks`.
- ``seen``: (indptr [U + 1], indices) of items that do not appear in a user's list, ascending in each row; or None.
- ``banned``: [I] items that appear in no list; or None.
"""

from __future__ import annotations

from torch import Tensor

from taurec.kernels import Operation, misfit_of
from taurec.kernels.topk.best import Best

__all__ = ["OPERATION", "WORTH", "Best"]

#: Users times items below which ``auto`` stays with torch: starting the compiler takes longer.
WORTH = 1 << 22


def _misfit(kernel: str, like: Tensor, rows: int, n_items: int, tables: bool) -> str:
    if kernel == "triton" and not tables:
        return "it selects from two tables, and this ranker computes its scores itself"
    return misfit_of(kernel, like)


def _small(like: Tensor, rows: int, n_items: int, tables: bool) -> bool:
    return rows * n_items < WORTH


OPERATION = Operation(_misfit, _small)
