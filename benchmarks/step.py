"""One training step of matrix factorisation with the softmax loss, at the size of Yelp2018.

    python -m benchmarks step [--threads 1 2] [--rounds 5]

All paths take the same step: 1,024 rows with 800 fresh negatives each, dropout on the user vector, cosine
scores, the loss, L2 over all gathered rows, dense Adam.

- ``standin``: the published way, in plain torch and fixed: gather ``[B, 1 + N, D]``, normalise, bmm, autograd.
- ``standin, memory kept``: the same where freed memory stays with the process (``kernels/memory.py``): most of the
  stand-in's time may go into asking the system for its large arrays again, which depends on the machine.
- ``torch``: gather-dot in plain torch, torch's Adam.
- ``numba``: draws, gather-dot, unit rows and Adam compiled; the loss between them is plain torch.

With one row a user the bilateral loss is the softmax loss at tau_neg plus a constant, so that one is timed.
Before any time is printed, the gradients of all paths are compared with the stand-in in float64 on a smaller
case: the error may be at most twice that of the stand-in in float32 plus a few ulp.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.runner import Case, Path, run
from taurec import draw
from taurec.kernels.adam import adam_step
from taurec.kernels.draws import uniform_ids
from taurec.kernels.gather_dot import gather_dot
from taurec.kernels.unit_rows import unit_rows

TAU, DROPOUT, L2, LR = 0.11, 0.1, 1e-6, 1e-4


@dataclass(frozen=True)
class Shape:
    rows: int = 1024
    negatives: int = 800
    users: int = 31_668
    items: int = 38_048
    dim: int = 64


class World:
    """Two tables, their Adam moments, and the batches: all paths see the same draws."""

    def __init__(self, shape: Shape, dtype: torch.dtype = torch.float32, seed: int = 0):
        self.shape, self.dtype = shape, dtype
        t = torch.Generator().manual_seed(seed)
        self.tables = [
            torch.randn((n, shape.dim), generator=t).mul_(0.1).to(dtype).requires_grad_()
            for n in (shape.users, shape.items)
        ]
        self.moments = [[torch.zeros_like(w) for _ in range(2)] for w in self.tables]
        self.adam = torch.optim.Adam(self.tables, lr=LR)
        self.step = 0

    def batch(self, compiled: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Users [B], items [B], fresh negatives [B, N], and the dropout factors [B, D]."""
        self.step += 1
        s, rows = self.shape, torch.arange(self.shape.rows).numpy()
        user = torch.from_numpy(draw.integers(draw.key(0, "user", self.step), rows, s.users))
        item = torch.from_numpy(draw.integers(draw.key(0, "item", self.step), rows, s.items))
        stream = draw.key(0, "negatives", self.step)
        drawn = uniform_ids if compiled else draw.integers
        ids = torch.from_numpy(drawn(stream, rows, s.items, s.negatives))
        kept = torch.from_numpy(draw.uniform(draw.key(0, "dropout", self.step), rows, s.dim) >= DROPOUT)
        return user, item, ids, kept.to(self.dtype) / (1 - DROPOUT)


def softmax_loss(pos: Tensor, neg: Tensor) -> Tensor:
    return (torch.logsumexp(neg / TAU, 1) - math.log(neg.shape[1]) - pos / TAU).mean()


def standin(world: World, finish: bool = True) -> list[Tensor]:
    user, item, ids, kept = world.batch(compiled=False)
    users, items = world.tables
    u = users[user]
    v = items[torch.cat([item[:, None], ids], 1)]
    scores = torch.bmm(F.normalize(v, dim=2), F.normalize(u * kept, dim=1)[:, :, None])[:, :, 0]
    loss = softmax_loss(scores[:, 0], scores[:, 1:])
    loss = loss + L2 * (u.pow(2).sum() + v.pow(2).sum()) / 2
    return _torch_finish(world, loss, finish)


def torch_path(world: World, finish: bool = True) -> list[Tensor]:
    user, item, ids, kept = world.batch(compiled=False)
    users, items = world.tables
    u, all_ids = F.embedding(user, users), torch.cat([item[:, None], ids], 1)
    scores = gather_dot(F.normalize(u * kept, dim=1), F.normalize(items, dim=1), all_ids, kernel="torch")
    counts = torch.bincount(all_ids.view(-1), minlength=len(items)).to(u.dtype)
    loss = softmax_loss(scores[:, 0], scores[:, 1:])
    loss = loss + L2 * (u.pow(2).sum() + counts @ items.pow(2).sum(1)) / 2
    return _torch_finish(world, loss, finish)


def _torch_finish(world: World, loss: Tensor, finish: bool) -> list[Tensor]:
    world.adam.zero_grad()
    torch.autograd.backward(loss)
    if finish:
        world.adam.step()
    return [w.grad for w in world.tables if w.grad is not None]


def numba_path(world: World, finish: bool = True) -> list[Tensor]:
    user, item, ids, kept = world.batch(compiled=True)
    users, items = world.tables
    all_ids = torch.cat([item[:, None], ids], 1)
    u = unit_rows(F.embedding(user, users) * kept)
    scores = gather_dot(u, unit_rows(items), all_ids, kernel="numba")
    pos, neg = torch.split(scores, [1, ids.shape[1]], 1)
    gradients = torch.autograd.grad(softmax_loss(pos[:, 0], neg), world.tables)
    counts = [torch.bincount(i.view(-1), minlength=len(w)) for i, w in zip((user, all_ids), world.tables, strict=True)]
    if not finish:
        return [g + L2 * c[:, None] * w for g, c, w in zip(gradients, counts, world.tables, strict=True)]
    for w, g, c, (m, v) in zip(world.tables, gradients, counts, world.moments, strict=True):
        adam_step(w, g, m, v, step=world.step, lr=LR, l2=L2, l2_rows=c)
    return list(gradients)


PATHS: dict[str, Callable[..., list[Tensor]]] = {"standin": standin, "torch": torch_path, "numba": numba_path}


def check() -> float:
    """The largest ratio of a path's gradient error to what is allowed; above 1 is an error."""
    small = Shape(rows=96, negatives=150, users=70, items=700, dim=64)
    exact = [g.detach() for g in standin(World(small, torch.float64), finish=False)]
    plain = standin(World(small), finish=False)
    worst = 0.0
    for name in ("torch", "numba"):
        for truth, float32, got in zip(exact, plain, PATHS[name](World(small), finish=False), strict=True):
            allowed = 2 * float((truth - float32).abs().max()) + 4 * 2**-23 * float(truth.abs().max())
            worst = max(worst, float((truth - got.detach()).abs().max()) / allowed)
    after = []
    for name in PATHS:
        world = World(replace(small, users=50))
        for _ in range(3):
            PATHS[name](world)
        after.append(world.tables)
    # Adam's first steps move every entry by about lr, whatever the gradient's size: compare by lr.
    for tables in after[1:]:
        worst = max(
            worst, *(float((a - b).detach().abs().max()) / (0.05 * LR) for a, b in zip(tables, after[0], strict=True))
        )
    return worst


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--items", type=int, default=38_048)


def shape_of(given: argparse.Namespace) -> Shape:
    return Shape(items=given.items, dim=given.dim)


def path(name: str, calls: int, kept: bool) -> Path:
    return Path(lambda given: partial(PATHS[name], World(shape_of(given))), calls, kept)


def main() -> None:
    paths = {
        "standin": path("standin", 1, False),
        "standin, memory kept": path("standin", 1, True),
        "torch": path("torch", 2, True),
        "numba": path("numba", 10, True),
    }
    run(
        Case(
            "step",
            __doc__,
            {"step": paths},
            check,
            lambda given: vars(shape_of(given)),
            options,
            lambda given, ms: {"ns_per_pair": round(ms * 1e6 / (1024 * 800), 1)},
        )
    )
