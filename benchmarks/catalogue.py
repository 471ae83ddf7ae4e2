"""One training step with the exact softmax over the whole catalogue, beside the published sampled step.

    python -m benchmarks catalogue [--threads 1 2] [--rounds 5]

All paths take 1,024 rows, dropout on the user vector, cosine scores, the softmax loss and dense Adam.

- ``standin``: the fixed stand-in of ``benchmarks step``: 800 sampled negatives a row, L2 over all gathered rows.
- ``held``: the exact softmax over all items by autograd on held scores [B, I].
- ``torch``, ``numba``: the same in tiles, with the exponentials in plain torch or compiled.

The exact step has no negatives to draw and adds L2 for users and positives only, as training does with
``--negatives full``. Before any time is printed, its gradients on a smaller case are compared with float64
autograd on held scores: the error may be at most twice that of ``held`` in float32 plus a few ulp.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.runner import Case, Path, run
from benchmarks.step import L2, LR, TAU, Shape, World, options, shape_of, standin
from taurec.kernels.adam import adam_step
from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.unit_rows import unit_rows


def exact(world: World, kernel: str | None = None, finish: bool = True) -> list[Tensor]:
    """One step; kernel None holds the scores."""
    user, item, _, kept = world.batch(compiled=True)
    users, items = world.tables
    u, v = unit_rows(F.embedding(user, users) * kept), unit_rows(items)
    pos = (u * F.embedding(item, v)).sum(1)
    if kernel is None:
        reduced = torch.logsumexp((u @ v.T) / TAU, 1)
    else:
        reduced, _ = catalogue_reduce(u, v, kind="logsumexp", tau=TAU, kernel=kernel)
    gradients = torch.autograd.grad((reduced - pos / TAU).mean(), world.tables)
    counts = [torch.bincount(i, minlength=len(w)) for i, w in zip((user, item), world.tables, strict=True)]
    if not finish:
        return [g + L2 * c[:, None] * w for g, c, w in zip(gradients, counts, world.tables, strict=True)]
    for w, g, c, (m, v) in zip(world.tables, gradients, counts, world.moments, strict=True):
        adam_step(w, g, m, v, step=world.step, lr=LR, l2=L2, l2_rows=c)
    return list(gradients)


PATHS: dict[str, Callable[..., list[Tensor]]] = {
    "standin": standin,
    "held": exact,
    "torch": partial(exact, kernel="torch"),
    "numba": partial(exact, kernel="numba"),
}


def check() -> float:
    """The largest ratio of a path's gradient error to what is allowed; above 1 is an error."""
    small = Shape(rows=300, negatives=1, users=70, items=9000, dim=64)
    truth = exact(World(small, torch.float64), finish=False)
    plain = exact(World(small), finish=False)
    worst = 0.0
    for name in ("torch", "numba"):
        for t, p, got in zip(truth, plain, PATHS[name](World(small), finish=False), strict=True):
            allowed = 2 * float((t - p).detach().abs().max()) + 4 * 2**-23 * float(t.detach().abs().max())
            worst = max(worst, float((t - got).detach().abs().max()) / allowed)
    return worst


def path(name: str, calls: int) -> Path:
    def make(given: argparse.Namespace) -> Callable[[], object]:
        negatives = 800 if name == "standin" else 1
        return partial(PATHS[name], World(Shape(negatives=negatives, items=given.items, dim=given.dim)))

    return Path(make, calls, kept=name != "standin")


def main() -> None:
    paths = {name: path(name, 1 if name == "standin" else 3) for name in PATHS}
    run(Case("catalogue", __doc__, {"step": paths}, check, lambda given: vars(shape_of(given)), options))
