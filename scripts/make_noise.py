"""Write the tables and plots of docs/noise.md from the records under docs/noise/, which ``taurec audit noise`` writes.

Usage: python scripts/make_noise.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

from taurec.report.plots import draw
from taurec.studies.result import Figure, Series

DOCS = Path(__file__).resolve().parents[1] / "docs"
ORDER = ["ml-100k", "debian", "yelp2018"]


def main() -> None:
    """Rewrite the page between its marks, and the plots beside it; the text around is kept."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "noise").glob("*.json")}
    known = [name for name in ORDER if name in found]
    for name in known:
        (DOCS / "noise" / f"{name}.svg").write_text(plot(found[name]), encoding="utf-8")
    fill(DOCS / "noise.md", tables="\n".join(section(name, found[name]) for name in known))


def section(name: str, record: dict[str, Any]) -> str:
    """One log: how it was run, the plot, one row a model."""
    curves = [c for c in record["curves"] if c["metric"] == record["metric"]]
    levels = [f"{level:.0%}" for level in record["levels"]]
    rows: list[list[object]] = []
    for c in curves:
        values = [f"{p['estimate']['mean']:.4f}" for p in c["points"]]
        rows.append([c["label"], *values, _share(c["relative"])])
    epochs = max((c["run"].get("epochs") or 0 for c in curves if not c["baseline"]), default=0)
    told = (
        f"{record['n_users']:,} users, {record['seeds']} seed{'s' * (record['seeds'] > 1)}, at most {epochs} epochs, "
    )
    told += f"settings tuned for {record['tune']}."
    picture = f"![NDCG@20 of each model as a share of its value without noise](noise/{name}.svg)"
    return f"### {name}\n\n{told}\n\n{picture}\n\n{table(['model', *levels, 'per point'], rows)}"


def _share(estimate: dict[str, Any] | None) -> str:
    if estimate is None:
        return ""
    mean, low, high = (None if v is None else f"{100 * v:+.2f}" for v in (estimate[k] for k in ("mean", "low", "high")))
    return f"{mean} %" + ("" if low is None else f" ({low} to {high})")


def plot(record: dict[str, Any]) -> str:
    """What is left of each model's own accuracy."""
    series = []
    for c in record["curves"]:
        if c["metric"] == record["metric"]:
            y = [p["estimate"]["mean"] for p in c["points"]]
            series.append(Series(c["label"], [100 * p["level"] for p in c["points"]], [100 * v / y[0] for v in y]))
    svg = draw(Figure("line", series, "false positives put in, %", "% of NDCG@20 without noise"))
    # As a file of its own it has no page around it whose ink and paper it could take.
    return svg.replace("<svg ", '<svg style="background: #fff; color: #111" ', 1)


if __name__ == "__main__":
    main()
