"""Reductions over the whole catalogue in tiles of scores; the scores [B, I] are never stored, forward or backward.

A tile is one matrix product, which is reduced while it is in the cache and then overwritten by the next. Backward
computes the scores again. The size of a tile depends on shapes alone. Another kernel can replace the exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from taurec.kernels.reductions import Reduction

#: Maximum number of scores and of rows in a tile.
TILE, ROWS = 1 << 20, 1024


class Exponentials(Protocol):
    """The two passes over a tile that compute exponentials."""

    def exp_sum(self, y: Tensor, top: Tensor, tau: float) -> Tensor:
        """Sums [R], float64, of exp((y - top) / tau) over each row of a tile y, which may be overwritten."""
        ...

    def exp_times(self, y: Tensor, top: Tensor, tau: float, factor: Tensor) -> Tensor:
        """``factor * exp((y - top) / tau)``, which overwrites the tile y."""
        ...


class Plain:
    """The :class:`Exponentials` in plain torch."""

    def exp_sum(self, y: Tensor, top: Tensor, tau: float) -> Tensor:
        return y.sub_(top[:, None]).div_(tau).exp_().sum(1).double()

    def exp_times(self, y: Tensor, top: Tensor, tau: float, factor: Tensor) -> Tensor:
        return y.sub_(top[:, None]).div_(tau).exp_().mul_(factor[:, None])


def reduce(
    user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Reduction, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """See :func:`taurec.kernels.catalogue.catalogue_reduce`; torch computes the products, ``precision`` is not used."""
    return reduce_by(Plain(), user, item, pos, absent, how)


def reduce_by(
    by: Exponentials, user: Tensor, item: Tensor, pos: Tensor | None, absent: Tensor | None, how: Reduction
) -> tuple[Tensor, Tensor]:
    """Reduce all tiles with this implementation of the exponentials."""
    given = user.contiguous(), item.contiguous(), pos, absent, how, by
    reduced, n = CatalogueReduce.apply(*given)  # type: ignore[no-untyped-call]
    return reduced, n


class Tiles:
    """The tiles of scores [B, I], one after another in the same memory, with the positions of absent entries."""

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
        """Rows, items and x of each tile, and the flat positions of its absent entries (None if it has none)."""
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
    """See :func:`taurec.kernels.catalogue.catalogue_reduce`."""

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        pos: Tensor | None,
        absent: Tensor | None,
        how: Reduction,
        by: Exponentials,
    ) -> tuple[Tensor, Tensor]:
        n = torch.full((len(user),), float(len(item)), dtype=user.dtype, device=user.device)
        if absent is not None:
            n -= torch.bincount(absent[0], minlength=len(user))
        top = user.new_full((len(user),), -math.inf if how.kind == "logsumexp" else 0.0)
        total = torch.zeros(len(user), dtype=torch.float64, device=user.device)
        for rows, _, x, places in Tiles(user, item, pos, absent):
            y = how.value(x, overwrite=True)
            if places is not None:
                y.view(-1).index_fill_(0, places, 0.0 if how.kind == "mean" else -math.inf)
            if how.kind == "mean":
                total[rows] += y.sum(1)
                continue
            now = torch.maximum(top[rows], y.amax(1))
            base = now.masked_fill(now == -math.inf, 0.0)
            total[rows] *= ((top[rows] - base).double() / how.tau).exp()
            total[rows] += by.exp_sum(y, base, how.tau)
            top[rows] = now
        top = top.masked_fill(top == -math.inf, 0.0)
        if how.kind == "mean":
            total, reduced = n, total / n.clamp(min=1)
        else:
            total = total.masked_fill(total == 0, 1.0)
            reduced = total.log() + top.double() / how.tau
        ctx.save_for_backward(user, item, pos, absent, top, total)
        ctx.how, ctx.by = how, by
        ctx.mark_non_differentiable(n)
        return reduced.to(user.dtype), n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_reduced: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        user, item, pos, absent, top, total = ctx.saved_tensors
        how: Reduction = ctx.how
        by: Exponentials = ctx.by
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
                y = how.value(x, overwrite=True)
                if places is not None:
                    y.view(-1).index_fill_(0, places, -math.inf)
                weight = by.exp_times(y, top[rows], how.tau, share[rows])
                if slope is not None:
                    weight.mul_(slope)
            if d_user is not None:
                d_user[rows].addmm_(weight, item[items])
            if d_item is not None:
                d_item[items] += (across[:, rows] @ weight).T
            if d_pos is not None:
                d_pos[rows] -= weight.sum(1)
        return d_user, d_item, d_pos, None, None, None
