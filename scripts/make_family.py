"""Write the tables of docs/family.md from the records under docs/results/family/.

Usage: python scripts/make_family.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
SETS = {"ml-100k": "MovieLens-100K", "debian": "debian", "gowalla": "Gowalla, first epochs"}
PARTS = {
    "losses": "Every loss with MF",
    "lightgcn": "A choice of losses with LightGCN",
    "samplers": "Every sampler with SL and MML",
    "layers": "LightGCN with SL, by combination of layers",
}
HEAD = ["model", "NDCG@20", "95 % of users", "Recall@20", "spread of seeds", "against the reference", "p", "epochs"]
HEAD += ["CPU s an epoch", "settings"]

Line = dict[str, Any]


def main() -> None:
    """Rewrite the page between its marks; the text around is kept."""
    folder = DOCS / "results/family"
    made = list[str]()
    for part, title in PARTS.items():
        for name, log in SETS.items():
            path = folder / f"{name}-{part}.json"
            if path.is_file():
                made.append(section(json.loads(path.read_text(encoding="utf-8")), f"{title}: {log}"))
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    fill(DOCS / "family.md", steps=of_steps(steps), tables="\n".join(made))


def section(record: dict[str, Any], title: str) -> str:
    """The lines of one part on one log, best first, the refused ones below."""
    lines: list[Line] = record["lines"]
    fitted = sorted((line for line in lines if "ndcg@20" in line), key=lambda line: -line["ndcg@20"])
    refused = [f"- `{line['line']}`: {line['refused']}" for line in lines if "refused" in line]
    head = f"### {title}\n\nThe reference is `{record['reference']}`. Commit {record['machine']['commit']}.\n\n"
    text = head + table(HEAD, [row(line, record["reference"]) for line in fitted])
    return text + ("\nNot run:\n\n" + "\n".join(refused) + "\n" if refused else "")


def row(line: Line, reference: str) -> list[object]:
    low, high = line["interval"]
    cells: list[object] = [f"`{line['line']}`", f"{line['ndcg@20']:.4f}", f"{low:.4f} to {high:.4f}"]
    cells += [f"{line['recall@20']:.4f}", f"{line['spread']:.4f}" if "spread" in line else ""]
    if line["line"] == reference or "difference" not in line:
        cells += ["", ""]
    else:
        low, high = line["difference_interval"]
        p = "< .001" if line["p"] < 0.001 else f"{line['p']:.3f}"
        cells += [f"{line['difference']:+.4f} ({low:+.4f} to {high:+.4f})", p]
    if "epochs" not in line:
        return [*cells, "", "", ""]
    epochs = "/".join(map(str, line["epochs"])) + ("" if line["finished"] else " (out of time)")
    return [*cells, epochs, line["cpu_an_epoch"], setting(line["chosen"])]


def setting(point: Line) -> str:
    """The values that were varied, as ``tau=0.1, n=64``."""
    plain = {k: v for k, v in point.items() if k not in ("loss", "backbone", "negatives", "settings")}
    nested = {k: v for part, own in point.get("settings", {}).items() for k, v in own.items() if part != "backbone"}
    return ", ".join(f"{k}={v}" for k, v in (plain | nested).items())


def of_steps(lines: list[Line]) -> str:
    """The time of a step of each loss, in units of SL's."""
    about, *rest = lines
    timed = sorted((line for line in rest if "to_sl" in line), key=lambda line: line["to_sl"])
    rows: list[list[object]] = [[f"`{line['loss']}`", line["to_sl"], line["cpu_ms"], line["kernel"]] for line in timed]
    what = f"Batches of {about['batch_size']:,}, `{about['negatives']}`, {about['threads']} thread, {about['cpu']}, "
    what += f"commit {about['commit']}.\n\n"
    return what + table(["loss", "times SL's step", "CPU ms", "scores by"], rows)


if __name__ == "__main__":
    main()
