"""MML against CCL with few negatives: does the sum of several margins make up for them, and which margins?

    python -m benchmarks margins SET [--negatives 10,100] [--out FILE.json]

The design, fixed before its results: MF, width 64, cosine scores, uniform negatives, batches of 1,024, learning rate
.01, at most 40 epochs, patience 4. Every setting of a loss is fitted once with seed 0; NDCG@20 on the validation part
chooses one for each loss, family of margins and number of negatives; the chosen ones are fitted with three seeds and
judged once on the test part, with a paired sign-flip test over users of MML against CCL. SL stands beside them.
Added after the first results, since CCL chose the lowest of its weights: lower ones, as a line of their own, which MML
is tested against as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.bilateral import TAU, divided, judged
from taurec.evaluation.significance import compare_paired
from taurec.recommender import Recommender
from taurec.training.presets import resolve

FIELDS: dict[str, Any] = {
    "lr": 1e-2,
    "batch_size": 1024,
    "epochs": 40,
    "patience": 4,
    "metric": "ndcg@20",
    "threads": 1,
}
STRENGTHS, LOWER = (5.0, 20.0, 80.0), (0.5, 1.0, 2.0)
SHARES = (0.05, 0.15, 0.2, 0.6)
"""The author's weights of four margins, smallest margin first."""
FAMILIES: dict[str, list[dict[str, Any]]] = {
    "sl": [{"loss": "sl", "settings": {"loss": {"tau": f}}} for f in (0.05, 0.1, 0.2)],
    "ccl": [
        {"loss": "ccl", "settings": {"loss": {"margin": m, "neg_weight": w}}}
        for m, w in itertools.product((0.2, 0.4, 0.6, 0.8), STRENGTHS)
    ],
    "ccl, lower weights": [
        {"loss": "ccl", "settings": {"loss": {"margin": m, "neg_weight": w}}}
        for m, w in itertools.product((0.2, 0.4, 0.6, 0.8), LOWER)
    ],
}
MARGINS = {"published": (0.6, 0.7, 0.8, 0.9), "lower": (0.2, 0.4, 0.6, 0.8), "lowest": (0.0, 0.2, 0.4, 0.6)}
FAMILIES |= {
    f"mml, {name} margins": [
        {"loss": "mml", "settings": {"loss": {"margins": margins, "weights": SHARES, "neg_weight": w}}}
        for w in (*STRENGTHS, 320.0)
    ]
    for name, margins in MARGINS.items()
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(TAU))
    parser.add_argument("--negatives", default="10,100")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts, lines, users = divided(given.set), list[dict[str, Any]](), dict[tuple[int, str], np.ndarray]()
    chosen_on: dict[tuple[int, str], float] = {}
    for n, (family, grid) in itertools.product(map(int, given.negatives.split(",")), FAMILIES.items()):
        tried = []
        for point in grid:
            model = Recommender.from_run(resolve(**FIELDS, **point, negatives=f"uniform:{n}", seed=0)).fit(parts)
            tried.append((model.metrics["valid"]["ndcg@20"], -len(tried), point, model))
        best = max(tried, key=lambda t: t[:2])
        models, chosen_on[n, family] = [best[3]], best[0]
        for seed in range(1, given.seeds):
            models.append(Recommender.from_run(best[3].run.but(seed=seed)).fit(parts))
        found = [model.evaluate("test", ["ndcg@20", "recall@20"]) for model in models]
        users[n, family] = np.mean([f.per_user("ndcg@20") for f in found], axis=0)
        means = [f.means() for f in found]
        line = {"negatives": n, "line": family, "valid": round(best[0], 5), "tried": len(grid), "seeds": len(found)}
        line |= {m: round(float(np.mean([v[m] for v in means])), 5) for m in ("ndcg@20", "recall@20")}
        line["spread"] = round(float(np.std([v["ndcg@20"] for v in means], ddof=1)), 5) if len(found) > 1 else None
        line["chosen"] = best[2]["settings"]["loss"]
        if family.startswith("mml"):
            other = max(("ccl", "ccl, lower weights"), key=lambda name: chosen_on[n, name])
            paired = compare_paired(judged(users[n, family]), judged(users[n, other]), "ndcg@20")
            line |= {"against": other, "difference": round(paired.difference.mean, 5), "p": round(paired.p_value, 4)}
        print(json.dumps(line), flush=True)
        lines.append(line)
    if given.out is not None:
        content = {"set": given.set, "setting": FIELDS, "machine": machine.facts(), "lines": lines}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
