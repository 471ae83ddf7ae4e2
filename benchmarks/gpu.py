"""The check of a machine with a GPU: every Triton kernel's tests on it, then times, then whole epochs.

    python -m benchmarks gpu [--rounds 20] [--epochs 3]

Needs CUDA, Triton (``pip install 'taurec[gpu,dev]'``) and the repository's tests. Correctness first: the whole matrix
of ``tests/kernels/test_gpu_*.py`` runs on the GPU, and nothing is timed if one fails. Then each kernel beside the same
in plain torch on the GPU, at Yelp2018's size, by CUDA events. Then epochs of training with validation: matrix
factorisation with 800 sampled negatives a row, the same over the whole catalogue, LightGCN with three layers. The log
is Yelp2018's if TAUREC_DATA names a folder, else a random one of its size.

``--interpret`` runs the tests alone, without a GPU, in Triton's interpreter. ``--small`` goes through all that follows
the tests on tiny sizes, on the GPU or in the interpreter; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import machine
from benchmarks.logs import random_log, yelp2018
from taurec.backbones.graph import Adjacency
from taurec.data.interactions import Interactions
from taurec.evaluation.lists import top_k
from taurec.kernels.adam import adam_step
from taurec.kernels.catalogue import catalogue_reduce
from taurec.kernels.gather_dot import gather_dot
from taurec.kernels.hop import hop
from taurec.kernels.unit_rows import unit_rows
from taurec.ranker import EmbeddingRanker
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve
from taurec.training.records import EpochRecord, Progress
from taurec.training.trainer import Trainer

TAU, ROWS, NEGATIVES, DIM = 0.11, 1024, 800, 64
SMALL = 8, 5
TESTS = Path(__file__).resolve().parents[1] / "tests" / "kernels"
RUN = {"metric": "recall@20", "lr": 1e-3, "l2": 1e-3, "order": "shuffled", "patience": 10_000}
EPOCHS: dict[str, dict[str, Any]] = {
    "mf sampled": {"loss": "sl:0.11", "negatives": "uniform:800", "batch_size": 1024, "user_dropout": 0.1},
    "mf full": {"loss": "sl:0.11", "negatives": "full", "batch_size": 1024, "user_dropout": 0.1},
    "lightgcn": {"backbone": "lightgcn:64:3", "loss": "sl:0.116", "negatives": "in-batch", "batch_size": 2048},
}


def tests(interpret: bool) -> int:
    """The exit status of the kernels' tests."""
    files = [str(path) for path in sorted(TESTS.glob("test_gpu_*.py"))]
    if not files:
        sys.exit(f"the kernels' tests are not at {TESTS}; run this from a clone of the repository")
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    if interpret:
        env["TRITON_INTERPRET"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files]
    return subprocess.run(command, env=env, cwd=TESTS.parents[1], stdout=sys.stderr).returncode


def kernels(
    log: Interactions, device: torch.device, rows: int, negatives: int
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Kernel -> the call in plain torch and ours, forward and backward where there is one."""
    g = torch.Generator().manual_seed(0)

    def table(n: int) -> Tensor:
        return F.normalize(torch.randn((n, DIM), generator=g)).to(device).requires_grad_()

    user, item = table(rows), table(log.n_items)
    ids = torch.randint(0, log.n_items, (rows, negatives + 1), generator=g).to(device)
    matrix, x = Adjacency(log, "symmetric").to(device).matrix(), table(log.n_users + log.n_items).detach()
    moments, grad = [torch.zeros_like(x) for _ in range(2)], torch.ones_like(x)
    everyone = EmbeddingRanker(table(log.n_users).detach().cpu().numpy(), item.detach().cpu().numpy())

    def both(value: Tensor) -> object:
        return torch.autograd.grad(value.sum(), (user, item), materialize_grads=True, allow_unused=True)

    def adam(plain: bool) -> None:
        if plain:
            moments[0].lerp_(grad, 0.1)
            moments[1].mul_(0.999).addcmul_(grad, grad, value=0.001)
            x.addcdiv_(moments[0], (moments[1].sqrt() / 0.5).add_(1e-8), value=-1e-3)
        else:
            adam_step(x, grad, *moments, step=1, lr=1e-3)

    def held() -> Tensor:
        return torch.logsumexp((user @ item.T) / TAU, 1)

    def streamed() -> Tensor:
        return catalogue_reduce(user, item, kind="logsumexp", tau=TAU, kernel="triton")[0]

    def lists(on: torch.device | None) -> object:
        return top_k(everyone, np.arange(log.n_users), 20, seen=log, device=on)

    return {
        "gather-dot": (
            lambda: both((user[:, None] * F.embedding(ids, item)).sum(2)),
            lambda: both(gather_dot(user, item, ids, kernel="triton")),
        ),
        "catalogue": (lambda: both(held()), lambda: both(streamed())),
        "unit rows": (lambda: both(F.normalize(item)), lambda: both(unit_rows(item))),
        "adam": (lambda: adam(True), lambda: adam(False)),
        "hop": (lambda: hop(*matrix, x, kernel="torch"), lambda: hop(*matrix, x, kernel="triton")),
        "lists of all users (CPU, GPU)": (lambda: lists(None), lambda: lists(device)),
    }


def timed(call: Callable[[], object], rounds: int, device: torch.device) -> dict[str, float]:
    """Median, quartiles and least of so many calls, after three that are not counted."""
    for _ in range(3):
        call()
    seconds = []
    for _ in range(rounds):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            call()
            end.record()
            torch.cuda.synchronize(device)
            seconds.append(start.elapsed_time(end) / 1e3)
        else:
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
    return machine.summary(seconds)


def epochs(train: Interactions, test: Interactions, device: torch.device, n: int, changed: dict[str, Any]) -> None:
    for name, fields in EPOCHS.items():
        run = resolve(**RUN | fields | changed | {"epochs": n, "device": str(device)})
        found = list[EpochRecord]()

        def note(progress: Progress, found: list[EpochRecord] = found) -> None:
            if progress.record is not None:
                found.append(progress.record)

        trained = Trainer(run, train, test, on_progress=note).fit()
        pass_on(trained.stopped_by)
        # the first epoch compiles
        rest = found[1:] or found
        line = {"run": name, "epoch_s": round(float(np.median([r.train_seconds for r in rest])), 3)}
        line |= {"validation_s": round(float(np.median([r.eval_seconds for r in rest])), 3)}
        line |= {"recall@20": round(found[-1].metrics["recall@20"], 4), "kernels": trained.kernels}
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--interpret", action="store_true")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    if given.interpret:
        sys.exit(tests(interpret=True))
    here = torch.cuda.is_available()
    if not here and not given.small:
        print("torch finds no GPU here; --interpret runs the kernels' tests in Triton's interpreter", file=sys.stderr)
        sys.exit(3)
    if not given.small and tests(interpret=False):
        sys.exit("a kernel's test failed on this GPU; nothing is timed")
    if not here:
        os.environ["TRITON_INTERPRET"] = "1"
    device = torch.device("cuda" if here else "cpu")
    train, test, name = (random_log(60, 90, 800), random_log(60, 90, 300), "tiny") if given.small else yelp2018()
    facts = {"case": "gpu", "gpu": torch.cuda.get_device_name() if here else "none", "log": name}
    print(json.dumps({**facts, "users": train.n_users, "items": train.n_items, **machine.facts()}), flush=True)
    for what, (plain, ours) in kernels(train, device, *(SMALL if given.small else (ROWS, NEGATIVES))).items():
        theirs, mine = (timed(call, given.rounds, device) for call in (plain, ours))
        times = round(theirs["median_ms"] / mine["median_ms"], 1) if mine["median_ms"] else math.inf
        print(json.dumps({"kernel": what, **mine, "torch_median_ms": theirs["median_ms"], "times": times}), flush=True)
    small = {"batch_size": 64} if given.small else {}
    epochs(train, test, device, given.epochs, small)
