"""Training on generated logs of many sizes: seconds a step and peak memory, beside what was told before the run.

    python -m benchmarks scale [--threads 1 2] [--steps 20] [--only world items negatives width threads]

The world is 2 M users, 1 M items and 20 M pairs; SL on matrix factorisation, 1,024 rows with 800 fresh negatives
each, D 64, dropout on the user vector, L2 over the gathered rows. Every line is a process of its own. Users' rows
are made to have missed the mean number of steps between two of a user's, U / B, before the clock starts: in the first
steps of a run nothing would be owed. Before any time is printed, training with sparse tables is compared with
training on whole tables: the same bits with negatives from the batch, closely with negatives for each row.

The last line reckons an epoch of 100 M pairs over 1 M items and 10 M users on 16 cores from the times on one and two
threads, by Amdahl's law, and says what bandwidth that supposes. It is no measurement.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from taurec.data.generated import generated
from taurec.data.interactions import Interactions
from taurec.training.calibrate import cost
from taurec.training.forecast import Sizes, memory
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve
from taurec.training.records import EpochRecord
from taurec.training.tables import SparseAdamTable
from taurec.training.trainer import Trainer

WORLD = {"users": 2_000_000, "items": 1_000_000, "pairs": 20_000_000}
YELP = {"users": 31_668, "items": 38_048, "pairs": 1_237_259}
RUN: dict[str, Any] = {
    "loss": "sl:0.11",
    "negatives": "uniform:800",
    "order": "shuffled",
    "batch_size": 1024,
    "user_dropout": 0.1,
}
RUN |= {"lr": 1e-4, "l2": 1e-3, "backbone": "mf:64"}
CURVES: dict[str, list[dict[str, Any]]] = {
    "items": [YELP | {"items": n} for n in (38_048, 300_000, 1_000_000)],
    "negatives": [YELP | {"negatives": f"uniform:{n}"} for n in (100, 200, 400, 800, 1600)],
    "width": [YELP | {"backbone": f"mf:{d}"} for d in (16, 32, 64, 128, 256)],
}


def fields(threads: int, **changed: Any) -> dict[str, Any]:
    return RUN | {k: v for k, v in changed.items() if k not in WORLD} | {"threads": threads}


def check() -> float:
    """The largest difference, in units of what is allowed, between rows and whole tables; above 1 is an error."""
    log, worst = generated(400, 300, 3000), 0.0
    for negatives, allowed in (("in-batch", 0.0), ("uniform:100", 1e-4)):
        found = []
        for kernel in ("torch", "numba"):
            changed = {"negatives": negatives, "batch_size": 64, "lr": 0.01, "epochs": 2, "kernel": kernel}
            trained = Trainer(resolve(**fields(1, **changed)), log).fit()
            pass_on(trained.stopped_by)
            found.append([trained.ranker.user, trained.ranker.item])
        for whole, rows in zip(*found, strict=True):
            # entries whose gradient cancels to rounding take steps of either sign, so not the very largest
            difference = float(np.quantile(np.abs(whole - rows), 1.0 if allowed == 0 else 0.99))
            worst = max(worst, difference / allowed if allowed else (0.0 if difference == 0 else math.inf))
    return worst


def one(given: dict[str, Any], steps: int) -> dict[str, Any]:
    """One size in this process: told and measured."""
    sizes, run = {k: given[k] for k in WORLD}, resolve(**fields(given["threads"], **given["changed"]))
    log = generated(sizes["users"], sizes["items"], sizes["pairs"])
    few = generated(sizes["users"], sizes["items"], min(2000, sizes["pairs"]))
    valid = Interactions(few.indptr, few.indices, log.users, log.items)
    before = _resident_mb()
    told_memory = sum(memory(run, Sizes.of(log, valid)).values()) >> 20
    torch.set_num_threads(given["threads"])
    trainer = Trainer(run, log, valid)
    trainer.backbone.train()
    times: list[float] = []
    kept = {name: torch.zeros_like(value) for name, value in trainer.backbone.state_dict().items()}
    for number, batch in enumerate(itertools.islice(trainer.batches(1), steps + 3), start=1):
        if number == 2:
            _age(trainer, sizes["users"] // run.batch_size)
        started = time.perf_counter()
        trainer.step(batch, 1, number)
        times.append(time.perf_counter() - started)
    record = trainer._validate(EpochRecord(1, 0.0, 0.0))
    peak = machine.peak_mb() - before
    assert all(len(table) for table in kept.values())
    # Afterwards, so that the smaller runs that measure do not stand in the peak.
    told = cost(run, Sizes.of(log, valid))
    measured = machine.summary(times[3:])
    line = {**sizes, **given["changed"], "threads": given["threads"], **measured, "told_ms": round(told.step * 1e3, 1)}
    line |= {"time_ratio": round(told.step * 1e3 / measured["median_ms"], 2), "peak_mb": peak, "told_mb": told_memory}
    line |= {"memory_ratio": round(told_memory / peak, 2), "epoch_s": round(told.epoch)}
    tables = trainer.step.tables
    return line | {"ways": tables.updates if tables else None, "valid_s": round(record.eval_seconds, 2)}


def _age(trainer: Trainer, gap: int) -> None:
    """Give every row of a sparse table moments and this many pending steps."""
    tables = trainer.step.tables
    assert tables is not None
    for table in (tables.user, tables.item):
        if isinstance(table, SparseAdamTable):
            _, m, v = table._state
            m.fill(1e-4)
            v.fill(1e-8)
            for _ in range(gap):
                table.move()


def _resident_mb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def _child(changed: dict[str, Any], threads: int, steps: int) -> dict[str, Any]:
    sizes = {k: changed.get(k, WORLD[k]) for k in WORLD}
    rest = {k: v for k, v in changed.items() if k not in WORLD}
    text = json.dumps({**sizes, "changed": rest, "threads": threads})
    command = [sys.executable, "-m", "benchmarks", "scale", "--one", text, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def reckon(by_threads: dict[int, float], cores: int = 16) -> dict[str, Any]:
    """An epoch of 100 M pairs over 1 M items on many cores, from the milliseconds of a step on one and two threads."""
    one_thread, two = by_threads[1], by_threads[2]
    parallel = min(max(2 * (1 - two / one_thread), 0.0), 1.0)
    step = one_thread * (1 - parallel + parallel / cores)
    steps = 100_000_000 / RUN["batch_size"]
    # the unit pass reads and writes 9 tables of I x D; gather-dot reads, or reads and writes, 4 rows a pair
    bytes_a_step = 4 * 64 * (9 * WORLD["items"] + 4 * 1024 * 801)
    return {
        "reckoned": "100 M pairs, 1 M items, 10 M users, D 64, B 1,024, N 800",
        "cores": cores,
        "parallel_share": round(parallel, 3),
        "step_ms": round(step, 1),
        "epoch_min": round(steps * step / 6e4, 1),
        "epoch_min_at_full_parallel": round(steps * one_thread / cores / 6e4, 1),
        "supposes_gb_a_second": round(bytes_a_step / step / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=["world", *CURVES], default=["world", *CURVES])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(json.loads(given.one), given.steps)))
        return
    worst = check()
    if worst > 1:
        sys.exit(f"sparse and whole tables differ: {worst:.2f} times what is allowed; no time is printed")
    print(json.dumps({"case": "scale", "check": round(worst, 3), **machine.facts()}), flush=True)
    world: dict[int, float] = {}
    for name in given.only:
        for threads in given.threads:
            for changed in CURVES.get(name, [{}]):
                line = _child(changed, threads, given.steps)
                print(json.dumps({"curve": name, **line}), flush=True)
                if name == "world":
                    world[threads] = line["median_ms"]
    if {1, 2} <= set(world):
        print(json.dumps(reckon(world)))


if __name__ == "__main__":
    main()
