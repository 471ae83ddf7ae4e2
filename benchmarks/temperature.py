"""``tau = "auto"`` beside a grid of temperatures: quality on test, and what each cost.

    python -m benchmarks --out docs/temperature/ml-100k.jsonl temperature ml-100k [--seeds 3] [--loss sl]

The grid is chosen as by ``taurec compare --tune all``: each tau is trained with the first seed, validation chooses one,
and that one is trained with the other seeds. The automatic temperature is found anew with every seed. Both are judged
on the test part, once a seed, and compared user by user, each user's result being the mean over seeds. All seeds share
one division of the log. Cost is seconds and training pairs looked at, probes and grid included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

import numpy as np

from benchmarks import machine
from taurec.data.source import split_source
from taurec.data.split import Split, data_hash
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import bootstrap, compare_paired
from taurec.recommender import Recommender
from taurec.run import Run
from taurec.training.auto_temperature import find_temperature
from taurec.training.interrupt import pass_on
from taurec.training.presets import resolve

GRID = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a named set, a file or a folder")
    parser.add_argument("--loss", default="sl", help="sl, ssm or another loss with tau; bsl, whose tau_neg is found")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--grid", type=float, nargs="+", default=list(GRID))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    fields = {"loss": given.loss, "source": given.source, "threads": given.threads}
    fields |= {"epochs": given.epochs, "patience": given.patience}
    name = "tau_neg" if "tau_neg" in resolve(loss=given.loss).loss.settings else "tau"
    auto = resolve(**fields, settings={"loss": {name: "auto"}})
    parts, source = split_source(given.source, auto)
    sizes = {"train": len(parts.train), "users": parts.train.n_users, "items": parts.train.n_items}
    head = {"case": "temperature", "source": source, "data_hash": data_hash(parts), **sizes}
    print(json.dumps({**head, "run": auto.model_dump(mode="json"), "grid": given.grid, **machine.facts()}), flush=True)

    best: _Fit | None = None
    grid_cost = _Cost()
    for tau in given.grid:
        fit = _Fit(resolve(**fields, settings={"loss": {name: tau}}), parts)
        grid_cost.add(fit.seconds, fit.rows)
        _say("grid", 0, tau, fit)
        best = fit if best is None or fit.valid > best.valid else best
    assert best is not None
    one_fit = _Cost(best.seconds, best.rows)
    of_grid, of_auto, autos = [best.judge()], [], list[dict[str, Any]]()
    auto_cost = _Cost()
    for seed in range(given.seeds):
        if seed:
            fit = _Fit(best.run.but(seed=seed), parts)
            of_grid.append(fit.judge())
            _say("chosen", seed, fit.run.loss.settings[name], fit)
        started = time.perf_counter()
        found = find_temperature(auto.but(seed=seed), parts.train, parts.valid)
        pass_on(found.stopped_by)
        seconds = time.perf_counter() - started
        fit = _Fit(found.run, parts)
        of_auto.append(fit.judge())
        probes = len(found.probes) * found.epochs * len(parts.train)
        autos.append({"seed": seed, "tau": found.tau, "probe_s": round(seconds, 1), "fit_s": round(fit.seconds, 1)})
        auto_cost.add(seconds + fit.seconds, probes + fit.rows)
        _say("auto", seed, found.tau, fit, probe_s=round(seconds, 1), probes=found.probes, epochs_each=found.epochs)
    metric = auto.metric
    chosen, ours = _over_seeds(of_grid), _over_seeds(of_auto)
    paired = compare_paired(ours, chosen, metric)
    line: dict[str, Any] = {"summary": source, "loss": given.loss, "metric": metric, "seeds": given.seeds}
    line |= {"users": chosen.n_users, "grid_tau": best.run.loss.settings[name], "auto_tau": [a["tau"] for a in autos]}
    line |= {"grid": vars(bootstrap(chosen, metric)), "auto": vars(bootstrap(ours, metric))}
    line |= {"difference": vars(paired.difference), "p_value": paired.p_value}
    line |= {"auto_significantly_below": bool(paired.p_value < 0.05 and paired.difference.mean < 0)}
    line |= {"grid_s": round(grid_cost.seconds, 1), "auto_s": round(auto_cost.seconds / given.seeds, 1)}
    line |= {"fit_s": round(one_fit.seconds, 1), "grid_rows": grid_cost.rows}
    line |= {"auto_rows": auto_cost.rows // given.seeds, "fit_rows": one_fit.rows}
    line |= {"auto_share_of_grid_s": round(line["auto_s"] / line["grid_s"], 3)}
    line |= {"auto_share_of_grid_rows": round(line["auto_rows"] / line["grid_rows"], 3)}
    print(json.dumps(line), flush=True)


class _Fit:
    """A model trained by a run, and what that took."""

    def __init__(self, run: Run, parts: Split):
        self.run, started = run, time.perf_counter()
        self.model = Recommender.from_run(run).fit(parts)
        pass_on(self.model.stopped_by)
        self.seconds = time.perf_counter() - started
        self.rows = len(self.model.records) * len(parts.train)
        best = self.model.best
        self.valid = best.metrics[run.metric] if best else 0.0
        self.best_epoch = best.epoch if best else 0

    def judge(self) -> Evaluation:
        return self.model.evaluate("test", [self.run.metric])


class _Cost:
    """Seconds, and training pairs looked at."""

    def __init__(self, seconds: float = 0.0, rows: int = 0):
        self.seconds, self.rows = seconds, rows

    def add(self, seconds: float, rows: int) -> None:
        self.seconds += seconds
        self.rows += rows


def _over_seeds(results: list[Evaluation]) -> Evaluation:
    """Each user's terms averaged over seeds."""
    above, below = (np.mean([getattr(r, side) for r in results], axis=0) for side in ("numerator", "denominator"))
    return dataclasses.replace(results[0], numerator=above, denominator=below)


def _say(what: str, seed: int, tau: float, fit: _Fit, **more: Any) -> None:
    line = {"what": what, "seed": seed, "tau": tau, "valid": round(fit.valid, 5), "best_epoch": fit.best_epoch}
    line |= {"epochs": len(fit.model.records), "fit_s": round(fit.seconds, 1), **more}
    if what != "grid":
        line |= {"test": round(fit.model.metrics["test"][fit.run.metric], 5)}
    print(json.dumps(line), flush=True)
