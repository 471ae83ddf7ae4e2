"""How right the audit of a log is: its estimates on planted worlds, and injected rows found again in real logs.

    python -m benchmarks --out docs/audit/planted.jsonl audit planted
    python -m benchmarks --out docs/audit/ml-100k.jsonl audit ml-100k [--rates 0.1,0.2,0.4] [--seeds 3]
    python -m benchmarks audit ml-100k --rates 0.2 --write ml-100k-noisy.csv

``planted`` makes worlds whose tastes are known, over the share of false positives, the skew of popularity and the rows
a user has, and compares both estimates with the truth: mean error, the root of the mean squared error, and how often
the 95 % interval holds the truth. A named set gets false positives put in, and its rows are ranked by several scores.
The worlds' parameters were fixed before the first run; that the estimates are made within groups of popularity was
decided after it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars

from benchmarks import machine
from benchmarks.bilateral import TAU
from taurec.data.noise import add_false_positives
from taurec.data.planted import planted
from taurec.data.source import open_source
from taurec.errors import UsageError
from taurec.studies.audit.log.crossfit import cross_fit
from taurec.studies.audit.log.recovery import recovery
from taurec.studies.audit.log.shares import shares

NOISE = (0.0, 0.05, 0.1, 0.2, 0.3)
SKEW = (0.0, 0.5, 1.0)
PER_USER = (6, 15)
JUDGES = ("ease", "itemknn")
WORLD = {"n_users": 400, "n_items": 200, "n_groups": 4}
FIELDS = {"epochs": 20, "threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="planted, or a named set")
    parser.add_argument("--rates", default="0.1,0.2,0.4", help="injected rows for each row of a user")
    parser.add_argument("--seeds", type=int, help="worlds of each kind, or injections; 10 and 3 if not given")
    parser.add_argument("--write", type=Path, help="write the whole log with the first rate put in, seed 0, and stop")
    given = parser.parse_args()
    if given.write is not None:
        noisy = add_false_positives(open_source(given.what).everything(), float(given.rates.split(",")[0]), seed=0).log
        users, items = noisy.users.decode(noisy.user_of), noisy.items.decode(noisy.indices)
        polars.DataFrame({"user": users, "item": items}).write_csv(given.write)
        return
    print(json.dumps({"case": "audit", "what": given.what, **machine.facts()}), flush=True)
    if given.what == "planted":
        for kind in itertools.product(JUDGES, PER_USER, SKEW, NOISE):
            print(json.dumps(errors(*kind, given.seeds or 10)), flush=True)
        return
    tau = TAU.get(given.what, 0.1)
    fields: dict[str, Any] = {**FIELDS, "settings": {"loss": {"tau_neg": tau}}}
    for rate in map(float, given.rates.split(",")):
        found = asdict(recovery(given.what, rate, seeds=given.seeds or 3, fields=fields))
        print(json.dumps({"recovery": given.what, "tau_neg": tau, **found}), flush=True)


def errors(judge: str, per_user: int, skew: float, noise: float, seeds: int) -> dict[str, Any]:
    """Both estimates against the truth over so many worlds of one kind."""
    kind = {"judge": judge, "per_user": per_user, "skew": skew, "noise": noise, "worlds": seeds}
    false, hidden, covered, truths = [], [], [], []
    for seed in range(seeds):
        world = planted(**WORLD, per_user=per_user, skew=skew, noise=noise, seed=seed)
        try:
            found = shares(world.log, cross_fit(world.log, judge, seed=seed), resamples=200, seed=seed)
        except UsageError:  # places no better than chance: the command gives no estimate either
            continue
        truth = float(world.false_positive.mean())
        truths.append(truth)
        low, high = found.false_positives.low, found.false_positives.high
        covered.append(low is not None and high is not None and low <= truth <= high)
        false.append(found.false_positives.mean - truth)
        hidden.append(found.hidden_positives.mean / world.liked_unseen - 1)
    if not false:
        return {**kind, "estimated": 0}
    return {
        **kind,
        "estimated": len(false),
        "truth": round(float(np.mean(truths)), 4),
        "error": round(float(np.mean(false)), 4),
        "rms_error": round(float(np.sqrt(np.mean(np.square(false)))), 4),
        "covered": round(float(np.mean(covered)), 2),
        "hidden_relative_error": round(float(np.mean(hidden)), 3),
    }
