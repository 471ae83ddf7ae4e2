"""Write the table of docs/temperature.md from the records under docs/temperature/.

Each record is made by ``python -m benchmarks --out docs/temperature/SET.jsonl temperature SET``.
Usage: python scripts/make_temperature.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = ["log", "loss", "seeds", "grid's tau", "NDCG@20", "auto's tau", "NDCG@20", "difference", "p", "cost", "one fit"]


def main() -> None:
    """Rewrite the page between its two marks; the text around them is kept."""
    fill(DOCS / "temperature.md", table=table(HEAD, list(map(row, records())), words=2))


def records() -> list[dict[str, Any]]:
    """The summaries on record, by file name; a record that was not finished has none."""
    found = []
    for path in sorted((DOCS / "temperature").glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found += [line for line in lines if "summary" in line]
    return found


def row(r: dict[str, Any]) -> list[object]:
    d = r["difference"]
    interval = "" if d["low"] is None else f" ({d['low']:+.4f} to {d['high']:+.4f})"
    return [
        f"`{r['summary']}`", f"`{r['loss']}`", r["seeds"], f"{r['grid_tau']:g}", f"{r['grid']['mean']:.4f}",
        ", ".join(f"{tau:g}" for tau in r["auto_tau"]), f"{r['auto']['mean']:.4f}", f"{d['mean']:+.4f}{interval}",
        f"{r['p_value']:.3f}", f"{100 * r['auto_share_of_grid_rows']:.0f} %",
        f"{100 * r['fit_rows'] / r['grid_rows']:.0f} %",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
