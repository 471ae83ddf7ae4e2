"""TauRec beside the libraries people use, each in an environment of its own.

    python -m benchmarks peers [implicit cornac recbole] [--threads 1] [--rounds 3] [--envs FOLDER]

Each peer is installed by name, with a pinned version, into a virtual environment under FOLDER (once), and runs there
in a process of its own, in turns with TauRec's counterpart in another. The log is Yelp2018's if TAUREC_DATA names a
folder, else a random one of its size.

- ``bpr epoch``: one pass over all pairs with BPR, 64 factors. implicit and cornac take one pair at a time by SGD,
  RecBole batches of 2,048 by Adam, TauRec batches of 32,768 by Adam. ``recall@20`` of each after ten epochs says
  what an epoch is worth.
- ``evaluation``: all test users over the whole catalogue from the same two tables of vectors. cornac judges 200 users,
  and its time is multiplied. Definitions of the metrics differ: RecBole's are TauRec's and must agree.
- ``lightgcn step``: three layers, 2,048 rows; RecBole with BPR, TauRec with the same (``lightgcn step``) and with the
  softmax loss on the batch's items (``lightgcn step, in-batch SL``).

Before a time is printed: what a peer trained must rank better than popularity, and RecBole's metrics must be TauRec's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import machine
from benchmarks.logs import yelp2018
from taurec.baselines import BASELINES
from taurec.evaluation.ranking import evaluate_ranker
from taurec.ranker import EmbeddingRanker
from taurec.training.interrupt import StopRequest, pass_on
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
RECBOLE_NEEDS = ["numpy", "scipy", "pandas", "tqdm", "colorlog", "colorama", "pyyaml", "scikit-learn", "tabulate"]
RECBOLE_NEEDS += ["plotly", "texttable", "psutil", "tensorboard", "thop"]
INSTALLS: dict[str, list[list[str]]] = {
    "implicit": [["implicit==0.7.3"]],
    "cornac": [["cornac==3.0.1"]],
    # its own pins do not resolve against a current numpy, so they are left out
    "recbole": [["torch==2.13.0", *RECBOLE_NEEDS], ["--no-deps", "recbole==1.2.1"]],
}
TASKS = {
    "implicit": ["bpr epoch", "evaluation"],
    "cornac": ["bpr epoch", "evaluation"],
    "recbole": ["bpr epoch", "evaluation", "lightgcn step"],
}
COUNTERPARTS = {"lightgcn step": ["lightgcn step", "lightgcn step, in-batch SL"]}
BPR = {"loss": "bpr", "negatives": "uniform:1", "train_score": "dot", "rank_score": "dot", "order": "shuffled"}
OURS: dict[str, dict[str, Any]] = {
    "bpr epoch": BPR | {"backbone": "mf:64", "batch_size": 32_768, "lr": 0.02, "l2": 1e-2},
    "lightgcn step": BPR | {"backbone": "lightgcn:64:3", "batch_size": 2048, "lr": 1e-3, "l2": 1e-4},
    "lightgcn step, in-batch SL": {"backbone": "lightgcn:64:3:xavier_uniform:0:float16", "loss": "sl:0.1", "lr": 1e-3}
    | {"negatives": "in-batch", "batch_size": 2048, "l2": 1e-4, "order": "shuffled"},
}


def environment(peer: str, folder: Path) -> Path:
    """The Python of a peer's environment, which is made if it is not there."""
    home = folder / peer
    python, done = home / "bin" / "python", home / ".installed"
    if done.is_file() and done.read_text() == json.dumps(INSTALLS[peer]):
        return python
    print(f"installing {peer} into {home}", file=sys.stderr)
    venv.create(home, with_pip=True, clear=True)
    for packages in INSTALLS[peer]:
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
        if subprocess.run(command).returncode:
            sys.exit(f"{peer} could not be installed: pip install {' '.join(packages)} failed; is there a network?")
    done.write_text(json.dumps(INSTALLS[peer]))
    return python


class Worker:
    """A process that does one task each time it is asked; it prints one line of JSON when ready, and one a time."""

    def __init__(self, command: list[str], threads: int, home: Path = ROOT):
        pools = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home,
            env={**os.environ, **pools},
        )  # fmt: skip
        self._read()

    def ask(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        _, error = self._process.communicate()
        sys.exit(f"a worker ended: {error[-3000:]}")


def ours(task: str, path: str, threads: int) -> None:
    """TauRec's side of a task, as a worker."""
    train, test, _ = yelp2018()
    torch.set_num_threads(threads)
    values: dict[str, float] = {}
    call: Callable[[], float]
    if task == "evaluation":
        data = np.load(path)
        ranker = EmbeddingRanker(data["user"], data["item"])

        def judge() -> float:
            started = time.perf_counter()
            found = evaluate_ranker(ranker, test, train, "recall@20,ndcg@20").means()
            values.update(recall=found["recall@20"], ndcg=found["ndcg@20"])
            return time.perf_counter() - started

        judge()
        call = judge
    elif task == "bpr epoch":
        run = resolve(**OURS[task] | {"epochs": 10, "threads": threads})
        trainer = Trainer(run, train)
        trained = trainer.fit()
        pass_on(trained.stopped_by)
        ranker = trained.ranker
        np.savez(path + ".ours.npz", user=ranker.user, item=ranker.item)

        def epoch() -> float:
            record = trainer._epoch(11, StopRequest(), None)
            assert record is not None, "no one asked to stop"
            return record.train_seconds

        call = epoch
    else:
        trainer = Trainer(resolve(**OURS[task] | {"threads": threads}), train)
        batches = (batch for epoch in range(1, 1000) for batch in trainer.batches(epoch))
        trainer.backbone.train()

        def steps(n: int = 5) -> float:
            started = time.perf_counter()
            for number in range(1, n + 1):
                trainer.step(next(batches), 1, number)
            return (time.perf_counter() - started) / n

        steps()
        call = steps
    torch.set_num_threads(threads)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": call(), "values": values}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", choices=[*INSTALLS, []], help="all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "taurec" / "peers"
    parser.add_argument("--envs", type=Path, default=cache)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        task, data = given.serve
        ours(task, data, given.threads)
        return
    train, test, name = yelp2018()
    size = {"log": name, "users": train.n_users, "items": train.n_items, "pairs": len(train)}
    print(json.dumps({"case": "peers", **size, "rounds": given.rounds, **machine.facts()}), flush=True)
    popularity = judged(BASELINES.build("popularity", given={}, seed=0).fit(train), train, test)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.npz"
        g = torch.Generator().manual_seed(0)
        vectors = [F.normalize(torch.randn((n, 64), generator=g)).numpy() for n in (train.n_users, train.n_items)]
        pairs = [np.stack([part.user_of, part.indices]) for part in (train, test)]
        shape = np.array([train.n_users, train.n_items])
        np.savez(path, train=pairs[0], test=pairs[1], shape=shape, user=vectors[0], item=vectors[1])
        for peer in given.peers or list(INSTALLS):
            python = environment(peer, given.envs)
            for task in TASKS[peer]:
                for line in compared(peer, python, task, path, given):
                    if task == "bpr epoch":
                        for side in (peer, "ours"):
                            data = np.load(f"{path}.{side}.npz")
                            found = judged(EmbeddingRanker(data["user"], data["item"]), train, test)
                            line[f"recall@20 of {'TauRec' if side == 'ours' else 'the peer'}"] = round(found, 4)
                            if found <= popularity:
                                sys.exit(f"{side} ranks no better than popularity ({found:.4f}); no time is printed")
                    print(json.dumps(line), flush=True)


def judged(ranker: Any, train: Any, test: Any) -> float:
    return evaluate_ranker(ranker, test, train, "recall@20").means()["recall@20"]


def compared(peer: str, python: Path, task: str, path: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A line for each counterpart of a peer's task, the processes taking turns."""
    script = ROOT / "benchmarks" / "peer_workers" / f"on_{peer}.py"
    mine = COUNTERPARTS.get(task, [task])
    own = [sys.executable, "-m", "benchmarks", "peers", "--threads", str(given.threads), "--serve"]
    workers = {
        "peer": Worker([str(python), str(script), task, path, str(given.threads)], given.threads, Path(path).parent)
    }
    workers |= {name: Worker([*own, name, path], given.threads) for name in mine}
    replies: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    try:
        for _ in range(given.rounds):
            for name, worker in workers.items():
                replies[name].append(worker.ask())
    finally:
        for worker in workers.values():
            worker.stop()
    median = {name: statistics.median(r["seconds"] for r in found) for name, found in replies.items()}
    lines = []
    for name in mine:
        line: dict[str, Any] = {"peer": peer, "version": INSTALLS[peer][-1][-1], "what": name, "threads": given.threads}
        line |= {"peer_ms": round(median["peer"] * 1e3, 1), "ours_ms": round(median[name] * 1e3, 1)}
        line["times"] = round(median["peer"] / median[name], 2)
        for side, key in (("peer", "of the peer"), (name, "of TauRec")):
            line |= {f"{metric} {key}": round(v, 5) for metric, v in replies[side][-1]["values"].items()}
        if peer == "recbole" and task == "evaluation" and not _agree(line):
            sys.exit(f"RecBole's metrics are not TauRec's: {line}; no time is printed")
        lines.append(line)
    return lines


def _agree(line: dict[str, Any]) -> bool:
    return all(abs(line[f"{m} of the peer"] - line[f"{m} of TauRec"]) < 1.01e-4 for m in ("recall", "ndcg"))
