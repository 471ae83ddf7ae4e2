"""The fits of a study, each kept in a folder as it ends, so that a study that was stopped goes on."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from taurec.baselines import BASELINES
from taurec.data.source import open_source
from taurec.data.split import Split, split
from taurec.evaluation.metrics import parse
from taurec.evaluation.ranking import Evaluation
from taurec.provenance import commit, cpu
from taurec.recommender import Recommender
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve
from taurec.training.records import Progress

METRICS = ["ndcg@20", "recall@20"]


def divided(name: str) -> Split:
    """The parts of a set, with seed 0."""
    opened = open_source(name)
    return opened.split(0.1, 0) if opened.given else split(opened.everything(), "ratio", seed=0)


def fitted(
    parts: Split, fields: Mapping[str, Any], seed: int, threads: int = 1, limit: float | None = None
) -> tuple[Recommender, dict[str, Any], np.ndarray]:
    """One fit, its record, and the NDCG@20 of every user of the test part.

    A baseline, ``{"model": NAME}``, is fitted at each of its settings, and validation chooses one. Training ends after
    the epoch in which it exceeds ``limit`` seconds of CPU time, which other programs on the machine change little.
    """
    started = time.perf_counter()
    if "model" in fields:
        tried = list[tuple[float, int, Recommender]]()
        grid: tuple[dict[str, Any], ...] = getattr(BASELINES[fields["model"]], "GRID", ({},))
        for point in grid:
            run = resolve(model=fields["model"], settings={"model": dict(point)}, seed=seed, threads=threads)
            fit = Recommender.from_run(run).fit(parts)
            tried.append((fit.metrics["valid"]["ndcg@20"], len(tried), fit))
        model = max(tried, key=lambda t: t[:2])[2]
    else:
        budget = CpuBudget(limit)
        model = Recommender(run=resolve(**fields, seed=seed, threads=threads)).fit(parts, budget)
        pass_on(0 if budget.spent else model.stopped_by)
    seconds = time.perf_counter() - started
    found = model.evaluate("test", METRICS)
    record: dict[str, Any] = {m: round(v, 6) for m, v in found.means().items()}
    record |= {"valid": round(model.metrics["valid"]["ndcg@20"], 6), "seconds": round(seconds, 1)}
    record |= {"epochs": model.best.epoch if model.best and "model" not in fields else 0}
    if limit is not None and "model" not in fields:
        record |= {"finished": not budget.spent, "cpu_an_epoch": round(budget.used / len(model.records), 2)}
    return model, record, found.per_user("ndcg@20").astype(np.float32)


class CpuBudget:
    """Ends a training, as Ctrl-C does, after the epoch in which its CPU time exceeds a limit.

    Attributes:
        used: seconds of CPU time up to the last epoch, validation included.
        spent: whether it ended the training.
    """

    def __init__(self, limit: float | None):
        self.limit, self.used, self.spent = limit, 0.0, False
        self._started = time.process_time()

    def __call__(self, progress: Progress) -> None:
        if progress.record is None:
            return
        self.used = time.process_time() - self._started
        if self.limit is not None and self.used > self.limit and progress.epoch < progress.epochs:
            self.spent = True
            signal.raise_signal(signal.SIGINT)


class Fits:
    """The records of a folder, and beside each the values of its users.

    A record is known by its ``level`` of noise, its ``seed`` and its ``line``, which says all that differs from the
    other lines of the study.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "runs.jsonl"
        self._made = {"commit": commit(), "cpu": cpu()}

    def records(self) -> list[dict[str, Any]]:
        """What was run; a line that was cut by a kill is left out."""
        found = []
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    def add(self, level: float, seed: int, line: str, record: Mapping[str, Any], values: np.ndarray) -> dict[str, Any]:
        """Keep a fit; returns its record as it will be read again."""
        whole = {"set": self.folder.name, "level": level, "seed": seed, "line": line, **self._made, **record}
        np.save(self._array(level, seed, line), values)
        with open(self._path, "a") as file:
            file.write("\n" * self._cut() + json.dumps(whole) + "\n")
        return whole

    def values(self, record: Mapping[str, Any]) -> np.ndarray:
        """The values of the users of a record."""
        found: np.ndarray = np.load(self._array(record["level"], record["seed"], record["line"]))
        return found

    def _cut(self) -> bool:
        """Whether a kill left the last line without its end."""
        return self._path.exists() and self._path.read_bytes()[-1:] not in (b"", b"\n")

    def _array(self, level: float, seed: int, line: str) -> Path:
        return self.folder / (re.sub(r"[^a-z0-9.]+", "-", f"{line}.{level:g}.{seed}") + ".npy")


def judged(values: np.ndarray) -> Evaluation:
    """Values of users as an evaluation, for the paired test."""
    terms = values.astype(np.float64)[:, None]
    return Evaluation((parse("ndcg@20"),), np.arange(len(values)), terms, np.ones_like(terms), 0, 0)
