"""The model to pick, a blend of a closed form and a softmax over histories, against the field on one log.

    python -m benchmarks pick SET [--dim 256] [--seeds 3] [--only REGEX] [--folder runs/pick] [--out FILE.json]

The design, fixed before its results. Closed forms are fitted at every point of their grids, and validation chooses one.
``fism:ssm`` is FISM with the softmax over all items: its temperature is found on validation by ``tau=auto`` with seed
0, and it is fitted with three seeds. Each blend takes the chosen closed form and a fit of ``fism:ssm``, with a weight
chosen on validation for each seed. One evaluation on the test part, one thread. Each line is compared with the best
closed form by validation and with EASE: the difference of the users' NDCG@20, each the mean over seeds, with a 95 %
interval over users, and the p-value of a paired sign-flip test, corrected by Holm's method over the lines. Each fit is
kept as it ends; a run of the command continues.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.fits import METRICS, Fits, divided, fitted, judged
from taurec.data.split import Split
from taurec.evaluation.significance import bootstrap, compare_paired, holm
from taurec.recommender import Recommender, blend
from taurec.training.presets import resolve

CLOSED = ("popularity", "itemknn", "ease", "ease-normalised", "slim-local", "ials")
HALVES = ("ease-normalised", "slim-local")
RESAMPLES = 10_000


class Study:
    """The fits of one log."""

    def __init__(self, parts: Split, fits: Fits, dim: int, seeds: int):
        self.parts, self.fits, self.dim, self.seeds = parts, fits, dim, seeds
        self.done = {(r["seed"], r["line"]): r for r in fits.records()}
        self._closed: dict[str, Recommender] = {}

    def closed(self, name: str) -> None:
        if (0, name) not in self.done:
            self._closed[name], record, users = fitted(self.parts, {"model": name}, 0)
            self._keep(0, name, record | {"run": self._closed[name].run.text}, users)

    def histories(self) -> None:
        """``fism:ssm`` and its blends with each closed form, for each seed."""
        name = f"fism:ssm {self.dim}"
        for seed in range(self.seeds):
            if all((seed, f"blend:{half}+{name}") in self.done for half in HALVES):
                continue
            tau = self.done[0, name]["tau"] if (0, name) in self.done else "auto"
            settings = {"backbone": {"dim": self.dim}, "loss": {"tau": tau}}
            model = Recommender(run=resolve(backbone="fism", loss="ssm", settings=settings, seed=seed, threads=1))
            model.fit(self.parts)
            more = {"tau": model.run.loss.settings["tau"], "epochs": model.best.epoch if model.best else 0}
            self._evaluate(seed, name, model, more)
            for half in HALVES:
                both = blend(self._fit_closed(half), model)
                weight = both.run.model.settings["weight"] if both.run.model else None
                self._evaluate(seed, f"blend:{half}+{name}", both, {"weight": weight})

    def _fit_closed(self, name: str) -> Recommender:
        if name not in self._closed:
            self._closed[name] = fitted(self.parts, {"model": name}, 0)[0]
        return self._closed[name]

    def _evaluate(self, seed: int, line: str, model: Recommender, more: Mapping[str, Any]) -> None:
        found = model.evaluate("test", METRICS)
        record = {m: round(v, 6) for m, v in found.means().items()} | dict(more)
        record |= {"valid": round(model.metrics["valid"]["ndcg@20"], 6), "seconds": round(model.fit_seconds, 1)}
        self._keep(seed, line, record, found.per_user("ndcg@20").astype(np.float32))

    def _keep(self, seed: int, line: str, record: Mapping[str, Any], users: np.ndarray) -> None:
        self.done[seed, line] = self.fits.add(0.0, seed, line, record, users)
        print(json.dumps(self.done[seed, line]), flush=True)

    def lines(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """A line for each model, the mean over its seeds, and the NDCG@20 of its users."""
        found, users = list[dict[str, Any]](), dict[str, np.ndarray]()
        for name in dict.fromkeys(line for _, line in self.done):
            runs = [r for (_, line), r in self.done.items() if line == name]
            users[name] = np.mean([self.fits.values(r) for r in runs], axis=0)
            interval = bootstrap(judged(users[name]), "ndcg@20")
            line = {"line": name, "seeds": len(runs), "valid": round(float(np.mean([r["valid"] for r in runs])), 5)}
            line |= {m: round(float(np.mean([r[m] for r in runs])), 5) for m in METRICS}
            line |= {"interval": [interval.low and round(interval.low, 5), interval.high and round(interval.high, 5)]}
            line |= {key: [r[key] for r in runs] for key in ("tau", "weight", "run", "seconds") if key in runs[0]}
            found.append(line)
        return found, users


def against(found: list[dict[str, Any]], users: Mapping[str, np.ndarray], reference: str) -> dict[str, dict[str, Any]]:
    """The difference of each line to the reference, its interval, and the corrected p-value."""
    others = [line["line"] for line in found if line["line"] != reference]
    paired = [
        compare_paired(judged(users[n]), judged(users[reference]), "ndcg@20", resamples=RESAMPLES) for n in others
    ]
    return {
        name: {
            "difference": round(one.difference.mean, 5),
            "low": one.difference.low,
            "high": one.difference.high,
            "p": p,
        }
        for name, one, p in zip(others, paired, holm([one.p_value for one in paired]), strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--dim", type=int, default=256, help="width of fism")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="the closed forms whose name matches this regular expression")
    parser.add_argument("--folder", type=Path, default=Path("runs/pick"), help="one line and one array a fit")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    study = Study(divided(given.set), Fits(given.folder / given.set), given.dim, given.seeds)
    for name in CLOSED:
        if re.search(given.only, name):
            study.closed(name)
    study.histories()
    found, users = study.lines()
    closed = [line for line in found if line["line"] in CLOSED]
    best = max(closed, key=lambda line: line["valid"])["line"]
    tests = {name: against(found, users, name) for name in dict.fromkeys((best, "ease")) if name in users}
    made = machine.facts() | {"commit": ", ".join(dict.fromkeys(r["commit"] for r in study.done.values()))}
    content = {"set": given.set, "best_closed_form": best, "machine": made, "lines": found, "against": tests}
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")
    for line in sorted(found, key=lambda line: -line["ndcg@20"]):
        print(
            line["line"],
            line["ndcg@20"],
            line["recall@20"],
            {k: t.get(line["line"], {}).get("p") for k, t in tests.items()},
        )


if __name__ == "__main__":
    main()
