"""Sums of exponentials in log space, for rows of scores and for groups of rows.

In all of them ``-inf`` marks an absent entry, and a sum without entries is 0 with zero gradient instead of ``-inf``
with NaN. A NaN or +inf among the scores is never hidden: the result is NaN or inf.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), exact to the last bits in float64 too.

    torch's own default returns x from 20 on, which is off by 2e-9 there.

    >>> bool(softplus(torch.tensor(20.0, dtype=torch.float64)) > 20)
    True
    """
    return F.softplus(x, threshold=40.0)


def count_present(x: Tensor) -> Tensor:
    """[B] number of entries of each row of ``x``[B, N] that are not -inf, in the type of ``x``.

    >>> count_present(torch.tensor([[0.5, -math.inf], [1.0, 2.0]]))
    tensor([1., 2.])
    """
    # The minimum is one fast pass; on a GPU reading it would stall the queue.
    if x.device.type == "cpu" and x.shape[1] and bool((x.detach().amin(dim=1) > -math.inf).all()):
        return x.new_full((x.shape[0],), x.shape[1])
    return (x != -math.inf).sum(dim=1).to(x.dtype)


def log_sum_exp(x: Tensor, tau: float = 1.0) -> Tensor:
    """[B] log sum_n exp(x_bn / tau) of the rows of ``x``[B, N]; 0 for a row of nothing but -inf.

    The row maximum is subtracted before the division, so that large scores at small tau keep their digits.

    >>> log_sum_exp(torch.tensor([[0.0, 0.0], [-math.inf, 1e4], [-math.inf, -math.inf]]), tau=0.01)
    tensor([6.9315e-01, 1.0000e+06, 0.0000e+00])
    """
    result: Tensor = _LogSumExp.apply(x, tau)  # type: ignore[no-untyped-call]
    return result


class _LogSumExp(torch.autograd.Function):
    """Keeps one [B, N] array for the gradient, computed in place; autograd would keep several."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float) -> Tensor:
        top = x.amax(dim=1, keepdim=True)
        top = top.masked_fill(top == -math.inf, 0.0)
        terms = torch.sub(x, top).div_(tau).exp_()
        total = terms.sum(dim=1)
        total = total.masked_fill(total == 0, 1.0)
        ctx.save_for_backward(x, top, terms, total)
        ctx.tau = tau
        return total.log() + top[:, 0] / tau

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, top, terms, total = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: compute the terms again, as a function of x
            terms = ((x - top) / ctx.tau).exp()
            total = terms.sum(dim=1)
            total = total.masked_fill(total == 0, 1.0)
        return terms * (grad / (total * ctx.tau))[:, None], None


def present(value: Tensor, n: Tensor) -> Tensor:
    """Row values, with 0 and no gradient for the rows that have no negative (n = 0).

    >>> present(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 5.0]))
    tensor([0., 3.])
    """
    return value.masked_fill(n == 0, 0.0)


def group_slots(group: Tensor) -> Tensor:
    """[B] number of each row's group among the sorted distinct groups.

    Sorts, so no size depends on the data: no device sync.

    >>> group_slots(torch.tensor([7, 3, 7, 5]))
    tensor([2, 0, 2, 1])
    """
    ordered, order = torch.sort(group, stable=True)
    new = torch.zeros_like(order)
    new[1:] = ordered[1:] != ordered[:-1]
    return torch.empty_like(order).scatter_(0, order, new.cumsum(0))


def group_sum(x: Tensor, slots: Tensor) -> Tensor:
    """[B] sum of ``x``[B] over each slot; slots without rows stay 0.

    >>> group_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0]))
    tensor([5., 2., 0.])
    """
    return torch.zeros_like(x).index_add(0, slots, x)


def group_log_sum_exp(x: Tensor, slots: Tensor) -> Tensor:
    """[B] log sum exp(x_b) over the rows of each slot, in O(B); 0 for a slot without entries.

    >>> group_log_sum_exp(torch.tensor([0.0, 3.0, 0.0]), torch.tensor([0, 1, 0]))
    tensor([0.6931, 3.0000, 0.0000])
    """
    top = torch.full_like(x, -math.inf).scatter_reduce(0, slots, x.detach(), "amax")
    top = top.masked_fill(top == -math.inf, 0.0)
    total = group_sum((x - top.index_select(0, slots)).exp(), slots)
    return total.masked_fill(total == 0, 1.0).log() + top


def log_mean(log_sum: Tensor, n: Tensor) -> Tensor:
    """The log of a mean, from the log of the sum and the count (at least 1).

    >>> log_mean(torch.tensor([math.log(6.0)]), torch.tensor([3.0]))
    tensor([0.6931])
    """
    return log_sum - n.clamp(min=1).log()


def group_log_mean_exp(x: Tensor, slots: Tensor, n: Tensor) -> Tensor:
    """[B] log mean exp(x) by slot, over the rows that have negatives (n > 0); 0 for a slot without such rows.

    >>> x, n = torch.tensor([1.0, 1.0, 9.0]), torch.tensor([4.0, 4.0, 0.0])
    >>> group_log_mean_exp(x, torch.tensor([0, 0, 0]), n)
    tensor([1., 0., 0.])
    """
    absent = n == 0
    total = group_log_sum_exp(x.masked_fill(absent, -math.inf), slots)
    return log_mean(total, group_sum((~absent).to(x.dtype), slots))


def pooled(x: Tensor, group: Tensor, n: Tensor) -> Tensor:
    """[B] log mean exp(x) over the rows of each row's group; rows without negatives are left out.

    >>> pooled(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([7, 3, 7]), torch.ones(3))
    tensor([1., 2., 1.])
    """
    slots = group_slots(group)
    return group_log_mean_exp(x, slots, n).index_select(0, slots)
