"""Training by a published recipe from the raw file on, the test part judged after each epoch.

    python -m benchmarks converge mf-authors [--epochs 20] [--threads 2] [--until .071]

This follows the protocol of the papers, to be held against the logs that their authors published: training on the
whole training file, and no part kept back. A figure read off after the best epoch is chosen on test data; nothing
is chosen here, all epochs are shown. Seconds count from the first byte of the raw file to the judged epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from benchmarks import machine
from taurec.data.source import open_source
from taurec.errors import UsageError
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve
from taurec.training.records import Progress
from taurec.training.trainer import Trainer

YELP = {"source": "yelp2018", "metric": "recall@20", "patience": 10_000, "valid": 0.0, "seed": 2020}

RECIPES: dict[str, dict[str, Any]] = {
    "mf-authors": YELP
    | {"loss": "bsl-authors-multi:0.11:1.10", "negatives": "uniform:800", "order": "shuffled", "user_dropout": 0.1}
    | {"batch_size": 1024, "lr": 1e-4, "l2": 1e-3, "epochs": 20},
    "mf-fast": YELP
    | {"loss": "bsl-authors-multi:0.11:1.10", "negatives": "uniform:800", "order": "shuffled", "user_dropout": 0.1}
    | {"batch_size": 1024, "lr": 1e-3, "lr_schedule": "linear", "l2": 1e-3, "epochs": 20},
    "lightgcn": YELP
    | {"backbone": "lightgcn:64:3:xavier_uniform:0:float16", "loss": "sl:0.116", "negatives": "in-batch:diagonal"}
    | {"order": "shuffled", "rank_score": "dot", "batch_size": 2048, "lr": 1e-3, "lr_schedule": "linear", "l2": 0.1}
    | {"user_dropout": 0.1, "epochs": 20},
}
"""Recipe -> fields of the run.

``mf-authors`` has the settings of a published log. ``mf-fast`` has ten times its learning rate, falling to 0; the rate
and its fall were chosen on a validation part cut from training. ``lightgcn`` has the settings of Adap-tau's log with
its constant temperature, but a rate that falls to 0, dropout on the user's vector instead of on messages, and L2 on
the tables alone.
"""

LOGS: dict[str, dict[int, float]] = {
    "mf-authors": {2: 0.0328, 3: 0.0464, 4: 0.0543, 5: 0.0588, 11: 0.0680, 20: 0.0698},
    "lightgcn": {1: 0.06356, 2: 0.06677, 3: 0.06853, 5: 0.06943, 10: 0.07153, 20: 0.07235},
}
"""Recall@20 by epoch in the log of the recipe's authors."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--until", type=float, help="stop once Recall@20 is so high")
    parser.add_argument("--threads", type=int, default=0, help="0 takes all cores")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another field of the run")
    given = parser.parse_args()
    changed = {key: json.loads(value) for key, value in (text.split("=", 1) for text in given.set)}
    fields = RECIPES[given.recipe] | changed | {"threads": given.threads}
    fields |= {} if given.epochs is None else {"epochs": given.epochs}
    run = resolve(**fields)
    print(json.dumps({"case": "converge", "recipe": given.recipe, "run": run.model_dump(), **machine.facts()}))
    started = time.perf_counter()
    parts = open_source(run.source)
    if parts.train is None or parts.test is None:
        raise UsageError(f"{run.source} does not come divided into training and test")
    print(json.dumps({"read_s": round(time.perf_counter() - started, 2)}), flush=True)
    published = LOGS.get(given.recipe, {})

    def show(progress: Progress) -> None:
        record = progress.record
        if record is None:
            return
        recall = record.metrics[run.metric]
        line = {"epoch": record.epoch, "recall@20": round(recall, 5), "loss": round(record.loss, 5)}
        line |= {"train_s": round(record.train_seconds, 2), "eval_s": round(record.eval_seconds, 2)}
        line |= {"since_start_s": round(time.perf_counter() - started, 1)}
        if record.epoch in published:
            line |= {"published": published[record.epoch]}
            line |= {"difference_percent": round(100 * (recall / published[record.epoch] - 1), 2)}
        print(json.dumps(line), flush=True)
        if given.until is not None and recall >= given.until:
            raise Reached

    try:
        pass_on(Trainer(run, parts.train, parts.test, on_progress=show).fit().stopped_by)
    except Reached:
        print(json.dumps({"reached": given.until, "peak_mb": machine.peak_mb()}))


class Reached(Exception):
    """The figure asked for."""


if __name__ == "__main__":
    main()
