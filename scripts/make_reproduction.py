"""Write the tables of docs/reproduction.md from the records under docs/results/, which ``taurec reproduce`` writes.

Usage: python scripts/make_reproduction.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

from taurec.studies.protocols import PROTOCOLS
from taurec.studies.recipes import RECIPES

DOCS = Path(__file__).resolve().parents[1] / "docs"
SETS = {"yelp2018": "Yelp2018", "gowalla": "Gowalla", "movielens-1m": "MovieLens-1M"}
SETS |= {"amazon-electronics": "Amazon-Electronics", "amazon-beauty": "Amazon-Beauty"}
HEAD = ["row", "protocol", "published R@20", "ours", "", "published N@20", "ours", "", "seeds", "epochs", "minutes"]
WITHIN = -2.0
"""A published figure counts as reached within so many percent, or above."""


def main() -> None:
    """Rewrite the page between its two marks; the text around them is kept."""
    made = "\n".join([summary(), sooner(), *(section(name, title) for name, title in SETS.items())])
    fill(DOCS / "reproduction.md", tables=made)


def records() -> dict[tuple[str, str], dict[str, Any]]:
    """(row, protocol) -> record."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "results").glob("*.json")]
    return {(r["row"], r["protocol"]): r for r in found}


def source(row: str) -> str:
    """The protocol of a row's source."""
    return RECIPES[row]().protocols[0]


def summary() -> str:
    """How many published rows were reached, and which were not."""
    on_record = [records().get((name, source(name))) for name in RECIPES]
    trained = [r for r in on_record if r and r["difference_percent"] and r["run"]["model"] is None]
    reached = [r for r in trained if min(r["difference_percent"].values()) >= WITHIN]
    published = [n for n, f in RECIPES.items() if f().published and "model" not in f().fields]
    short = sorted(f"`{r['row']}`" + ("" if r["finished"] else " …") for r in trained if r not in reached)
    lines = [
        f"Of {len(published)} published rows of trained models {len(trained)} were run under the protocol of their "
        f"source; {len(reached)} of these are within 2 % of both figures or above.",
    ]
    if short:
        lines.append(f"Short of it: {', '.join(short)}.")
    open_rows = [name for name in RECIPES if (name, source(name)) not in records()]
    return "\n".join([*lines, "", *waiting(open_rows)])


def sooner() -> str:
    """Our rows and the published rows that they are compared with."""
    found, rows = records(), list[list[object]]()
    for row, make in RECIPES.items():
        beside = make().beside
        record = found.get((row, source(row)))
        if not beside or record is None:
            continue
        theirs = RECIPES[beside]().published
        assert theirs is not None
        cells: list[object] = [f"`{row}`" + ("" if record["finished"] else " …"), f"`{beside}`"]
        for metric, value in theirs.values().items():
            ours = record["measured"][metric]
            cells += [f"{value:.4f}", f"{ours:.4f}", f"{100 * (ours / value - 1):+.1f} %"]
        best = record["seeds"][0]["best_epoch"]
        rows.append([*cells, theirs.best_epoch or "", best, f"{record['time_seconds'] / 60:.1f}"])
    head = ["our row", "compared with", "its R@20", "ours", "", "its N@20", "ours", "", "its epoch", "ours"]
    told = (
        "Our settings, under the protocol `paper` like the rows they are compared with: "
        "fewer epochs, about the same result."
    )
    return f"## Sooner\n\n{told}\n\n{table([*head, 'minutes'], rows, words=2)}"


def waiting(names: list[str]) -> list[str]:
    """Rows that wait for time on a machine, with what they would take on the one of the forecast."""
    if not names:
        return []
    told = json.loads((DOCS / "results" / "forecast" / "paper.json").read_text(encoding="utf-8"))
    of = {r["row"]: r for r in told["rows"]}
    rows: list[list[object]] = []
    for name in names:
        cells = ["-"] * 4  # a row newer than the forecast
        if name in of:
            f = of[name]
            cells = [f"{f['epoch_seconds']:.0f}", f["epochs"], f"{f['seconds'] / 3600:.1f}", f["tier"]]
        rows.append([f"`{name}`", *cells])
    head = ["not run yet", "s an epoch or fit", "of them as a rule", "hours a run", "tier"]
    machine = f"{told['threads']} thread of {told['machine']['cpu']}"
    return [table(head, rows).rstrip("\n"), "", f"Forecast by `taurec reproduce --forecast` on {machine}.", ""]


def section(name: str, title: str) -> str:
    """The rows of one set that are on record, in the order of the list."""
    found, lines = records(), [f"## {title}", "", f"| {' | '.join(HEAD)} |", f"|---|---|{'---:|' * (len(HEAD) - 2)}"]
    for row, make in RECIPES.items():
        if make().data != name:
            continue
        for protocol in PROTOCOLS:
            if (row, protocol) in found:
                lines.append(f"| {' | '.join(cells(found[row, protocol]))} |")
    return "\n".join([*lines, ""])


def cells(record: dict[str, Any]) -> list[str]:
    """One line of a table."""
    published, off, runs = record["published"], record["difference_percent"], record["seeds"]
    name = f"`{record['row']}`" + ("" if record["finished"] else " …")
    told = [name, record["protocol"]]
    for metric in ("recall@20", "ndcg@20"):
        spread = record["spread"]
        ours = f"{record['measured'][metric]:.4f}" + (f" ±{spread[metric]:.4f}".replace("±0.", "±.") if spread else "")
        told += [f"{published[metric]:.4f}" if published else "", ours, f"{off[metric]:+.1f} %" if off else ""]
    best = ", ".join(f"{r['best_epoch']} of {r['epochs']}" for r in runs) if runs[0]["epochs"] else "-"
    return [*told, str(len(runs)), best, f"{record['time_seconds'] / 60:.1f}"]


if __name__ == "__main__":
    main()
