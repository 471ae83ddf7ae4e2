"""The exact K best items of each user: by descending score, equal scores by ascending rank in the tie order.

Kernels: ``torch`` selects from blocks of scores [b, I]; ``numba`` (float32 on the CPU) from blocks of scores, or from
two tables, whose products are compared while they are in registers and never stored; ``triton`` (float32 on a GPU)
from two tables only. The selection depends on ``(like, rows, n_items, tables)``: a tensor of the dtype and device of
the computation, the number of users and of items, and whether scores are products of two tables. The lower bound is
the time of the products: about K log(I / K) of a row's I scores, in random order, enter its list.

Each module has ``best_of_scores(scores, users, k, ranks, seen, banned)`` or ``best_of_tables(user, item, users, k,
ranks, seen, banned)`` or both:

- ``scores`` [b, I] float32, contiguous, which may be overwritten; or ``user`` [U, D] and ``item`` [I, D].
- ``users`` [b]: for each row of the result, its row of ``seen`` and of ``user``.
- ``ranks``: :data:`taurec.kernels.topk.best.Ranks`.
- ``seen``: (indptr [U + 1], indices) of items that do not appear in a user's list, ascending in each row; or None.
- ``banned``: [I] items that appear in no list; or None.
"""

from __future__ import annotations

from torch import Tensor

from taurec.kernels import Operation, misfit_of
from taurec.kernels.topk.best import Best

__all__ = ["OPERATION", "WORTH", "Best"]

#: Users times items below which ``auto`` uses torch: starting the compiler would take longer.
WORTH = 1 << 22


def _misfit(kernel: str, like: Tensor, rows: int, n_items: int, tables: bool) -> str:
    if kernel == "triton" and not tables:
        return "it selects from two tables, and this ranker computes its scores itself"
    return misfit_of(kernel, like)


def _small(like: Tensor, rows: int, n_items: int, tables: bool) -> bool:
    return rows * n_items < WORTH


OPERATION = Operation(_misfit, _small)
