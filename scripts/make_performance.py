"""Write docs/performance.md from the records under docs/performance/, which ``benchmarks --out`` writes.

Usage: python scripts/make_performance.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pages import fill

DOCS = Path(__file__).resolve().parents[1] / "docs"

Line = dict[str, Any]
FACTS = ("cpu", "cores", "python", "torch", "numba", "numpy", "commit")
"""What the header of every record has in common."""
EPOCH = ("forward", "backward", "Adam", "order", "validation", "keeping", "progress")
"""How the parts of an epoch begin, in the record of a whole run."""
TIMED = {
    "step": "One step of matrix factorisation with the softmax loss",
    "catalogue": "The exact softmax over all items",
    "hop": "The graph: one hop, and one step of LightGCN",
    "evaluate": "Ranking all users",
    "start": "From the command to the first step",
}


class Target(NamedTuple):
    """One row of the table of targets; ``better`` says whether more or less is better."""

    what: str
    must: float
    aim: float
    unit: str
    better: Callable[[float, float], bool]
    found: Callable[[], float | None]
    how: str


def more(found: float, wanted: float) -> bool:
    return found >= wanted


def less(found: float, wanted: float) -> bool:
    return found <= wanted


def records(name: str) -> list[Line]:
    """The lines of a record, its header first; none if it was not made."""
    path = DOCS / "performance" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def on_two(case: str, group: str, path: str, key: str = "times") -> float | None:
    """The value of a path on two threads, which is what the targets are for."""
    found = [x[key] for x in records(case) if (x.get("group"), x.get("path"), x.get("threads")) == (group, path, 2)]
    return min(found, default=None)


def reached(case: str, recall: float) -> float | None:
    """Minutes from the first byte of the raw file until Recall@20 was so high, or None."""
    found = [x["since_start_s"] for x in records(case) if x.get("recall@20", 0) >= recall and "epoch" in x]
    return round(found[0] / 60, 1) if found else None


def epoch_seconds() -> float | None:
    """Seconds of an epoch with its validation in the run that was taken apart."""
    lines = records("whole")
    found = [x["seconds"] for x in lines if x.get("part", "").startswith(EPOCH)]
    return round(sum(found) / lines[0]["epochs"], 1) if found else None


def field(case: str, key: str, **where: Any) -> float | None:
    found = [x[key] for x in records(case) if key in x and all(x.get(k) == v for k, v in where.items())]
    return min(found, default=None)


def scaled(value: float | None, by: float) -> float | None:
    return None if value is None else round(value * by, 2)


TARGETS = [
    Target("MF + SL step, 1,024 x 800 fresh negatives, against the stand-in", 50, 120, "x", more,
           lambda: on_two("step", "step", "numba"), "benchmarks step"),
    Target("an epoch of the same on Yelp2018, two cores, with validation", 60, 25, "s", less,
           lambda: epoch_seconds(), "benchmarks whole"),
    Target("Yelp2018 from the raw file: MF to Recall@20 .071", 30, 10, "min", less,
           lambda: reached("mf-fast", 0.071), "benchmarks converge mf-fast"),
    Target("Yelp2018 from the raw file: MF to Recall@20 .0724 (the aim's figure)", 30, 10, "min", less,
           lambda: reached("mf-fast", 0.0724), "benchmarks converge mf-fast"),
    Target("Yelp2018 from the raw file: LightGCN-3 to .0700", 15, 5, "min", less,
           lambda: reached("lightgcn", 0.0700), "benchmarks converge lightgcn"),
    Target("Yelp2018 from the raw file: LightGCN-3 to .0730", 45, 15, "min", less,
           lambda: reached("lightgcn", 0.0730), "benchmarks converge lightgcn"),
    Target("exact full-softmax step against the stand-in's sampled step", 6, 15, "x", more,
           lambda: on_two("catalogue", "step", "numba"), "benchmarks catalogue"),
    Target("LightGCN in-batch step against plain torch (COO), layers in halves", 15, 30, "x", more,
           lambda: on_two("hop", "step", "halves"), "benchmarks hop"),
    Target("the same in float32", 15, 30, "x", more, lambda: on_two("hop", "step", "rows"), "benchmarks hop"),
    Target("LightGCN step against RecBole's", 8, 15, "x", more,
           lambda: field("peers", "times", peer="recbole", what="lightgcn step"), "benchmarks peers"),
    Target("evaluation of all users against torch matmul + topk", 1.5, 3, "x", more,
           lambda: on_two("evaluate", "all users", "ours"), "benchmarks evaluate"),
    Target("evaluation against implicit", 3, 6, "x", more,
           lambda: field("peers", "times", peer="implicit", what="evaluation"), "benchmarks peers"),
    Target("evaluation against RecBole", 10, 25, "x", more,
           lambda: field("peers", "times", peer="recbole", what="evaluation"), "benchmarks peers"),
    Target("peak memory of MF training beyond the imports", 0.4, 0.15, "GB", less,
           lambda: scaled(field("scale", "peak_mb", curve="items", items=38_048), 1 / 1000), "benchmarks scale"),
    Target("the same of the whole run, from the raw file to the saved model", 0.4, 0.15, "GB", less,
           lambda: scaled(field("whole", "peak_mb_beyond_imports"), 1 / 1000), "benchmarks whole"),
    Target("1 M items, B 1,024, N 800: a step", 0.3, 0.12, "s", less,
           lambda: scaled(field("scale", "median_ms", curve="world"), 1 / 1000), "benchmarks scale"),
    Target("BPR epoch against implicit", 1, 1.5, "x", more,
           lambda: field("peers", "times", peer="implicit", what="bpr epoch"), "benchmarks peers"),
    Target("first step of training, from the command, cold cache", 20, 8, "s", less,
           lambda: scaled(field("start", "median_ms", path="cold"), 1 / 1000), "benchmarks start"),
    Target("the same, warm cache", 6, 4, "s", less,
           lambda: scaled(field("start", "median_ms", path="warm"), 1 / 1000), "benchmarks start"),
    Target("validation each epoch, of the training", 8, 8, "%", less,
           lambda: field("whole", "validation_percent_of_training"), "benchmarks whole"),
    Target("100 M events, 1 M items: an epoch on 16 cores, reckoned", 60, 20, "min", less,
           lambda: field("scale", "epoch_min"), "benchmarks scale"),
    Target("GPU (H200): an epoch of MF on Yelp2018, sampled", 2, 0.5, "s", less,
           lambda: field("gpu", "epoch_s", run="mf sampled"), "benchmarks gpu"),
    Target("GPU (H200): the same with the full softmax", 2, 0.5, "s", less,
           lambda: field("gpu", "epoch_s", run="mf full"), "benchmarks gpu"),
    Target("GPU (H200): LightGCN-3", 4, 1.5, "s", less,
           lambda: field("gpu", "epoch_s", run="lightgcn"), "benchmarks gpu"),
]  # fmt: skip


def main() -> None:
    """Rewrite the page between its marks; the text around them is kept."""
    fill(DOCS / "performance.md", targets=targets(), tables=tables())


def targets() -> str:
    rows = ["| what | must | aim | measured | | command |", "|---|---:|---:|---:|---|---|"]
    for t in TARGETS:
        found = t.found()
        missing = "not reached" if records(t.how.split()[-1]) else "not measured"
        verdict = missing if found is None else "short"
        if found is not None and t.better(found, t.aim):
            verdict = "aim reached"
        elif found is not None and t.better(found, t.must):
            verdict = "must reached"
        shown = "-" if found is None else f"{found:g} {t.unit}"
        rows.append(f"| {t.what} | {t.must:g} {t.unit} | {t.aim:g} {t.unit} | {shown} | {verdict} | `{t.how}` |")
    return "\n".join([*rows, ""])


def tables() -> str:
    parts = [timed(case, title) for case, title in TIMED.items() if records(case)]
    parts += [part() for part in (whole, scale, converge, peers)]
    return "\n".join(part for part in parts if part)


def header(title: str, lines: list[Line]) -> list[str]:
    first = lines[0]
    machine = ", ".join(f"{key} {first[key]}" for key in FACTS if key in first)
    shape = {k: v for k, v in first.items() if k not in (*FACTS, "case", "load", "omp_wait_policy", "taurec", "run")}
    named = ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in shape.items())
    return [f"### {title}", "", f"{named}. {machine}.".lstrip(". "), ""]


def table(keys: dict[str, str], lines: list[Line]) -> list[str]:
    """A Markdown table; ``keys`` gives the key of each column by its title."""
    rows = [f"| {' | '.join(keys)} |", "|---|" + "---:|" * (len(keys) - 1)]
    for line in lines:
        rows.append("| " + " | ".join(str(line.get(key, "")) for key in keys.values()) + " |")
    return [*rows, ""]


def timed(case: str, title: str) -> str:
    """A case of the shared runner: a row a path and number of threads."""
    lines = records(case)
    rows = [x for x in lines if "median_ms" in x]
    for x in rows:
        x["between"] = f"{x['q1_ms']:g} to {x['q3_ms']:g}"
        x["path"] = f"{x['group']}: {x['path']}" if "group" in x else x["path"]
    keys = {"path": "path", "threads": "threads", "median, ms": "median_ms", "quartiles": "between"}
    keys |= {"times": "times", "peak, MB": "peak_mb"} if "group" in rows[0] else {}
    return "\n".join(header(f"{title} (`benchmarks {case}`)", lines) + table(keys, rows))


def whole() -> str:
    lines = records("whole")
    if not lines:
        return ""
    keys = {"part": "part", "seconds": "seconds", "% of all": "percent"}
    return "\n".join(header("Where the time of one run goes (`benchmarks whole`)", lines) + table(keys, lines[1:]))


def scale() -> str:
    return "\n".join(sizes(name) for name in ("scale", "scale-curves") if records(name))


def sizes(name: str) -> str:
    lines = records(name)
    rows = [x for x in lines if "curve" in x]
    for x in rows:
        changed = [x[key] for key in ("backbone", "negatives") if key in x]
        x["of"] = ", ".join([f"{x['users']:,} users, {x['items']:,} items", *changed])
    keys = {"of": "of", "threads": "threads", "a step, ms": "median_ms", "told, ms": "told_ms", "ratio": "time_ratio"}
    keys |= {"peak, MB": "peak_mb", "told, MB": "told_mb"}
    text = header("Size: items, negatives, width, and what was told before (`benchmarks scale`)", lines)
    text += table(keys, rows)
    for x in (x for x in lines if "reckoned" in x):
        text += [
            f"Reckoned, not measured, for {x['reckoned']} on {x['cores']} cores: {x['step_ms']} ms a step, "
            f"{x['epoch_min']} minutes an epoch, if memory gives {x['supposes_gb_a_second']} GB a second.",
            "",
        ]
    return "\n".join(text)


def converge() -> str:
    text: list[str] = []
    for name in ("mf-authors", "mf-fast", "lightgcn"):
        lines = records(name)
        rows = [x for x in lines if "epoch" in x and "recall@20" in x]
        if rows:
            keys = {"epoch": "epoch", "Recall@20": "recall@20", "published": "published"}
            keys |= {"difference, %": "difference_percent", "since the raw file, s": "since_start_s"}
            text += header(f"Recall@20 on Yelp2018 by epoch (`benchmarks converge {name}`)", lines) + table(keys, rows)
    return "\n".join(text)


def peers() -> str:
    lines = records("peers")
    if not lines:
        return ""
    rows = [x for x in lines if "peer" in x]
    keys = {"peer": "peer", "what": "what", "threads": "threads", "peer, ms": "peer_ms", "TauRec, ms": "ours_ms"}
    keys |= {"times": "times", "Recall@20, peer": "recall@20 of the peer", "TauRec": "recall@20 of TauRec"}
    return "\n".join(header("Beside other libraries (`benchmarks peers`)", lines) + table(keys, rows))


if __name__ == "__main__":
    main()
