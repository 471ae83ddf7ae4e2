"""Does the log-expectation-exp on the positives help? BSL in user blocks against SL in the same batches, under noise.

    python -m benchmarks bilateral SET [--levels 0,.4] [--only REGEX] [--seeds 3] [--folder runs/bilateral]
    python -m benchmarks bilateral SET --summary docs/results/bilateral    # what was run, put into the record

A summary keeps the lines of the record that were not run, each with the commit and the processor it was run on. The
lines of BSL are tested together at each level, so a level has all of them from here or none; those of the authors'
code are tested by themselves. A line of SL that lines kept were tested against must come out as it was.

The design, fixed before any of its results was looked at:

- The log is divided once (seed 0). Validation and test are cut first and stay clean; false positives are then put
  into the training part alone: per user ``ceil(level * |P_u|)`` items, drawn uniformly among those the user never met.
- Every model chooses its epoch by NDCG@20 on the clean validation part; the test part is judged once.
- One setting for the whole softmax family: MF, width 64, cosine scores, 128 uniform negatives a row, batches of 1,024,
  learning rate .01, at most 30 epochs, patience 4. ``tau`` is the one that SL has best on validation of the clean log
  in earlier comparisons. So two lines differ in what their names say and in nothing else.
- ``sl`` is multiplied by tau, which makes it what BSL is at ``tau_pos`` -> infinity in the same batches.
- Three seeds, of weights, order, negatives and injected pairs. Paired sign-flip tests over users, whose values are
  averaged over seeds, each line of BSL against SL in the same blocks, Holm's correction over all of a level.
- Added after the first results: SL at other temperatures, shuffled, for noise may want another one than the clean log.
- Added later: the lines of the authors' code on the sets other than ml-100k, corrected by themselves, so that the
  tests of BSL stay as they were. On ml-100k, without noise and with 40 %, all were corrected together.
- Beside them BPR, BCE, the denoising T-CE and R-CE, and the baselines, whose settings validation chooses.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.fits import Fits, divided, fitted, judged
from taurec.data.noise import Noisy, add_false_positives
from taurec.data.split import Split
from taurec.evaluation.significance import compare_paired, holm
from taurec.ranker import EmbeddingRanker
from taurec.recommender import Recommender
from taurec.sampling import ORDERS

TAU = {"ml-100k": 0.2, "debian": 0.1, "movielens-1m": 0.2, "amazon-electronics": 0.2}
FIELDS: dict[str, Any] = {
    "negatives": "uniform:128", "lr": 1e-2, "batch_size": 1024, "epochs": 30, "patience": 4, "metric": "ndcg@20",
}  # fmt: skip
POINTWISE: dict[str, Any] = {"epochs": 40, "patience": 5, "metric": "ndcg@20", "batch_size": 1024}
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4)
BLOCKS = (1, 2, 4, 8)
TAU_POS = (0.1, 0.2, 0.5, 1.0)


def lines(name: str) -> dict[str, dict[str, Any]]:
    """Every line of the study: label -> fields of its run."""
    tau, found = TAU[name], dict[str, dict[str, Any]]()
    for p in BLOCKS:
        order = {"order": f"user-blocks:{p}"}
        found[f"sl, blocks of {p}"] = FIELDS | order | {"loss": f"sl:{tau}:true"}
        if p > 1:
            for tau_pos in TAU_POS:
                found[f"bsl, tau_pos {tau_pos:g}, blocks of {p}"] = FIELDS | order | {"loss": f"bsl:{tau_pos}:{tau}"}
    for factor in (0.7, 1.5, 2.0):
        found[f"sl, {factor:g} times tau"] = FIELDS | {"order": "shuffled", "loss": f"sl:{factor * tau:.3g}:true"}
    found["bsl-authors-multi, k 1.1, blocks of 4"] = FIELDS | {
        "order": "user-blocks:4", "loss": f"bsl-authors-multi:{tau}:1.1"
    }  # fmt: skip
    found["bsl-authors-multi, k 1, shuffled"] = FIELDS | {"order": "shuffled", "loss": f"bsl-authors-multi:{tau}:1"}
    found["bsl-authors-reweight, k 1.1, shuffled"] = FIELDS | {
        "order": "shuffled", "loss": f"bsl-authors-reweight:{tau}:1.1"
    }  # fmt: skip
    found["bpr"] = POINTWISE | {"loss": "bpr"}
    for loss in ("bce", "t-ce", "r-ce"):
        found[loss] = POINTWISE | {"loss": loss, "negatives": "uniform:1:true"}
    for baseline in ("popularity", "itemknn", "ease", "ials"):
        found[baseline] = {"model": baseline}
    return found


def family(label: str) -> str | None:
    """What the tests of lines that are corrected together have in common; None of a line that is not tested."""
    found = re.match("bsl-authors|bsl", label)
    return found.group() if found else None


def control(label: str) -> str | None:
    """The line a line of BSL is tested against: SL in the same batches, or in shuffled ones."""
    if label.startswith("bsl"):
        p = re.search(r"blocks of (\d+)", label)
        return f"sl, blocks of {p.group(1) if p else 1}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(TAU))
    parser.add_argument("--levels", default=",".join(map(str, LEVELS)))
    parser.add_argument("--only", default="", help="lines whose label this expression finds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/bilateral"), help="one line and one array a run")
    parser.add_argument("--summary", type=Path, help="put what was run into the record there, and run nothing")
    given = parser.parse_args()
    fits = Fits(given.folder / given.set)
    if given.summary is not None:
        given.summary.mkdir(parents=True, exist_ok=True)
        path = given.summary / f"{given.set}.json"
        record = summary(given.set, fits)
        if path.exists():
            record = merged(json.loads(path.read_text()), record)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(json.dumps({"written": str(path)}))
        return
    clean = divided(given.set)
    wanted = {label: f for label, f in lines(given.set).items() if re.search(given.only, label)}
    jobs = [
        (level, seed, label)
        for seed in range(given.seeds)
        for level in map(float, given.levels.split(","))
        for label in wanted
    ]
    done = {(r["level"], r["seed"], r["line"]) for r in fits.records()}
    todo = [job for job in jobs if job not in done]
    started = time.perf_counter()
    for number, (level, seed, label) in enumerate(todo):
        record = fits.add(level, seed, label, *one(clean, level, seed, wanted[label], given.threads))
        left = (time.perf_counter() - started) / (number + 1) * (len(todo) - number - 1)
        print(json.dumps({k: record[k] for k in ("level", "seed", "line", "ndcg@20", "epochs", "seconds")}), end=" ")
        print(f"{number + 1}/{len(todo)}, {left / 60:.0f} min left", flush=True)


def one(
    clean: Split, level: float, seed: int, fields: Mapping[str, Any], threads: int
) -> tuple[dict[str, Any], np.ndarray]:
    """One fit on the log with noise: its record, and the NDCG@20 of every user of the test part."""
    noisy = add_false_positives(clean.train, level, seed, forbidden=[clean.valid, clean.test])
    parts = Split(noisy.log, clean.valid, clean.test, clean.how)
    model, record, values = fitted(parts, fields, seed, threads)
    loss = model.run.loss.settings if "model" not in fields else {}
    if level and "tau_pos" in loss:
        record |= weights(model, noisy, float(loss["tau_pos"]), parts)
    return record, values


def weights(model: Recommender, noisy: Noisy, tau_pos: float, parts: Split) -> dict[str, float]:
    """The mean weight that BSL gives injected and genuine positives in an epoch's blocks, by the model it ended with.

    A row of a user with m rows in its batch has the weight ``m * softmax(pos / tau_pos)``; SL's is 1. ``auc`` is the
    chance that an injected positive weighs less than a genuine one.
    """
    run, ranker = model.run, model.ranker
    assert isinstance(ranker, EmbeddingRanker)
    assert run.order is not None
    log = noisy.log
    weight = np.ones(len(log))
    score = np.einsum("nd,nd->n", ranker.user[log.user_of], ranker.item[log.indices]).astype(np.float64)
    order = ORDERS.build(run.order.name, given=run.order.settings).bind(log, run.batch_size, run.seed)
    for batch in order.batches(run.epochs + 1):
        user = log.user_of[batch]
        _, at, n = np.unique(user, return_inverse=True, return_counts=True)
        x = np.exp(score[batch] / tau_pos - (score[batch] / tau_pos).max())
        weight[batch] = n[at] * x / np.bincount(at, x)[at]
    bad, good = weight[noisy.injected], weight[~noisy.injected]
    ranks = np.argsort(np.argsort(np.concatenate([bad, good]), kind="stable"), kind="stable")[: len(bad)]
    auc = 1 - (ranks.sum() - len(bad) * (len(bad) - 1) / 2) / (len(bad) * len(good))
    return {"weight_injected": round(bad.mean(), 4), "weight_genuine": round(good.mean(), 4), "auc": round(auc, 4)}


def summary(name: str, fits: Fits) -> dict[str, Any]:
    """Means and spreads over seeds, and the tests, of everything that was run."""
    all_rows, content = fits.records(), list[dict[str, Any]]()
    for level in sorted({r["level"] for r in all_rows}):
        of_level = {label: [r for r in all_rows if (r["level"], r["line"]) == (level, label)] for label in lines(name)}
        users = {label: np.mean([fits.values(r) for r in found], axis=0) for label, found in of_level.items() if found}
        p_values: dict[str, float] = {}
        for label in users:
            other = control(label)
            if other in users:
                p_values[label] = compare_paired(judged(users[label]), judged(users[other]), "ndcg@20").p_value
        corrected: dict[str, float] = {}
        for together in {family(label) for label in p_values}:
            tested = {label: p for label, p in p_values.items() if family(label) == together}
            corrected |= zip(tested, holm(list(tested.values())), strict=True)
        for label, found in of_level.items():
            if not found:
                continue
            entry: dict[str, Any] = {"level": level, "line": label, "seeds": len(found)}
            entry |= {key: ", ".join(dict.fromkeys(r[key] for r in found)) for key in ("commit", "cpu")}
            for key in (
                "ndcg@20",
                "recall@20",
                "valid",
                "epochs",
                "seconds",
                "weight_injected",
                "weight_genuine",
                "auc",
            ):
                values = [r[key] for r in found if key in r]
                if values:
                    entry[key] = round(float(np.mean(values)), 5)
            entry["spread"] = round(float(np.std([r["ndcg@20"] for r in found], ddof=1)), 5) if len(found) > 1 else None
            other = control(label)
            if label in corrected and other is not None:
                entry |= {"against": other, "difference": round(float((users[label] - users[other]).mean()), 5)}
                entry["p"] = round(corrected[label], 4)
            content.append(entry)
    clean = divided(name)
    sizes = {part: len(getattr(clean, part)) for part in ("train", "valid", "test")}
    fixed = {"tau": TAU[name], **FIELDS, "users": int(clean.test.user_counts.astype(bool).sum()), **sizes}
    return {"set": name, "setting": fixed, "machine": machine.facts(), "lines": content}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new record with the lines of the old one that were not run again."""
    if old["setting"] != new["setting"]:
        raise SystemExit(f"the record has another setting: {old['setting']}, not {new['setting']}")
    ran = {(line["level"], line["line"]): line["ndcg@20"] for line in new["lines"]}
    had = {(line["level"], line["line"]): line["ndcg@20"] for line in old["lines"]}
    made = {key: old["machine"][key] for key in ("commit", "cpu")}
    kept = [made | line for line in old["lines"] if (line["level"], line["line"]) not in ran]
    tested = {(level, family(label)) for level, label in ran if family(label)}
    changed = {line for line in ran if ran[line] != had.get(line)}
    apart = [
        f"{label} at {level:g}"
        for level, label in ((line["level"], line["line"]) for line in kept)
        if (level, family(label)) in tested or (level, control(label)) in changed
    ]
    if apart:
        raise SystemExit(
            f"tested together with what was run, or against a line of SL that came out otherwise: {apart}; run them too"
        )
    known = list(lines(new["set"]))
    found = sorted([*kept, *new["lines"]], key=lambda line: (line["level"], known.index(line["line"])))
    return {**new, "lines": found}


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
