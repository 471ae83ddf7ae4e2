"""``taurec reproduce``: a published result made again, by one command."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.recipes import Protocol, Recipe

ASKED = ("paper", "honest", "both")


def reproduce(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="ROW...", help="Names from --list; 'gowalla-*' takes all that match.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the rows and what is on record of them.")] = False,
    plan: Annotated[
        bool, typer.Option("--forecast", help="Measure what each row would take on this machine, and run none.")
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            help="paper: the epoch is chosen on the test part, as in the sources; honest: on validation; both."
        ),
    ] = "paper",
    seeds: Annotated[int, typer.Option(help="How many runs, seeds 0, 1, ...")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where records go.")] = Path("runs/reproduce"),
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where unfinished runs keep where they stand; else DIR of --out.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop each run after so many; the same command goes on from there.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Begin also what is forecast to take more than two hours.")
    ] = False,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Make published results again: forecast, run, and hold the figure against theirs.

    A run that was stopped or killed goes on from where it was; one that has ended is not run again.
    """
    from taurec.cli.output import Output
    from taurec.studies.recipes import RECIPES

    output = Output(as_json, quiet)
    if protocol not in ASKED:
        raise UsageError(f"--protocol {protocol!r}{did_you_mean(protocol, ASKED)}")
    if seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {seeds}")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")
    if show and plan:
        raise UsageError("--list and --forecast are two answers; give one of them")
    names = _named(rows or (["*"] if show or plan else []), list(RECIPES))
    if show:
        _list(names, out, output)
        return
    if not names:
        raise UsageError("name a row, such as gowalla-mf-bsl; taurec reproduce --list shows all")
    chosen: list[Protocol] = ["paper", "honest"] if protocol == "both" else [protocol]  # type: ignore[list-item]
    if plan:
        _forecasts(names, chosen, threads or 0, output)
        return
    told: list[dict[str, Any]] = []
    for name in names:
        for one in chosen:
            for seed in range(seeds):
                record = _run(name, one, seed, out, state or out, minutes, yes, threads or 0, output)
                if record is not None:
                    told = [t for t in told if (t["row"], t["protocol"]) != (name, one)] + [record]
    output.document(told)
    _show(told, output)


def _named(patterns: list[str], known: list[str]) -> list[str]:
    """The rows that the patterns name, in the order of the list."""
    wanted: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(known, pattern)
        if not found:
            near = did_you_mean(pattern, known).split(" (accepted")[0]
            raise UsageError(f"no row {pattern!r}{near}; taurec reproduce --list shows all {len(known)}")
        wanted.update(found)
    return [name for name in known if name in wanted]


def _run(
    name: str, protocol: Protocol, seed: int, out: Path, state: Path, minutes: float | None, yes: bool, threads: int,
    output: Output,
) -> dict[str, Any] | None:  # fmt: skip
    """One seed of a row under a protocol; its record as it is now, or None where it was not begun."""
    from taurec.cli.failures import Stopped
    from taurec.report.progress import show
    from taurec.report.tables import seconds as text
    from taurec.studies.recipes import RECIPES
    from taurec.studies.reproduce import forecast, merge, parts_of, record_path, reproduce

    recipe = RECIPES[name]()
    path = record_path(out, name, protocol)
    there = _read(path)
    if there is not None and any(s["seed"] == seed and s["finished"] for s in there["seeds"]):
        output.note(f"{name}, {protocol}, seed {seed}: on record already in {path}; delete it to run again")
        return there
    parts = parts_of(recipe, protocol)
    expected = forecast(recipe, parts, protocol, threads)
    one, many = ("an epoch", "epochs as a rule") if expected.unit == "epoch" else ("a fit", "fits")
    output.note(
        f"{name}, {protocol}, seed {seed}: about {text(expected.epoch)} {one}, {expected.epochs} {many}, "
        f"{text(expected.seconds)} in all (tier {expected.tier})"
    )
    if expected.tier == "C" and not yes and minutes is None:
        output.note("warning: left out, as it is forecast to take more than two hours; --yes begins it")
        return None
    seconds = None if minutes is None else 60 * minutes
    with show(output.err, output.quiet) as hook:
        found = reproduce(
            name, recipe, protocol, seed, state, parts=parts, seconds=seconds, threads=threads, on_progress=hook,
            on_note=output.note,
        )  # fmt: skip
    stopped = found.pop("stopped_by", 0)
    merge(out, name, recipe, protocol, parts, found)
    if stopped:
        output.note(f"warning: stopped by a signal after {found['epochs']} epochs; the same command goes on from there")
        raise Stopped(stopped)
    if not found["finished"]:
        output.note(f"stopped after {found['epochs']} epochs as asked; the same command goes on from there")
    return _read(path)


def _read(path: Path) -> dict[str, Any] | None:
    import json

    from taurec.errors import ArtefactError

    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = [(s["seed"], s["finished"]) for s in found["seeds"]], found["measured"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: not a record of taurec reproduce ({error}); move it away") from None
    return dict(found)


def _list(names: list[str], out: Path, output: Output) -> None:
    """Every row with its published figure and what is on record."""
    from taurec.report.tables import number, table
    from taurec.studies.recipes import PROTOCOLS, RECIPES
    from taurec.studies.reproduce import record_path

    rows, told = [], []
    for name in names:
        recipe: Recipe = RECIPES[name]()
        records = {p: _read(record_path(out, name, p)) for p in PROTOCOLS}
        shown = [
            number(r["measured"]["recall@20"]) + ("" if r["finished"] else " …") if r else "-" for r in records.values()
        ]
        published = recipe.published
        figures = [number(published.recall), number(published.ndcg)] if published else ["-", "-"]
        rows.append([name, *figures, *shown])
        told.append(
            {
                "row": name,
                "data": recipe.data,
                "about": (RECIPES[name].__doc__ or "").strip(),
                "published": None if published is None else {**published.values(), "source": published.source},
                "differs": recipe.differs,
                "claim": recipe.claim,
                "beside": recipe.beside,
                "usual_epochs": recipe.usual_epochs,
                "measured": {p: r["measured"] if r else None for p, r in records.items()},
            }
        )
    output.document(told)
    right = ["Recall@20", "NDCG@20", "paper", "honest"]
    output.say(table(["row", *right], rows, title=f"{len(rows)} rows; on record in {out}", right=right, whole=["row"]))
    output.say(
        "Recall@20 and NDCG@20 are the published figures; paper and honest the Recall@20 on record (… unfinished)."
    )


def _forecasts(names: list[str], protocols: list[Protocol], threads: int, output: Output) -> None:
    """What every row would take, measured on a few steps of each."""
    from taurec.provenance import facts
    from taurec.report.tables import seconds, table
    from taurec.studies.recipes import RECIPES
    from taurec.studies.reproduce import forecast, parts_of

    rows, told, opened = [], [], {}
    for name in names:
        recipe = RECIPES[name]()
        for protocol in protocols:
            if (recipe.data, protocol) not in opened:
                opened = {(recipe.data, protocol): parts_of(recipe, protocol)}
            output.note(f"{name}, {protocol}: a few steps")
            expected = forecast(recipe, opened[recipe.data, protocol], protocol, threads)
            times = [seconds(expected.epoch), str(expected.epochs), seconds(expected.seconds)]
            rows.append([name, protocol, *times, expected.tier])
            told.append(
                {
                    "row": name, "protocol": protocol, "epoch_seconds": round(expected.epoch, 2),
                    "epochs": expected.epochs, "unit": expected.unit, "seconds": round(expected.seconds),
                    "tier": expected.tier,
                }
            )  # fmt: skip
    output.document({"rows": told, "threads": threads, "machine": facts()})
    right = ["an epoch or fit", "of them", "a run"]
    output.say(table(["row", "protocol", *right, "tier"], rows, right=right, whole=["row"]))
    output.say("Tier A: up to 15 minutes, B: up to 2 hours, C: beyond; C needs --yes or --minutes to begin.")


def _show(told: list[dict[str, Any]], output: Output) -> None:
    """Published and measured, side by side."""
    from taurec.report.tables import number, table

    rows = []
    for record in told:
        published, off = record["published"], record["difference_percent"]
        name = f"{record['row']} ({record['protocol']})" + ("" if record["finished"] else " …")
        for metric in ("recall@20", "ndcg@20"):
            theirs = number(published[metric]) if published else "-"
            ahead = f"{off[metric]:+.1f} %" if off else "-"
            rows.append([name, metric, theirs, number(record["measured"][metric]), ahead])
            name = ""
    if rows:
        right = ["published", "measured", "difference"]
        output.say(table(["row", "metric", *right], rows, right=right, whole=["row", "metric"]))
    if any(record["chosen_on"] == "test" for record in told):
        output.say("Under the protocol paper the epoch is chosen on the test part, as in the sources.")
    if any(not record["finished"] for record in told):
        output.say("… the run has not come to its end yet.")
