"""LightGCN with its layers stored as float32 or float16 on Yelp2018: seconds per epoch and quality on validation.

    python -m benchmarks storage [--epochs 1] [--batch-size 2048]

The softmax loss with in-batch negatives, one thread; a tenth of the training pairs validates. Both runs take the same
batches, one step each in turn, so that another program on the machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from benchmarks import machine
from benchmarks.logs import yelp2018
from taurec.evaluation.ranking import evaluate_ranker
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

STORAGES = ("float32", "float16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=2048)
    given = parser.parse_args()
    log, _, name = yelp2018()
    held_out = np.random.default_rng(0).random(len(log)) < 0.1
    train, valid = log.take(~held_out), log.take(held_out)
    fields = {"loss": "sl:0.116", "negatives": "in-batch", "order": "shuffled", "lr": 1e-3, "l2": 0.1, "seed": 7}
    fields |= {"threads": 1, "epochs": given.epochs, "batch_size": given.batch_size}
    trainers = {
        storage: Trainer(resolve(**fields, backbone=f"lightgcn:64:3:xavier_uniform:0:{storage}"), train)
        for storage in STORAGES
    }
    print(json.dumps({"case": "storage", "log": name, "batch_size": given.batch_size, **machine.facts()}), flush=True)
    for epoch in range(1, given.epochs + 1):
        seconds: dict[str, list[float]] = {storage: [] for storage in STORAGES}
        batches = {storage: trainer.batches(epoch) for storage, trainer in trainers.items()}
        for trainer in trainers.values():
            trainer.backbone.train()
        for number in range(1, trainers["float32"].order.steps(epoch) + 1):
            for storage in STORAGES if number % 2 else STORAGES[::-1]:
                started = time.perf_counter()
                trainers[storage].step(next(batches[storage]), epoch, number)
                seconds[storage].append(time.perf_counter() - started)
        for storage, trainer in trainers.items():
            ndcg = evaluate_ranker(trainer.ranker(), valid, train, ["ndcg@20"]).means()["ndcg@20"]
            line = {"storage": storage, "epoch": epoch, "seconds": round(sum(seconds[storage]), 2)}
            line |= {"median_step_ms": round(1e3 * float(np.median(seconds[storage])), 1), "ndcg@20": round(ndcg, 5)}
            print(json.dumps(line | {"kernels": trainer.step.kernels}), flush=True)


if __name__ == "__main__":
    main()
