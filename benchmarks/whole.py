"""Where the time of one training run goes, from the raw file to metrics and a saved model.

    python -m benchmarks whole [--source yelp2018] [--epochs 3] [--threads 2] [--set KEY=VALUE ..]

What ``taurec train`` does, each part timed: reading and splitting, the forecast (on a new machine it also compiles the
kernels), drawing negatives, forward, backward, Adam, validation, keeping the best weights, what is left of an epoch,
ranking the test part, saving. Matrix factorisation with SL, 1,024 rows and 800 negatives each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks import machine
from taurec.data.source import open_source, split_source
from taurec.evaluation.metrics import DEFAULT_METRICS
from taurec.recommender import Recommender
from taurec.training.adam import Adam
from taurec.training.calibrate import cost
from taurec.training.forecast import Sizes
from taurec.training.interrupt import pass_on
from taurec.training.plain import PlainTables
from taurec.training.step import Step
from taurec.training.trainer import Trainer

RUN = {"loss": "sl:0.11", "negatives": "uniform:800", "order": "shuffled", "batch_size": 1024, "user_dropout": 0.1}
RUN |= {"lr": 1e-3, "l2": 1e-3, "metric": "recall@20"}


class Clock:
    """Seconds by name; a part inside another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - started
            self.seconds[name] += whole - self._inner.pop()
            self._inner[-1] += whole

    def around(self, holder: Any, method: str, name: str) -> None:
        """Time every call of a method of a class."""
        call: Callable[..., Any] = getattr(holder, method)

        def timed(*given: Any, **named: Any) -> Any:
            with self.part(name):
                return call(*given, **named)

        setattr(holder, method, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="yelp2018")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0 takes all cores")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another field of the run")
    given = parser.parse_args()
    changed = {key: json.loads(value) for key, value in (text.split("=", 1) for text in given.set)}
    clock, began = Clock(), time.perf_counter()
    before = machine.resident_mb()
    recommender = Recommender(source=given.source, epochs=given.epochs, threads=given.threads, **RUN | changed)
    run = recommender.run
    with clock.part("reading"):
        opened = open_source(run.source)
    with clock.part("splitting"):
        parts, _ = split_source(opened, run)
    with clock.part("forecast"):
        cost(run, Sizes.of(parts.train, parts.valid))
    clock.around(Step, "__call__", "forward and loss")
    clock.around(Trainer, "_validate", "validation")
    clock.around(Trainer, "_keep", "keeping the best weights")
    clock.around(torch.Tensor, "backward", "backward")
    draw_batches = Trainer.batches

    def drawn(trainer: Trainer, epoch: int) -> Iterator[Any]:
        batches = draw_batches(trainer, epoch)
        while True:
            with clock.part("order and negatives"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    Trainer.batches = drawn  # type: ignore[assignment,method-assign]
    clock.around(PlainTables, "move", "Adam")
    clock.around(Adam, "step", "Adam")
    with clock.part("progress, checks, the rest of an epoch"):
        pass_on(recommender.fit(parts).stopped_by)
    with clock.part("ranking the test part"):
        means = recommender.evaluate("test", DEFAULT_METRICS).means()
    with tempfile.TemporaryDirectory() as folder, clock.part("saving"):
        recommender.save(f"{folder}/model")
    total = time.perf_counter() - began
    facts = {"case": "whole", "source": given.source, "epochs": given.epochs, "run": run.label}
    print(json.dumps({**facts, "kernels": recommender.kernels, **machine.facts()}))
    for name, seconds in sorted(clock.seconds.items(), key=lambda pair: -pair[1]):
        share = round(100 * seconds / total, 1)
        print(json.dumps({"part": name, "seconds": round(seconds, 2), "percent": share}))
    records = recommender.records
    trained, judged = (sum(getattr(r, key) for r in records) for key in ("train_seconds", "eval_seconds"))
    line = {"part": "all", "seconds": round(total, 2), "recall@20": round(means["recall@20"], 4)}
    line |= {"validation_percent_of_training": round(100 * judged / trained, 1)}
    print(json.dumps(line | {"peak_mb_beyond_imports": machine.peak_mb() - before}))
