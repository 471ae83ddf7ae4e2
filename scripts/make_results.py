"""Write docs/results.md from the records under docs/results/compare/, which ``taurec compare --out`` writes.

Usage: python scripts/make_results.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill

DOCS = Path(__file__).resolve().parents[1] / "docs"

ORDER = ["debian", "ml-100k", "amazon-electronics", "movielens-1m"]


def main() -> None:
    """Rewrite the page between its two marks; the text around them is kept."""
    records = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (DOCS / "results" / "compare").glob("*.json")
    }
    known = [name for name in ORDER if name in records]
    made = "\n".join(section(records[name]) for name in known + sorted(set(records) - set(ORDER)))
    fill(DOCS / "results.md", tables=made)


def section(record: dict[str, Any]) -> str:
    """One comparison: its protocol in a sentence, a row a model, the chosen settings."""
    metrics = list(record["rows"][0]["metrics"])
    first = record["rows"][0]["run"]
    lines = [
        f"## {record['source']}",
        "",
        f"Split `{record['split']}` with seed {first['seed']}, {record['users']:,} users in the test part, "
        f"{record['seeds']} seed. Settings and epochs chosen by {record['chosen_by']} on validation.",
        "",
        f"| model | {' | '.join(metrics)} | settings tried | epochs | fit, s | memory, MB | chosen |",
        f"|---|{'---:|' * (len(metrics) + 4)}---|",
    ]
    for row in record["rows"]:
        cells = [
            mean(row["metrics"][m], best=m == record["chosen_by"] and row["label"] == record["best"]) for m in metrics
        ]
        memory = "-" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}"
        chosen = settings(row["run"])
        lines.append(
            f"| {row['label']}{mark(row, record)} | {' | '.join(cells)} | {row['tried']} | {row['epochs'] or '-'} "
            f"| {row['seconds']:.1f} | {memory} | {chosen} |"
        )
    return "\n".join([*lines, "", ""])


def mean(value: dict[str, Any], best: bool) -> str:
    text = f"{value['mean']:.4f}"
    half = "" if value["low"] is None else f" ±{(value['high'] - value['low']) / 2:.4f}".replace("±0.", "±.")
    return f"**{text}**{half}" if best else text + half


def mark(row: dict[str, Any], record: dict[str, Any]) -> str:
    """``=`` where the paired test does not tell the row from the best."""
    return " =" if row["label"] != record["best"] and row["p_value"] is not None and row["p_value"] >= 0.05 else ""


def settings(run: dict[str, Any]) -> str:
    """What validation chose, in short."""
    if run["model"]:
        return ", ".join(
            f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in run["model"]["settings"].items()
        )
    chosen = ", ".join(f"{k} {v}" for k, v in run["loss"]["settings"].items() if k not in ("scale_by_tau",))
    return f"{chosen or 'no setting'}; l2 {run['l2']:g}"


if __name__ == "__main__":
    main()
