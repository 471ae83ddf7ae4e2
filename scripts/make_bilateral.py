"""Write the tables and plots of docs/bilateral.md from the records under docs/results/bilateral/ and margins/.

Usage: python scripts/make_bilateral.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pages import fill, table

from taurec.report.plots import draw
from taurec.studies.result import Figure, Series

DOCS = Path(__file__).resolve().parents[1] / "docs"
METRICS = ("recall@20", "ndcg@20")
SETS = {"ml-100k": "MovieLens-100K", "debian": "debian", "amazon-electronics": "Amazon-Electronics"}
SETS |= {"movielens-1m": "MovieLens-1M"}
CURVES = ["sl, blocks of 1", "bsl, tau_pos 1, blocks of 4", "bsl, tau_pos 0.2, blocks of 4", "bpr", "t-ce", "r-ce"]
CURVES += ["ease", "ials"]
CHOOSING = ("sl,", "bsl, tau_pos", "bsl-authors-reweight")


def main() -> None:
    """Rewrite the page between its marks, and the plots beside it; the text around is kept."""
    plots = DOCS / "bilateral"
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "results/bilateral").glob("*")}
    known = [name for name in SETS if name in found]
    plots.mkdir(exist_ok=True)
    for name in known:
        (plots / f"{name}.svg").write_text(plot(found[name]), encoding="utf-8")
    made = "\n".join(section(found[name], SETS[name]) for name in known)
    fill(DOCS / "bilateral.md", choice=choices([found[name] for name in known]), tables=made, margins=margins())


def choices(records: list[dict[str, Any]]) -> str:
    """For each set and level the line that is best on validation, of SL, of BSL and of the exponent alone."""
    rows = list[list[object]]()
    for record in records:
        for level in sorted({line["level"] for line in record["lines"]}):
            at = [line for line in record["lines"] if line["level"] == level]
            sl, bsl, exponent = (
                max((r for r in at if r["line"].startswith(start)), key=lambda r: r["valid"], default=None)
                for start in CHOOSING
            )
            ease, ials = (next((r for r in at if r["line"] == name), None) for name in ("ease", "ials"))
            row = [SETS[record["set"]], f"{level:.0%}", value(sl), setting(sl), value(bsl), gain(bsl, sl), setting(bsl)]
            rows.append([*row, value(exponent), gain(exponent, sl), value(ease), value(ials)])
    head = ["log", "false positives", "SL", "its setting", "BSL", "", "its setting", "exponent", "", "EASE", "iALS"]
    return table(head, rows)


def value(line: dict[str, Any] | None) -> str:
    return f"{line['ndcg@20']:.4f}" if line else ""


def gain(line: dict[str, Any] | None, over: dict[str, Any] | None, metric: str = "ndcg@20") -> str:
    return f"{100 * (line[metric] / over[metric] - 1):+.1f} %" if line and over else ""


def setting(line: dict[str, Any] | None) -> str:
    """What a line's name says after its loss."""
    return line["line"].partition(", ")[2].replace("blocks of 1", "shuffled") if line else ""


def margins() -> str:
    """The losses with margins, by number of negatives."""
    told = []
    for path in sorted((DOCS / "results/margins").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        numbers = sorted({line["negatives"] for line in record["lines"]})
        at = {(line["negatives"], line["line"]): line for line in record["lines"]}
        labels = list(dict.fromkeys(line["line"] for line in record["lines"]))
        told += [f"{SETS[record['set']]}, NDCG@20 on test, commit {record['machine']['commit']}:", ""]
        told += [
            f"| | {' | '.join(f'{n} negatives | chosen' for n in numbers)} |",
            f"|---|{'---:|---|' * len(numbers)}",
        ]
        for label in labels:
            cells = [(entry(at[n, label]), chosen(at[n, label])) for n in numbers]
            told.append(f"| {label} | {' | '.join(f'{value} | {setting}' for value, setting in cells)} |")
        told.append("")
    told += few()
    return "\n".join(told)


def few() -> list[str]:
    """MML and CCL by number of negatives."""
    lines = [
        f"| {title} | {n} | {pair}"
        for name, title in (("yelp2018", "Yelp2018"), ("gowalla", "Gowalla"))
        for n in (10, 100, 800)
        if (pair := beside(name, n))
    ]
    head = "| set | negatives | CCL, Recall@20 | MML | | CCL, NDCG@20 | MML | | epochs | seeds |"
    said = (
        "Published settings, the epoch chosen on the test part (`paper`); epochs of seed 0, and seeds, of CCL, of MML:"
    )
    return [said, "", head, f"|---|---:|{'---:|' * 8}", *lines, ""] if lines else []


def beside(name: str, n: int) -> str:
    """CCL and MML with n negatives as cells; empty where one was not run. At 800 CCL is its authors' own row."""
    rows = (f"{name}-mf-ccl" if n == 800 else f"{name}-ccl-{n}", f"{name}-mml-{n}")
    paths = [DOCS / "results" / f"{row}.paper.json" for row in rows]
    if not all(path.exists() for path in paths):
        return ""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    ccl, mml = (record["measured"] for record in records)
    cells = [f"{ccl[m]:.4f} | {mml[m]:.4f} | {gain(mml, ccl, m)}" for m in METRICS]
    epochs = ", ".join(str(record["seeds"][0]["epochs"]) + ("" if record["finished"] else " …") for record in records)
    seeds = ", ".join(str(len(record["seeds"])) for record in records)
    return f"{' | '.join(cells)} | {epochs} | {seeds} |"


def chosen(line: dict[str, Any]) -> str:
    """What validation chose, without what the line's name says."""
    settings, names = line["chosen"], {"tau": "tau", "margin": "margin", "neg_weight": "weight"}
    told = [f"{word} {settings[name]:g}" for name, word in names.items() if name in settings]
    if "margins" in settings and "margins" not in line["line"]:
        told.insert(0, f"margins {settings['margins'][0]:g} to {settings['margins'][-1]:g}")
    return ", ".join(told)


def section(record: dict[str, Any], title: str) -> str:
    """One set: its size, the plot, a table a level."""
    fixed, lines = record["setting"], record["lines"]
    name = record["set"]
    made = [line.get("commit", record["machine"]["commit"]) for line in lines]
    commits = dict.fromkeys(commit for of in made for commit in of.split(", "))
    told = [
        f"### {title}",
        "",
        f"{fixed['train']:,} training pairs before noise, {fixed['users']:,} users judged, tau {fixed['tau']:g}. "
        f"Commit {', '.join(commits)}.",
        "",
        f"![NDCG@20 of each line by the share of false positives put into {title}](bilateral/{name}.svg)",
        "",
    ]
    levels = sorted({line["level"] for line in lines})
    told += [grid(lines, level) for level in levels if blocks(lines, level)]
    rest = [line["line"] for line in lines if line["level"] == levels[0]]
    rest += [line["line"] for line in lines if line["line"] not in rest]
    others = [label for label in dict.fromkeys(rest) if not re.match(r"(sl, blocks|bsl, tau_pos)", label)]
    shown = [label for label in CURVES if label in rest] + [label for label in others if label not in CURVES]
    told += [
        f"| NDCG@20 | {' | '.join(f'{level:.0%}' for level in levels)} |",
        f"|---|{'---:|' * len(levels)}",
        *(f"| {label} | {' | '.join(cell(lines, label, level) for level in levels)} |" for label in shown),
        "",
    ]
    return "\n".join(told)


def grid(lines: list[dict[str, Any]], level: float) -> str:
    """Block sizes by temperatures of the positives, each against SL in the same blocks."""
    sizes = blocks(lines, level)
    at = {line["line"]: line for line in lines if line["level"] == level}
    taus = sorted({float(m.group(1)) for label in at if (m := re.match(r"bsl, tau_pos ([\d.]+)", label))})
    told = [
        f"**NDCG@20 with {level:.0%} false positives put in**",
        "",
        f"| positives of a user in a block | SL | {' | '.join(f'BSL, tau_pos {t:g}' for t in taus)} |",
        f"|---|---:|{'---:|' * len(taus)}",
    ]
    for p in sizes:
        cells = [entry(at.get(f"bsl, tau_pos {t:g}, blocks of {p}")) for t in taus]
        told.append(f"| {p} | {entry(at.get(f'sl, blocks of {p}'))} | {' | '.join(cells)} |")
    weights = [at.get(f"bsl, tau_pos {t:g}, blocks of {p}") for p in sizes for t in taus]
    if any(w and "auc" in w for w in weights):
        told += [
            "",
            "Mean weight of an injected and of a genuine positive; the chance that the injected one weighs less:",
            "",
        ]
        told += [f"| block | {' | '.join(f'tau_pos {t:g}' for t in taus)} |", f"|---|{'---:|' * len(taus)}"]
        for p in sizes:
            of = [at.get(f"bsl, tau_pos {t:g}, blocks of {p}") for t in taus]
            if any(of):
                told.append(f"| {p} | {' | '.join(weight(w) for w in of)} |")
    return "\n".join([*told, ""])


def blocks(lines: list[dict[str, Any]], level: float) -> list[int]:
    labels = [line["line"] for line in lines if line["level"] == level]
    return sorted(
        {int(m.group(1)) for label in labels if (m := re.match(r"(?:sl|bsl, tau_pos.*), blocks of (\d)", label))}
    )


def cell(lines: list[dict[str, Any]], label: str, level: float) -> str:
    return entry(next((line for line in lines if (line["line"], line["level"]) == (label, level)), None))


def entry(line: dict[str, Any] | None) -> str:
    """The mean, the spread over seeds, and ``+`` or ``-`` where a test tells it from SL in the same batches."""
    if line is None:
        return ""
    told = f"{line['ndcg@20']:.4f}" + (f" ±{line['spread']:.4f}".replace("±0.", "±.") if line["spread"] else "")
    if line.get("p", 1.0) < 0.05:
        told += " **+**" if line["difference"] > 0 else " **-**"
    return told


def weight(line: dict[str, Any] | None) -> str:
    if line is None or "auc" not in line:
        return ""
    return f"{line['weight_injected']:.2f} / {line['weight_genuine']:.2f}, {line['auc']:.2f}"


def plot(record: dict[str, Any]) -> str:
    """NDCG@20 by level, one curve a line that was run at two levels or more."""
    series = []
    for label in CURVES:
        found = sorted((r for r in record["lines"] if r["line"] == label), key=lambda r: r["level"])
        if len(found) >= 2:
            y, spread = [r["ndcg@20"] for r in found], [r["spread"] or 0.0 for r in found]
            low, high = ([v + sign * s for v, s in zip(y, spread, strict=True)] for sign in (-1, 1))
            series.append(Series(label, [100 * r["level"] for r in found], y, low, high))
    svg = draw(Figure("line", series, "false positives put in, % of a user's positives", "NDCG@20 on clean test"))
    # As a file of its own it has no page around it whose ink and paper it could take.
    return svg.replace("<svg ", '<svg style="background: #fff; color: #111" ', 1)


if __name__ == "__main__":
    main()
