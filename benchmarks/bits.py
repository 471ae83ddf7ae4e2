"""Hashes of ten fixed runs on the built-in log: a change that should not alter results leaves them as they are.

Hashes hold on one machine, for one version of the libraries. Compare two commits on the same machine:

    python -m benchmarks --out before.jsonl bits        (at the first commit)
    python -m benchmarks bits --against before.jsonl    (at the second)

A hash covers the arrays of the fitted model, the losses and validation values of every epoch, and the lists of the
first hundred users.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from taurec import Recommender

RUNS: dict[str, dict[str, Any]] = {
    "mf-sl": {"loss": "sl", "negatives": "uniform:64"},
    "mf-bsl": {"loss": "bsl", "negatives": "uniform:64", "settings": {"loss": {"tau_neg": 0.1, "tau_pos": 0.5}}},
    "mf-bpr": {"loss": "bpr", "epochs": 3},
    "mf-mml-shared": {"loss": "mml", "negatives": "shared:512"},
    "mf-ssm-full": {"loss": "ssm", "negatives": "full", "epochs": 1},
    "mf-adap-tau": {"loss": "adap-tau", "negatives": "popularity:32", "logq": False},
    "lightgcn-sl": {"backbone": "lightgcn", "loss": "sl", "negatives": "in-batch", "epochs": 1},
    "ngcf-sl": {"backbone": "ngcf:16:16,16", "loss": "sl", "negatives": "uniform:16", "epochs": 1},
    "simplex-ccl": {"backbone": "simplex", "loss": "ccl", "negatives": "uniform:32", "epochs": 1},
    "baselines": {},
}
BASELINES = ("popularity", "itemknn", "ease", "ials")


def digest(model: Recommender) -> str:
    """SHA-256 over what a fit leaves behind."""
    made = hashlib.sha256()
    for name, array in sorted(model.ranker.state().items()):
        made.update(f"{name} {array.dtype} {array.shape}".encode())
        made.update(np.ascontiguousarray(array).tobytes())
    for record in model.records:
        made.update(repr((record.epoch, record.loss, sorted(record.metrics.items()))).encode())
    lists = model.recommend(model.users.ids.to_list()[:100], k=10)
    made.update("\n".join(lists.item).encode())
    return made.hexdigest()


def fitted(name: str) -> str:
    """The hash of one run."""
    if name == "baselines":
        each = [digest(Recommender(model=model, threads=1).fit("debian")) for model in BASELINES]
        return hashlib.sha256("\n".join(each).encode()).hexdigest()
    return digest(Recommender(**{"epochs": 2, "threads": 1, "seed": 7, **RUNS[name]}).fit("debian"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="a file written by --out earlier; exit 1 where hashes differ")
    given = parser.parse_args()
    before = {}
    if given.against is not None:
        lines = [json.loads(line) for line in given.against.read_text().splitlines()]
        before = {line["run"]: line["sha256"] for line in lines if "run" in line}
    print(json.dumps({"case": "bits", **machine.facts()}), flush=True)
    differ = []
    for name in RUNS:
        line: dict[str, Any] = {"run": name, "sha256": fitted(name)}
        if name in before:
            line["same"] = before[name] == line["sha256"]
            differ += [] if line["same"] else [name]
        print(json.dumps(line), flush=True)
    if differ:
        sys.exit(f"other bits: {', '.join(differ)}")
