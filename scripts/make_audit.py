"""Write the tables of docs/audit.md from the records under docs/audit/.

``planted.jsonl`` and ``SET.jsonl`` are made by ``python -m benchmarks --out docs/audit/SET.jsonl audit SET``,
``log-SET.json`` by ``taurec audit log SET --private --out docs/audit/log-SET.json``, ``fix-SET.json`` by
``taurec audit fix SET --report docs/audit/fix-SET.json``.
Usage: python scripts/make_audit.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import fill, table

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Rewrite the page between its marks; the text around them is kept."""
    fill(DOCS / "audit.md", planted=planted(), logs=audited(), recovery=recovered(), fix=fixed())


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DOCS / "audit" / name).read_text(encoding="utf-8").splitlines()][1:]


def planted() -> str:
    """One row a kind of world, one column a share of false positives: the mean error of the estimate."""
    found = lines("planted.jsonl")
    noises = sorted({r["noise"] for r in found})
    kinds = list(dict.fromkeys((r["judge"], r["per_user"], r["skew"]) for r in found))
    rows: list[list[object]] = []
    for kind in kinds:
        of = {r["noise"]: r for r in found if (r["judge"], r["per_user"], r["skew"]) == kind}
        cells = [_error(of[noise]) for noise in noises]
        hidden = [100 * r["hidden_relative_error"] for r in of.values()]
        rows.append([*kind, *cells, f"{min(hidden):+.0f} to {max(hidden):+.0f} %"])
    head = ["judge", "liked rows a user", "skew", *(f"{noise:.0%} false" for noise in noises), "hidden positives"]
    there = [r for r in found if r["truth"]]
    covered = sum(r["covered"] * r["estimated"] for r in there) / sum(r["estimated"] for r in there)
    told = f"Where there were false positives, the 95 % interval held the truth in {covered:.0%} of the worlds."
    return f"{table(head, rows)}\n{told}\n"


def _error(record: dict[str, Any]) -> str:
    if record["noise"] and not record["truth"]:
        return "-"  # so few rows that the share rounds to none
    return f"{100 * record['error']:+.1f}"


def audited() -> str:
    """One row a log."""
    rows: list[list[object]] = []
    for path in sorted((DOCS / "audit").glob("log-*.json")):
        r = json.loads(path.read_text(encoding="utf-8"))
        s = r["shares"]
        repeated = r["duplicates"]["repeated"] / r["duplicates"]["rows"]
        rows.append(
            [
                f"`{r['source']}`", s["judge"], f"{r['pairs']:,}", _share(s["false_positives"]),
                _share(s["hidden_positives"]), f"{s['known_positives']:.1%}", f"{repeated:.1%}",
                f"{r['bots']['users']:,}", f"{r['bursts']['rows']:,}" if not r["bursts"]["skipped"] else "no times",
            ]
        )  # fmt: skip
    head = ["log", "judge", "pairs", "false positives, at most", "hidden positives", "known positives", "repeats"]
    return table([*head, "bot-like users", "rows in bursts"], rows, words=2)


def _share(d: dict[str, Any]) -> str:
    return f"{d['mean']:.1%} ({d['low']:.1%} to {d['high']:.1%})"


def recovered() -> str:
    """One row a log, amount and score; records before 0.2.0 call percentiles places."""
    rows: list[list[object]] = []
    for path in sorted((DOCS / "audit").glob("*.jsonl")):
        for r in lines(path.name) if path.stem != "planted" else []:
            for m in r["methods"]:
                auc, method = m["auc"], m["method"].replace("places (", "percentiles (")
                rows.append(
                    [
                        f"`{r['source']}`", method, f"{r['injected_share']:.1%}",
                        f"{auc['mean']:.3f} ({auc['low']:.3f} to {min(auc['high'], 1):.3f})",
                        f"{m['precision']['mean']:.3f}",
                    ]
                )  # fmt: skip
            expected = r["estimated_before"] * (1 - r["injected_share"]) + r["injected_share"]
            rows[-len(r["methods"])] += [
                f"{r['estimated_before']:.3f}", f"{r['estimated']['mean']:.3f}", f"{expected:.3f}",
            ]  # fmt: skip
    head = ["log", "what ranks the rows", "injected", "AUC", "precision", "estimate before", "after", "both together"]
    return table(head, [row + [""] * (len(head) - len(row)) for row in rows], words=2)


def fixed() -> str:
    """One row a log and model."""
    rows: list[list[object]] = []
    for path in sorted((DOCS / "audit").glob("fix-*.json")):
        r = json.loads(path.read_text(encoding="utf-8"))
        name, estimate = path.stem.removeprefix("fix-"), r["shares"]["false_positives"]["mean"]
        tried = "; ".join(f"{t['rows'] / r['rows']:.1%}: {_signed(t['valid'])}" for t in r["tried"])
        for model in r["models"]:
            metric = r["chosen_by"]
            gain = _signed(model["gain"][metric]) if model["gain"] else "not looked at"
            control = _signed(model["control"][metric]) if model["control"] else ""
            kept = "nothing" if r["clean"] else f"{r['removed'] / r['rows']:.1%}"
            rows.append([f"`{name}`", model["model"], f"{estimate:.1%}", tried, kept, gain, control])
            tried = ""
    head = ["log", "model", "estimate", "left out, and gain on validation", "chosen", "gain on test", "at random"]
    return table(head, rows, words=2)


def _signed(d: dict[str, Any]) -> str:
    return f"{d['mean']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f})"


if __name__ == "__main__":
    main()
