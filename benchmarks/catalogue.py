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
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import machine
from benchmarks.step import L2, LR, TAU, Shape, World, standin
from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.tables import adam_step, unit_rows


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--items", type=int, default=38_048)
    parser.add_argument("--paths", nargs="+", choices=list(PATHS), default=list(PATHS))
    parser.add_argument("--peak-of", choices=list(PATHS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    shape = Shape(items=given.items, dim=given.dim)
    if given.peak_of:
        world, before = World(shape), machine.peak_mb()
        for _ in range(2):
            PATHS[given.peak_of](world)
        print(machine.peak_mb() - before)
        return
    worst = check()
    if worst > 1:
        sys.exit(f"gradients differ: {worst:.2f} times the error allowed; no time is printed")
    print(json.dumps({"case": "catalogue", "check": round(worst, 3), **vars(shape), **machine.facts()}))
    peak = {name: _peak(name, given) for name in given.paths}
    for threads in given.threads:
        torch.set_num_threads(threads)
        worlds = {
            name: World(shape if name == "standin" else Shape(shape.rows, 1, items=shape.items, dim=shape.dim))
            for name in given.paths
        }
        calls = {name: partial(PATHS[name], worlds[name]) for name in given.paths}
        times = machine.interleaved(calls, {name: 1 if name == "standin" else 3 for name in given.paths}, given.rounds)
        base = machine.summary(times[given.paths[0]]["wall"])["median_ms"]
        for name in given.paths:
            wall, cpu = (machine.summary(times[name][kind]) for kind in ("wall", "cpu"))
            line = {"path": name, "threads": threads, **wall, "cpu_median_ms": cpu["median_ms"]}
            print(json.dumps(line | {"times": round(base / wall["median_ms"], 1), "peak_mb": peak[name]}), flush=True)


def _peak(name: str, given: argparse.Namespace) -> int:
    """Peak memory of two steps beyond imports and tables, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "catalogue", "--peak-of", name]
    command += ["--dim", str(given.dim), "--items", str(given.items)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
