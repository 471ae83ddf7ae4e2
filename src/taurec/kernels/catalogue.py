"""Reductions over the whole catalogue, in tiles of scores: never [B, I], forward or backward.

A tile is one matrix product, reduced while it is still in the cache and then overwritten by the next. Backward
makes the scores again. Tiles are cut by shapes alone. On float32 CPU tables the exponentials are compiled;
otherwise the same formula runs in plain torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.errors import UsageError, did_you_mean
from taurec.kernels import NAMES, available, pool, triton_misfit
from taurec.kernels.compile import kernel as compiled

#: Scores of a tile, and its most rows.
TILE, ROWS = 1 << 20, 1024
Precision = Literal["ieee", "tf32x3", "tf32", "bf16"]


@dataclass(frozen=True)
class Reduction:
    """The arguments of :func:`catalogue_reduce` that say what is reduced, and whether by compiled loops."""

    kind: Literal["mean", "logsumexp"]
    phi: Literal["identity", "softplus", "hinge", "square"]
    margins: tuple[float, ...]
    weights: tuple[float, ...]
    tau: float
    compiled: bool
    precision: Precision = "ieee"

    def of(self, x: Tensor) -> Tensor:
        """phi(x), elementwise; x may be overwritten."""
        if self.phi == "softplus":
            return F.softplus(x, threshold=40.0)
        if self.phi == "square":
            return x.square_()
        if self.phi == "hinge":
            value, excess = torch.zeros_like(x), torch.empty_like(x)
            for margin, weight in zip(self.margins, self.weights, strict=True):
                value.add_(torch.sub(x, margin, out=excess).relu_(), alpha=weight)
            return value
        return x

    def slope(self, x: Tensor) -> Tensor:
        """phi'(x) in a tensor of its own; that of the lower side on a margin."""
        if self.phi == "softplus":
            return torch.sigmoid(x)
        if self.phi == "square":
            return 2 * x
        if self.phi == "hinge":
            value, above = torch.zeros_like(x), torch.empty_like(x)
            for margin, weight in zip(self.margins, self.weights, strict=True):
                value.add_(torch.gt(x, margin, out=above), alpha=weight)
            return value
        return torch.ones_like(x)

    def exp_sum(self, y: Tensor, top: Tensor) -> Tensor:
        """[R] float64 sums of exp((y - top) / tau) over the rows of a tile, which is used up."""
        if self.compiled:
            total = torch.empty(len(y))
            loop, arrays = compiled("exp_sum"), (y.numpy(), top.numpy(), 1 / self.tau)
            out = total.numpy()
            _by_rows(len(y), lambda lo, hi: loop(*arrays, lo, hi, out))
            return total.double()
        return y.sub_(top[:, None]).div_(self.tau).exp_().sum(1).double()

    def exp_times(self, y: Tensor, top: Tensor, factor: Tensor) -> Tensor:
        """``factor * exp((y - top) / tau)``, written over the tile."""
        if self.compiled:
            loop, arrays = compiled("exp_times"), (y.numpy(), top.numpy(), 1 / self.tau, factor.numpy())
            _by_rows(len(y), lambda lo, hi: loop(*arrays, lo, hi))
            return y
        return y.sub_(top[:, None]).div_(self.tau).exp_().mul_(factor[:, None])


class Tiles:
    """The tiles of scores [B, I], one after the other in the same memory, and where they have absent entries."""

    def __init__(self, user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None):
        self.user, self.item, self.pos = user, item, pos
        self.height = max(1, min(len(user), ROWS))
        self.width = max(1, min(len(item), TILE // self.height))
        self._memory = user.new_empty(self.height * self.width)
        self._across = -(-len(item) // self.width)
        if absent is not None:
            row, column = absent
            tile = row // self.height * self._across + column // self.width
            order = torch.argsort(tile, stable=True)
            self._row, self._column = row[order] % self.height, column[order] % self.width
            n_tiles = -(-len(user) // self.height) * self._across
            self._cut = [0, *torch.bincount(tile, minlength=n_tiles).cumsum(0).tolist()]
        else:
            self._cut = []

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor, Tensor | None]]:
        """Rows, items, x of the tile, and the flat places in it that are absent (None for no place)."""
        for number, (rows, items) in enumerate(
            (slice(r, r + self.height), slice(i, i + self.width))
            for r in range(0, len(self.user), self.height)
            for i in range(0, len(self.item), self.width)
        ):
            u, v = self.user[rows], self.item[items]
            x = self._memory[: len(u) * len(v)].view(len(u), len(v))
            torch.mm(u, v.T.contiguous(), out=x)
            if self.pos is not None:
                x.sub_(self.pos[rows, None])
            at = slice(*self._cut[number : number + 2]) if self._cut else slice(0)
            places = self._row[at] * len(v) + self._column[at] if at.stop > (at.start or 0) else None
            yield rows, items, x, places


class CatalogueReduce(torch.autograd.Function):
    """See :func:`catalogue_reduce`."""

    @staticmethod
    def forward(
        ctx: Any, user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Reduction
    ) -> tuple[Tensor, Tensor]:
        n = torch.full((len(user),), float(len(item)), dtype=user.dtype, device=user.device)
        if absent is not None:
            n -= torch.bincount(absent[0], minlength=len(user))
        top = user.new_full((len(user),), -math.inf if how.kind == "logsumexp" else 0.0)
        total = torch.zeros(len(user), dtype=torch.float64, device=user.device)
        for rows, _, x, places in Tiles(user, item, pos, absent):
            y = how.of(x)
            if places is not None:
                y.view(-1).index_fill_(0, places, 0.0 if how.kind == "mean" else -math.inf)
            if how.kind == "mean":
                total[rows] += y.sum(1)
                continue
            now = torch.maximum(top[rows], y.amax(1))
            base = now.masked_fill(now == -math.inf, 0.0)
            total[rows] *= ((top[rows] - base).double() / how.tau).exp()
            total[rows] += how.exp_sum(y, base)
            top[rows] = now
        top = top.masked_fill(top == -math.inf, 0.0)
        if how.kind == "mean":
            total, reduced = n, total / n.clamp(min=1)
        else:
            total = total.masked_fill(total == 0, 1.0)
            reduced = total.log() + top.double() / how.tau
        ctx.save_for_backward(user, item, pos, absent, top, total)
        ctx.how = how
        ctx.mark_non_differentiable(n)
        return reduced.to(user.dtype), n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_reduced: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        user, item, pos, absent, top, total = ctx.saved_tensors
        how: Reduction = ctx.how
        d_user = torch.zeros_like(user) if ctx.needs_input_grad[0] else None
        d_item = torch.zeros_like(item) if ctx.needs_input_grad[1] else None
        d_pos = torch.zeros_like(pos) if ctx.needs_input_grad[2] else None
        share = d_reduced / total.clamp(min=1) if how.kind == "mean" else d_reduced / (how.tau * total)
        share, across = share.to(user.dtype), user.T.contiguous()
        for rows, items, x, places in Tiles(user, item, pos, absent):
            slope = None if how.phi == "identity" and how.kind == "logsumexp" else how.slope(x)
            if how.kind == "mean":
                assert slope is not None
                weight = slope.mul_(share[rows, None])
                if places is not None:
                    weight.view(-1).index_fill_(0, places, 0.0)
            else:
                y = how.of(x)
                if places is not None:
                    y.view(-1).index_fill_(0, places, -math.inf)
                weight = how.exp_times(y, top[rows], share[rows])
                if slope is not None:
                    weight.mul_(slope)
            if d_user is not None:
                d_user[rows].addmm_(weight, item[items])
            if d_item is not None:
                d_item[items] += (across[:, rows] @ weight).T
            if d_pos is not None:
                d_pos[rows] -= weight.sum(1)
        return d_user, d_item, d_pos, None, None


def catalogue_reduce(
    user: Tensor,
    item: Tensor,
    pos: Tensor | None = None,
    absent: Tensor | None = None,
    *,
    kind: Literal["mean", "logsumexp"],
    phi: Literal["identity", "softplus", "hinge", "square"] = "identity",
    margins: tuple[float, ...] = (),
    weights: tuple[float, ...] = (),
    tau: float = 1.0,
    kernel: str = "auto",
    precision: Precision = "ieee",
) -> tuple[Tensor, Tensor]:
    """The mean, or the log-sum-exp, of phi over the scores of each row with all items.

        mean:       r_b = sum_i phi(x_bi) / n_b
        logsumexp:  r_b = log sum_i exp(phi(x_bi) / tau)

    with x_bi = <user[b], item[i]>, less pos[b] if that is given, over the n_b items that are not absent. What
    each phi is, and what it is for, says :class:`taurec.losses.reduction.RowReduce`, the same formula on scores.

    Differentiable in user, item and pos. Beyond its results it holds a few tiles of at most ``TILE`` scores.

    Args:
        user: [B, D] vectors of the rows, float32 or float64.
        item: [I, D] vectors of all items; its gradient is dense.
        pos: [B] score of each row's own pair, for a pairwise reduction.
        absent: [2, M] int64 distinct (row, item) that do not take part, such as the ``indices()`` of a
            sparse tensor.
        kind, phi, margins, weights, tau: as in ``RowReduce``.
        kernel: how exponentials are taken: ``auto``, ``numba`` (float32 on CPU), ``torch``; or ``triton`` for all of
            it (float32 on a GPU).
        precision: of ``triton``'s products: ``ieee`` float32; ``tf32x3`` and ``tf32`` on the tensor cores, the first
            nearly as exact; ``bf16`` rounds the vectors of a score to 8 bits (it is off by up to 2^-8 of their
            lengths' product), while sums stay float32.
    Returns: r [B] and n [B]; r and its gradient are 0 where n is.
    Raises: UsageError if shapes disagree or the named kernel cannot serve the call.

    >>> user, item = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 5.0], [7.0, 1.0]])
    >>> catalogue_reduce(user, item, absent=torch.tensor([[0], [2]]), kind="mean", phi="square")
    (tensor([5.]), tensor([2.]))
    """
    if user.ndim != 2 or item.ndim != 2 or user.shape[1] != item.shape[1]:
        raise UsageError(
            f"catalogue_reduce takes user [B, D], item [I, D]; got {tuple(user.shape)}, {tuple(item.shape)}"
        )
    name = chosen(user, item, kernel)
    how = Reduction(kind, phi, margins, weights, tau, name == "numba", precision)
    function: Any = CatalogueReduce
    if name == "triton":
        from taurec.kernels import gpu_catalogue

        function = gpu_catalogue.Reduce
    reduced, n = function.apply(user.contiguous(), item.contiguous(), pos, absent, how)
    return reduced, n


def chosen(user: Tensor, item: Tensor, kernel: str = "auto") -> str:
    """The name of the kernel that a call with these arguments runs, as :func:`taurec.kernels.chosen` has it."""
    if kernel not in NAMES:
        raise UsageError(f"unknown kernel {kernel!r}{did_you_mean(kernel, NAMES)}")
    name = kernel
    if kernel == "auto":
        name = "triton" if user.device.type == "cuda" else "numba"
    if name == "torch":
        return "torch"
    kinds = {(t.dtype, t.device.type) for t in (user, item)}
    if name == "triton":
        state = triton_misfit(user, item) or "ok"
    else:
        state = available()["numba"] if kinds == {(torch.float32, "cpu")} else f"it needs float32 on CPU, got {kinds}"
    if state == "ok":
        return name
    if kernel != "auto":
        raise UsageError(f"kernel {name!r} cannot serve this call: {state}; use kernel='torch' or 'auto'")
    return "torch"


def _by_rows(n: int, work: Any) -> None:
    threads = torch.get_num_threads()
    size = -(-n // threads)
    pool.run(lambda t: work(t * size, min((t + 1) * size, n)), -(-n // size))
