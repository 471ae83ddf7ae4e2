"""Write the tables of docs/choosing.md from the records under docs/results/pick/.

Usage: python scripts/make_pick.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
SETS = ("debian", "ml-100k", "movielens-1m", "amazon-electronics", "yelp2018", "gowalla")


def main() -> None:
    """Rewrite the page between its marks; the text around is kept."""
    paths = [DOCS / f"results/pick/{name}.json" for name in SETS]
    made = [section(json.loads(path.read_text(encoding="utf-8"))) for path in paths if path.is_file()]
    fill(DOCS / "choosing.md", tables="\n".join(made))


def section(record: dict[str, Any]) -> str:
    """The lines of one log, best first."""
    lines = sorted(record["lines"], key=lambda line: -line["ndcg@20"])
    best, against = record["best_closed_form"], record["against"]
    head = ["model", "NDCG@20", "95 % of users", "Recall@20", "validation", "seeds", f"against {best}", "p"]
    head += ["p against ease", "weight"]
    rows = [row(line, against[best].get(line["line"]), against["ease"].get(line["line"])) for line in lines]
    made = record["machine"]
    return f"### {record['set']}\n\nOne thread, {made['cpu']}, commit {made['commit']}.\n\n{table(head, rows)}"


def row(line: dict[str, Any], best: dict[str, Any] | None, ease: dict[str, Any] | None) -> list[object]:
    low, high = line["interval"]
    cells: list[object] = [f"`{line['line']}`", f"{line['ndcg@20']:.4f}", f"{low:.4f} to {high:.4f}"]
    cells += [f"{line['recall@20']:.4f}", f"{line['valid']:.4f}", line["seeds"]]
    cells += ["", ""] if best is None else [f"{best['difference']:+.4f}", p(best["p"])]
    weights = ", ".join(f"{weight:.2g}" for weight in line.get("weight", ()))
    return [*cells, "" if ease is None else p(ease["p"]), weights]


def p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}"


if __name__ == "__main__":
    main()
