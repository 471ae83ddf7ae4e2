"""Layers of LightGCN joined, added, multiplied: does joining beat adding, as two papers on images claim?

    python -m benchmarks combinations SET [--layers 2] [--seeds 1] [--folder runs/combinations] [--out FILE.json]

The design, fixed before its results: LightGCN, width 64, SL with 64 uniform negatives, cosine scores, batches of 1,024,
at most 30 epochs, patience 3. Each combination is fitted at every learning rate of the grid with seed 0; NDCG@20 on the
validation part chooses one rate for each combination; the chosen ones are fitted with every seed and evaluated on the
test part, with a paired sign-flip test over users against the mean of the layers. A concatenation has more numbers per
vector, (layers + 1) * 64, from the same tables.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.bilateral import TAU
from benchmarks.fits import METRICS, Fits, divided, fitted, judged
from taurec.evaluation.significance import compare_paired

FIELDS: dict[str, Any] = {
    "negatives": "uniform:64",
    "batch_size": 1024,
    "epochs": 30,
    "patience": 3,
    "metric": "ndcg@20",
}
RATES = (0.003, 0.01)
LINES: dict[str, dict[str, Any]] = {
    how: {"backbone": {"combine": how}}
    for how in ("mean", "concat", "concat_unit", "concat_neighbours", "learned", "product", "last")
}
"""The first is what the others are tested against. The sum is the mean under cosine scores."""
VIEWS = ("simgcl", "xsimgcl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(TAU))
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/combinations"), help="one line and one array a fit")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts, fits = divided(given.set), Fits(given.folder / given.set)
    done = {(r["seed"], r["line"]): r for r in fits.records()}
    lines, base = list[dict[str, Any]](), np.zeros(0)

    def fit(name: str, rate: float, seed: int) -> dict[str, Any]:
        combined = name in LINES
        settings = {"loss": {"tau": TAU[given.set]}, "backbone": LINES[name]["backbone"] if combined else {}}
        settings["backbone"] = {**settings["backbone"], "layers": given.layers}
        point = {"backbone": "lightgcn" if combined else name, "loss": "sl", "lr": rate, "settings": settings}
        line = json.dumps(point, sort_keys=True)
        if (seed, line) not in done:
            done[seed, line] = fits.add(0.0, seed, line, *fitted(parts, FIELDS | point, seed)[1:])
        return done[seed, line]

    for name in (*LINES, *VIEWS):
        tried = [fit(name, rate, 0) for rate in RATES]
        best = max(range(len(RATES)), key=lambda k: tried[k]["valid"])
        found = [fit(name, RATES[best], seed) for seed in range(given.seeds)]
        users = np.mean([fits.values(r) for r in found], axis=0)
        line: dict[str, Any] = {"line": name, "layers": given.layers, "lr": RATES[best], "seeds": len(found)}
        line |= {"valid": tried[best]["valid"], "epochs": tried[best]["epochs"]}
        line |= {m: round(float(np.mean([r[m] for r in found])), 5) for m in METRICS}
        if not lines:
            base = users
        else:
            paired = compare_paired(judged(users), judged(base), "ndcg@20")
            line |= {"difference": round(paired.difference.mean, 5), "p": round(paired.p_value, 4)}
            line["interval"] = [
                None if x is None else round(x, 5) for x in (paired.difference.low, paired.difference.high)
            ]
        print(json.dumps(line), flush=True)
        lines.append(line)
    if given.out is not None:
        made = machine.facts() | {"commit": ", ".join(dict.fromkeys(r["commit"] for r in done.values()))}
        content = {"set": given.set, "setting": FIELDS, "rates": RATES, "machine": made, "lines": lines}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
