"""Which of the losses, samplers and combinations of layers are worth trying: one table for each, on one log.

    python -m benchmarks family SET PART [--only REGEX] [--folder runs/family] [--out FILE.json]

The design, fixed before its results. Every run has 30 seconds of CPU time on one thread, for training and its
validation (the epoch in which they are exceeded is finished), batches of 1,024, at most 60 epochs, patience 4 by
NDCG@20 on validation, and otherwise the preset of its loss. With seed 0 each line is fitted at up to three settings,
spread evenly over its grid; validation chooses one, which is fitted with three seeds and evaluated on the test part.
The parts:

    losses      every loss with MF, its grid varied
    lightgcn    a choice of losses with LightGCN of two layers, their grids varied
    samplers    every sampler with SL and with MML at the settings chosen in ``losses``, the sampler's grid varied
    layers      LightGCN, two layers, with SL at the setting chosen in ``lightgcn``: each combination of layers, and
                SimGCL and XSimGCL, at the rates .003 and .01

A line is compared with MF + SL by uniform negatives (in ``lightgcn`` and ``layers`` with LightGCN + SL): the difference
of the users' NDCG@20, each the mean over seeds, with a 95 % interval over users, and the p-value of a paired sign-flip
test, corrected for the number of lines by Holm's method. The interval of a line's own value is over users too; the
spread is over seeds. Popularity, item-kNN, EASE and iALS at validation's best are in every table. What is refused or
not finite is a line with its reason. Each fit is kept as it ends; a run of the command continues. A large log needs
more seconds for its first epochs, by ``--seconds``, with a folder for each number of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.fits import METRICS, Fits, divided, fitted, judged
from taurec.data.catalog import locate
from taurec.data.split import Split
from taurec.errors import TaurecError
from taurec.evaluation.significance import bootstrap, compare_paired, holm
from taurec.losses import LOSSES, loss_class
from taurec.sampling import NEGATIVES, sampler_grid
from taurec.studies.compare import BASELINES_ALWAYS
from taurec.studies.compare.candidates import evenly

SETS = ("ml-100k", "debian", "gowalla")
LIMIT = 30.0
SEEDS, TRIES = 3, 3
RESAMPLES = 10_000
"""The smallest p-value is 1 / (1 + RESAMPLES); multiplied by the number of lines it must stay below .05."""
FIELDS: dict[str, Any] = {"batch_size": 1024, "epochs": 60, "patience": 4, "metric": "ndcg@20"}
ON_GRAPH = ("sl", "bpr", "bsl", "mml", "ssm", "sl-at-k", "psl-relu", "talos", "infonce-plus", "hardness-ssm", "mscl")
GRAPH: dict[str, Any] = {"backbone": "lightgcn", "settings": {"backbone": {"layers": 2}}}
COMBINATIONS = ("mean", "concat", "concat_unit", "concat_neighbours", "learned", "product", "last")
"""The sum is the mean under cosine scores."""
VIEWS = ("simgcl", "xsimgcl")
RATES = {"lr": [0.003, 0.01]}
TEXTS = {"ml-100k": "u.item"}
"""The file of item texts in the folder of a set; the ids of the others are names, or there are no texts."""

Point = dict[str, Any]


def grid(base: Point, varied: Mapping[str, list[Any]]) -> list[Point]:
    """``base`` at up to three points of a grid of ``loss.NAME``, ``negatives.NAME`` or fields of a run."""
    found = []
    for values in evenly(list(itertools.product(*varied.values())), TRIES):
        settings = {part: dict(own) for part, own in base.get("settings", {}).items()}
        point = {k: v for k, v in base.items() if k != "settings"}
        for key, value in zip(varied, values, strict=True):
            part, _, name = key.rpartition(".")
            (settings.setdefault(part, {}) if part else point)[name] = value
        found.append(point | ({"settings": settings} if settings else {}))
    return found


class Table:
    """The lines of one part on one log, fitted as they are asked for.

    Attributes:
        texts: file of item texts in ``folder``; a line names it without the folder, which is that of a machine.
    """

    def __init__(self, parts: Split, fits: Fits, limit: float = LIMIT, texts: str = "", folder: Path = Path()):
        self.parts, self.fits, self.limit, self.texts, self.folder = parts, fits, limit, texts, folder
        self.done = {(r["seed"], r["line"]): r for r in fits.records()}

    def fit(self, point: Point, seed: int) -> dict[str, Any]:
        line = json.dumps(point, sort_keys=True)
        if (seed, line) not in self.done:
            fields = point if "model" in point else FIELDS | self._located(point)
            found = fitted(self.parts, fields, seed, limit=self.limit)
            self.done[seed, line] = self.fits.add(0.0, seed, line, *found[1:])
        return self.done[seed, line]

    def _located(self, point: Point) -> Point:
        """The point with the whole path of the texts."""
        negatives = point.get("settings", {}).get("negatives", {})
        if "texts" not in negatives:
            return point
        path = str(self.folder / negatives["texts"])
        return point | {"settings": point["settings"] | {"negatives": negatives | {"texts": path}}}

    def chosen(self, points: list[Point]) -> Point:
        """The point that is best on validation with seed 0; a point that is not finite is never best."""
        tried, errors = list[tuple[float, int]](), list[str]()
        for at, point in enumerate(points):
            try:
                tried.append((self.fit(point, 0)["valid"], -at))
            except TaurecError as error:
                errors.append(str(error))
        if not tried:
            raise TaurecError(errors[0])
        return points[-max(tried)[1]]

    def line(self, name: str, points: list[Point]) -> tuple[dict[str, Any], np.ndarray]:
        """A line of the table, and the NDCG@20 of every user, the mean over seeds."""
        point = self.chosen(points)
        seeds = range(1 if "model" in point else SEEDS)
        found = [self.fit(point, seed) for seed in seeds]
        users: np.ndarray = np.mean([self.fits.values(r) for r in found], axis=0)
        line = {"line": name, "chosen": point, "tried": len(points), "valid": round(self.fit(point, 0)["valid"], 5)}
        line |= {m: round(float(np.mean([r[m] for r in found])), 5) for m in METRICS}
        if len(found) > 1:
            line["spread"] = round(float(np.std([r["ndcg@20"] for r in found], ddof=1)), 5)
            line["epochs"] = [r["epochs"] for r in found]
            line["finished"] = all(r["finished"] for r in found)
            line["cpu_an_epoch"] = round(float(np.median([r["cpu_an_epoch"] for r in found])), 2)
        return line, users


def of_loss(name: str, base: Point | None = None) -> list[Point]:
    return grid({"loss": name, **(base or {})}, loss_class(name).grid())


def lines(part: str, table: Table) -> Iterator[tuple[str, list[Point]]]:
    """The lines of a part; the first trained one is what the others are compared with."""
    for name in BASELINES_ALWAYS:
        yield name, [{"model": name}]
    if part == "losses":
        yield from ((f"mf:{name}", of_loss(name)) for name in ["sl", *(n for n in LOSSES if n != "sl")])
    elif part == "lightgcn":
        yield from ((f"lightgcn:{name}", of_loss(name, GRAPH)) for name in ON_GRAPH)
    elif part == "samplers":
        for loss, sampler in itertools.product(("sl", "mml"), ["uniform", *(n for n in NEGATIVES if n != "uniform")]):
            if sampler != "none":
                base = table.chosen(of_loss(loss)) | {"negatives": sampler}
                if table.texts and "texts" in NEGATIVES.settings(sampler):
                    base["settings"] = base["settings"] | {"negatives": {"texts": table.texts}}
                yield f"mf:{loss} {sampler}", grid(base, sampler_grid(sampler))
    else:
        base = table.chosen(of_loss("sl", GRAPH))
        loss_settings, layers = base["settings"]["loss"], GRAPH["settings"]["backbone"]
        for name in COMBINATIONS:
            settings = {"loss": loss_settings, "backbone": layers | {"combine": name}}
            yield f"lightgcn:sl {name}", grid({**base, "settings": settings}, RATES)
        for name in VIEWS:
            settings = {"loss": loss_settings, "backbone": layers}
            yield f"{name}:sl", grid({"loss": "sl", "backbone": name, "settings": settings}, RATES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("part", choices=("losses", "lightgcn", "samplers", "layers"))
    parser.add_argument("--only", default="", help="the lines whose name matches this regular expression")
    parser.add_argument("--seconds", type=float, default=LIMIT, help="of CPU time for a run; more for a large log")
    parser.add_argument("--folder", type=Path, default=Path("runs/family"), help="one line and one array a fit")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts, fits, texts = divided(given.set), Fits(given.folder / given.set), TEXTS.get(given.set, "")
    folder = locate(given.set)["log"].parent if texts else Path()
    table = Table(parts, fits, given.seconds, texts, folder)
    found, users, reference = list[dict[str, Any]](), dict[str, np.ndarray](), ""
    for name, points in lines(given.part, table):
        if not re.search(given.only, name):
            continue
        try:
            line, users[name] = table.line(name, points)
        except TaurecError as error:
            line = {"line": name, "refused": str(error)}
        else:
            interval = bootstrap(judged(users[name]), "ndcg@20")
            line["interval"] = [interval.low and round(interval.low, 5), interval.high and round(interval.high, 5)]
            reference = reference or ("" if "spread" not in line else name)
        print(json.dumps(line), flush=True)
        found.append(line)
    against(found, users, reference)
    if given.out is not None:
        made = machine.facts() | {"commit": ", ".join(dict.fromkeys(r["commit"] for r in table.done.values()))}
        content = {
            "set": given.set,
            "part": given.part,
            "reference": reference,
            "setting": FIELDS,
            "seconds": given.seconds,
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content | {"machine": made, "lines": found}, indent=1) + "\n")


def against(found: list[dict[str, Any]], users: Mapping[str, np.ndarray], reference: str) -> None:
    """Add the difference to the reference, its interval and the corrected p-value to the other lines."""
    others = [line for line in found if line["line"] in users and line["line"] != reference]
    if not reference:
        return
    base = judged(users[reference])
    paired = [compare_paired(judged(users[r["line"]]), base, "ndcg@20", resamples=RESAMPLES) for r in others]
    corrected = holm([p.p_value for p in paired])
    for line, one, p in zip(others, paired, corrected, strict=True):
        bounds = [round(b, 5) for b in (one.difference.low, one.difference.high) if b is not None]
        line |= {"difference": round(one.difference.mean, 5), "difference_interval": bounds, "p": round(p, 4)}


if __name__ == "__main__":
    main()
