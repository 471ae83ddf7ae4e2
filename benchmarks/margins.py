"""MML against CCL with few negatives: does the sum of several margins make up for them, and which margins?

    python -m benchmarks margins SET [--negatives 10,100] [--folder runs/margins] [--out FILE.json]

The design, fixed before its results: MF, width 64, cosine scores, uniform negatives, batches of 1,024, learning rate
.01, at most 40 epochs, patience 4. Every setting of a loss is fitted once with seed 0; NDCG@20 on the validation part
chooses one for each loss, family of margins and number of negatives; the chosen ones are fitted with three seeds and
judged on the test part, with a paired sign-flip test over users of MML against CCL. SL stands beside them. What the
others have on the test part is kept in the folder of fits and looked at nowhere.
Added after the first results, since CCL chose the lowest of its weights on MovieLens-100K, and both losses the highest
on debian: lower and higher ones, as lines of their own. MML is tested against CCL's line that is best on validation.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.bilateral import TAU
from benchmarks.fits import METRICS, Fits, divided, fitted, judged
from taurec.evaluation.significance import compare_paired

FIELDS: dict[str, Any] = {
    "lr": 1e-2,
    "batch_size": 1024,
    "epochs": 40,
    "patience": 4,
    "metric": "ndcg@20",
}
STRENGTHS, LOWER, HIGHER = (5.0, 20.0, 80.0), (0.5, 1.0, 2.0), (320.0, 1280.0)
SHARES = (0.05, 0.15, 0.2, 0.6)
"""The author's weights of four margins, smallest margin first."""
MARGINS = {"published": (0.6, 0.7, 0.8, 0.9), "lower": (0.2, 0.4, 0.6, 0.8), "lowest": (0.0, 0.2, 0.4, 0.6)}


def ccl(weights: Iterable[float]) -> list[dict[str, Any]]:
    grid = itertools.product((0.2, 0.4, 0.6, 0.8), weights)
    return [{"loss": "ccl", "settings": {"loss": {"margin": m, "neg_weight": w}}} for m, w in grid]


def mml(margins: Iterable[tuple[float, ...]], weights: Iterable[float]) -> list[dict[str, Any]]:
    grid = itertools.product(margins, weights)
    return [{"loss": "mml", "settings": {"loss": {"margins": m, "weights": SHARES, "neg_weight": w}}} for m, w in grid]


FAMILIES: dict[str, list[dict[str, Any]]] = {
    "sl": [{"loss": "sl", "settings": {"loss": {"tau": f}}} for f in (0.05, 0.1, 0.2)],
    "ccl": ccl(STRENGTHS),
    "ccl, lower weights": ccl(LOWER),
    "ccl, higher weights": ccl(HIGHER),
    **{f"mml, {name} margins": mml([m], (*STRENGTHS, 320.0)) for name, m in MARGINS.items()},
    "mml, higher weights": mml(MARGINS.values(), (1280.0,)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(TAU))
    parser.add_argument("--negatives", default="10,100")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/margins"), help="one line and one array a fit")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts, fits = divided(given.set), Fits(given.folder / given.set)
    done = {(r["seed"], r["line"]): r for r in fits.records()}
    lines, users = list[dict[str, Any]](), dict[tuple[int, str], np.ndarray]()
    chosen_on: dict[tuple[int, str], float] = {}

    def fit(point: dict[str, Any], seed: int) -> dict[str, Any]:
        line = json.dumps(point, sort_keys=True)
        if (seed, line) not in done:
            done[seed, line] = fits.add(0.0, seed, line, *fitted(parts, FIELDS | point, seed)[1:])
        return done[seed, line]

    for n, (family, grid) in itertools.product(map(int, given.negatives.split(",")), FAMILIES.items()):
        points = [point | {"negatives": f"uniform:{n}"} for point in grid]
        tried: list[float] = [fit(point, 0)["valid"] for point in points]
        best = points[tried.index(max(tried))]
        found = [fit(best, seed) for seed in range(given.seeds)]
        users[n, family], chosen_on[n, family] = np.mean([fits.values(r) for r in found], axis=0), max(tried)
        line = {"negatives": n, "line": family, "valid": round(max(tried), 5), "tried": len(grid), "seeds": len(found)}
        line |= {m: round(float(np.mean([r[m] for r in found])), 5) for m in METRICS}
        line["spread"] = round(float(np.std([r["ndcg@20"] for r in found], ddof=1)), 5) if len(found) > 1 else None
        line["chosen"] = best["settings"]["loss"]
        if family.startswith("mml"):
            other = max((f for f in FAMILIES if f.startswith("ccl")), key=lambda name: chosen_on[n, name])
            paired = compare_paired(judged(users[n, family]), judged(users[n, other]), "ndcg@20")
            line |= {"against": other, "difference": round(paired.difference.mean, 5), "p": round(paired.p_value, 4)}
        print(json.dumps(line), flush=True)
        lines.append(line)
    if given.out is not None:
        made = machine.facts() | {"commit": ", ".join(dict.fromkeys(r["commit"] for r in done.values()))}
        content = {"set": given.set, "setting": FIELDS, "machine": made, "lines": lines}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
