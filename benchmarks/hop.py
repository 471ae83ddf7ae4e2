"""One hop along the graph of a log, and one training step of LightGCN, at the size of Yelp2018.

    python -m benchmarks hop [--threads 1 2] [--rounds 5]

The graph is that of Yelp2018's training pairs if the environment names their folder in TAUREC_DATA, else a random
one of the same size with skewed degrees. Hops: torch's sparse product in COO (what published code uses) and CSR,
and ours: whole, in half precision, the rows of a batch of 1,024 pairs forward, and their gradient. Steps: three
hops, 1,024 rows, in-batch negatives, cosine scores, the softmax loss, L2 over the gathered rows of the tables, dense
Adam.

- ``coo``, ``csr``: plain torch, its gather, normalise, logsumexp and Adam.
- ``whole``: compiled hops with the mean inside, unit rows and Adam.
- ``rows``: the same, with the last forward and the first backward hop at the rows of the batch alone.
- ``halves``: as ``rows``, with layers stored in half precision (``storage="float16"`` of LightGCN).

Before any time is printed, hops and the gradients of the steps are compared with float64 on a smaller graph: the
error may be at most twice that of plain torch in float32 plus a few ulp; with halves, 2^-9 of the largest entry.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.logs import random_log, yelp2018
from benchmarks.runner import Case, Path, run
from taurec import draw
from taurec.backbones import LightGCN
from taurec.data.interactions import Interactions
from taurec.kernels import select
from taurec.kernels.adam import adam_step
from taurec.kernels.hop import Csr, hop
from taurec.sampling import InBatchNegatives
from taurec.scoring import batch_scores

TAU, L2, LR, LAYERS = 0.1, 1e-4, 1e-3, 3
#: Error of a gradient allowed with layers in half precision, of its largest entry: four roundings to 11 bits.
HALF = 4 * 2**-11
STEPS = ("coo", "csr", "whole", "rows", "halves")


class World:
    """A model, its Adam, and its batches: all paths see the same."""

    def __init__(self, log: Interactions, dim: int, rows: int, dtype: torch.dtype = torch.float32):
        self.log, self.rows, self.step = log, rows, 0
        self.model = LightGCN(log, dim=dim, layers=LAYERS, storage="float16").to(dtype)
        self.tables = [self.model.user, self.model.item]
        self.adam = torch.optim.Adam(self.tables, lr=LR)
        self.moments = [[torch.zeros_like(w) for _ in range(2)] for w in self.tables]
        self.user, self.item = torch.from_numpy(log.user_of), torch.from_numpy(log.indices.copy()).long()
        self.csr = self.model.adjacency.matrix()

    @functools.cached_property
    def coo(self) -> Tensor:
        return self.csr.torch(len(self.csr.indptr) - 1).to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Users [B], items [B], and [B, B]: where a column's item is the row's own."""
        self.step += 1
        row = torch.from_numpy(draw.integers(draw.key(0, "row", self.step), np.arange(self.rows), len(self.log)))
        item = self.item[row]
        return self.user[row], item, item[:, None] == item

    def some_rows(self) -> Tensor:
        """The rows of the graph that the first batch needs."""
        user, item, _ = self.batch()
        self.step = 0
        return torch.cat([torch.unique(user), torch.unique(item) + self.log.n_users])


def softmax_loss(pos: Tensor, neg: Tensor) -> Tensor:
    return (torch.logsumexp(neg / TAU, 1) - pos / TAU).mean()


def plain(world: World, name: str, finish: bool = True) -> list[Tensor]:
    user, item, own = world.batch()
    users, items = world.tables
    matrix = world.coo if name == "coo" else None
    layers = [torch.cat([users, items])]
    for _ in range(LAYERS):
        x = layers[-1]
        layers.append(hop(*world.csr, x, kernel="torch") if matrix is None else torch.sparse.mm(matrix, x))
    mean = torch.stack(layers, 1).mean(1)
    u, v = F.normalize(F.embedding(user, mean[: len(users)])), F.normalize(F.embedding(item, mean[len(users) :]))
    ego = F.embedding(user, users).square().sum() + F.embedding(item, items).square().sum()
    loss = softmax_loss((u * v).sum(1), (u @ v.T).masked_fill(own, -torch.inf)) + L2 * ego / (2 * len(user))
    world.adam.zero_grad()
    torch.autograd.backward(loss)
    if finish:
        world.adam.step()
    return [w.grad for w in world.tables if w.grad is not None]


def ours(world: World, name: str, finish: bool = True) -> list[Tensor]:
    user, item, own = world.batch()
    world.model.storage = "float16" if name == "halves" else "float32"
    e = world.model.embed(None if name == "whole" else (user, item))
    user_at, item_at = e.at or (user, item)
    pos, neg = batch_scores(F.embedding(user_at, e.user), e.item, item_at, InBatchNegatives(absent=own))
    gradients = torch.autograd.grad(softmax_loss(pos, neg), world.tables)
    counts = [torch.bincount(i, minlength=len(w)) for i, w in zip((user, item), world.tables, strict=True)]
    if not finish:
        return [g + L2 / len(user) * c[:, None] * w for g, c, w in zip(gradients, counts, world.tables, strict=True)]
    for w, g, c, (m, v) in zip(world.tables, gradients, counts, world.moments, strict=True):
        adam_step(w, g, m, v, step=world.step, lr=LR, l2=L2 / len(user), l2_rows=c)
    return list(gradients)


def step(world: World, name: str, finish: bool = True) -> list[Tensor]:
    return (plain if name in ("coo", "csr") else ours)(world, name, finish)


def numba_of(world: World, x: Tensor) -> ModuleType:
    """The compiled hop."""
    return select("hop", *world.csr, x, kernel="numba").kernel


HOPS: dict[str, Callable[[World, Tensor], Callable[[], Any]]] = {
    "coo": lambda w, x: functools.partial(torch.sparse.mm, w.coo, x),
    "csr": lambda w, x: lambda: w.csr.torch(len(x)) @ x,
    "ours": lambda w, x: lambda: numba_of(w, x).product(w.csr, x)[0],
    "halves": lambda w, x: _halves(w, x.half()),
    "ours at rows": lambda w, x: functools.partial(numba_of(w, x).product, w.csr, x, w.some_rows()),
    "its gradient": lambda w, x: _gradient(w, x),
}
"""Each hop of a table x as a call; ``its gradient`` takes the batch's rows of x for the gradient of those rows."""


def _halves(world: World, x: Tensor) -> Callable[[], object]:
    into = torch.empty_like(x)
    by = select("hop_half", *world.csr, x.float(), kernel="numba").kernel
    return lambda: by.product(world.csr, x, None, None, 1.0, into)


def _gradient(world: World, x: Tensor) -> Callable[[], Tensor]:
    rows = world.some_rows()
    at = x[rows]
    by = numba_of(world, x)
    return lambda: by.spread(world.csr, world.csr, at, rows, len(x))


def check() -> float:
    """The largest ratio of an error to what is allowed; above 1 is an error."""
    log = random_log(700, 900, 12_000)

    def against(exact: Tensor, float32: Tensor, got: Tensor) -> float:
        allowed = 2 * float((exact - float32).abs().max()) + 4 * 2**-23 * float(exact.abs().max())
        return float((exact - got).abs().max()) / allowed

    world = World(log, 64, 100)
    rows = world.some_rows()
    x = torch.randn(log.n_users + log.n_items, 64, generator=torch.Generator().manual_seed(0))
    exact = Csr(world.csr.indptr, world.csr.indices, world.csr.values.double()).torch(len(x)).to_dense()
    only = torch.zeros_like(x).index_copy_(0, rows, x[rows])
    truth = {
        "ours": (exact @ x.double(), exact.float() @ x),
        "its gradient": (exact @ only.double(), exact.float() @ only),
    }
    truth["ours at rows"] = truth["ours"][0][rows], truth["ours"][1][rows]
    got = {name: HOPS[name](world, x)() for name in truth}
    got["ours at rows"] = got["ours at rows"][0]
    worst = max(against(*pair, got[name]) for name, pair in truth.items())
    world64 = World(log, 64, 100, torch.float64)
    world64.csr = Csr(world.csr.indptr, world.csr.indices, world.csr.values.double())
    gradients = {name: step(World(log, 64, 100), name, finish=False) for name in STEPS}
    for name in STEPS[1:]:
        for a, b, c in zip(step(world64, "csr", finish=False), gradients["coo"], gradients[name], strict=True):
            half = float((a.detach() - c.detach()).abs().max()) / (HALF * float(a.detach().abs().max()))
            worst = max(worst, half if name == "halves" else against(a.detach(), b, c))
        world64.step = 0
    return worst


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1024)


def hop_path(name: str) -> Path:
    def make(given: argparse.Namespace) -> Callable[[], object]:
        world = World(yelp2018()[0], given.dim, given.rows)
        n = world.log.n_users + world.log.n_items
        return HOPS[name](world, torch.randn(n, given.dim, generator=torch.Generator().manual_seed(0)))

    return Path(make, 1 if name == "coo" else 4, kept=name not in ("coo", "csr"))


def step_path(name: str) -> Path:
    def make(given: argparse.Namespace) -> Callable[[], object]:
        return functools.partial(step, World(yelp2018()[0], given.dim, given.rows), name)

    return Path(make, 1 if name == "coo" else 2 if name == "csr" else 4, kept=name not in ("coo", "csr"))


def about(given: argparse.Namespace) -> dict[str, Any]:
    log, _, name = yelp2018()
    size = {"log": name, "users": log.n_users, "items": log.n_items, "pairs": len(log)}
    return size | {"dim": given.dim, "rows": given.rows}


def main() -> None:
    groups = {"hop": {name: hop_path(name) for name in HOPS}, "step": {name: step_path(name) for name in STEPS}}
    run(Case("hop", __doc__, groups, check, about, options))
