"""The time of a training step, loss by loss, on the same negatives: milliseconds, and how many times as long as SL's.

    python -m benchmarks losses [--losses sl ssm ...] [--negatives uniform:256] [--threads 1] [--rounds 15]

Every registered loss trains MF with 64 dimensions on the same log, with the same batch size, kernel, learning rate and
negatives, cosine scores unless its preset has distances, and no L2. An embedding loss has no negatives. Timed are the
scores, the loss with its state, the gradients and Adam; drawing the negatives and what happens between two epochs are
not. The losses take turns within a round. Wall time and CPU time are medians over rounds; the ratio is the median over
rounds of the CPU time to that of SL in the same round, which other programs on the machine change least. A loss that
refuses the negatives gets a line with the reason.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from benchmarks import machine
from benchmarks.logs import random_log
from taurec.data.interactions import Interactions
from taurec.errors import TaurecError
from taurec.kernels.memory import keep_freed_memory
from taurec.losses import LOSSES, EmbeddingLoss, loss_class
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

USERS, ITEMS, PAIRS = 10_000, 4_000, 100_000
STEPS = 2
"""Steps of a loss in a round."""


class Timed:
    """The steps of one loss."""

    def __init__(self, name: str, log: Interactions, given: argparse.Namespace):
        preset = loss_class(name).preset()
        distance = preset.get("train_score") == "neg_sq_dist"
        score = "neg_sq_dist" if distance else "cosine"
        negatives = "none" if issubclass(loss_class(name), EmbeddingLoss) else given.negatives
        fields = {"lr": 1e-3, "l2": 0.0, "train_score": score, "rank_score": score, "negatives": negatives}
        run = resolve(loss=name, batch_size=given.batch_size, threads=given.threads, **fields)
        self.trainer = Trainer(run, log)
        if self.trainer.step.loss_state is not None:
            self.trainer.step.loss_state.begin_epoch(1, self.trainer.vectors)
        self.trainer.backbone.train()
        batches = self.trainer.batches(1)
        self.batches = [next(batches) for _ in range(4)]
        self.number = 0

    def round(self) -> tuple[float, float]:
        """Milliseconds of one step: wall time, CPU time."""
        start = time.perf_counter(), time.process_time()
        for _ in range(STEPS):
            self.number += 1
            self.trainer.step(self.batches[self.number % len(self.batches)], 1, self.number)
        end = time.perf_counter(), time.process_time()
        return (end[0] - start[0]) * 1000 / STEPS, (end[1] - start[1]) * 1000 / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--negatives", default="uniform:256")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    log = random_log(USERS, ITEMS, PAIRS)
    about = {"users": USERS, "items": ITEMS, "batch_size": given.batch_size, "negatives": given.negatives}
    print(json.dumps({"case": "losses", **about, "threads": given.threads, **machine.facts()}), flush=True)
    timed, refused = {}, {}
    for name in dict.fromkeys(["sl", *given.losses]):
        try:
            timed[name] = Timed(name, log, given)
            timed[name].round()  # compiles
        except TaurecError as error:
            timed.pop(name, None)
            refused[name] = str(error)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    for _ in range(given.rounds):
        for name, one in timed.items():
            times[name].append(one.round())
    for name, found in times.items():
        wall, cpu = (statistics.median(x) for x in zip(*found, strict=True))
        ratio = statistics.median(a / b for (_, a), (_, b) in zip(found, times["sl"], strict=True))
        line = {"loss": name, "median_ms": round(wall, 2), "cpu_ms": round(cpu, 2), "to_sl": round(ratio, 2)}
        print(json.dumps({**line, "kernel": timed[name].trainer.step.kernels["scores"]}), flush=True)
    for name, reason in refused.items():
        print(json.dumps({"loss": name, "refused": reason}), flush=True)
