"""``taurec reproduce``: runs of published results, their records, and forecasts of their time."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from taurec.errors import UsageError, did_you_mean
from taurec.studies.opening import Note, silent
from taurec.studies.options import Argument, Option
from taurec.studies.protocols import METRICS, PROTOCOLS, Protocol, protocol_of
from taurec.studies.result import Column, Interrupted, Result, Table
from taurec.studies.words import seconds as duration

if TYPE_CHECKING:
    from taurec.studies.recipes import Recipe
    from taurec.studies.reproduce import Forecast
    from taurec.training.records import Progress

BOTH = "both"
"""The value of ``--protocol`` that takes every protocol of a row."""


def reproduce(
    rows: Annotated[
        list[str] | None, Argument("Names from --list; 'gowalla-*' takes all that match.", metavar="ROW...")
    ] = None,
    show: Annotated[bool, Option("Show the rows and their records.", names=("--list",))] = False,
    plan: Annotated[
        bool, Option("Measure how long each row takes on this machine, and run none.", names=("--forecast",))
    ] = False,
    protocol: Annotated[
        str | None,
        Option(
            "; ".join(f"{name}: {one.about}" for name, one in PROTOCOLS.items())
            + f"; {BOTH}: all of the row. By default that of the row's source.",
            metavar="NAME",
            choices=(*PROTOCOLS, BOTH),
        ),
    ] = None,
    seeds: Annotated[int, Option("Number of runs, with seeds 0, 1, ...")] = 1,
    out: Annotated[Path, Option("Folder of the records.", metavar="DIR")] = Path("runs/reproduce"),
    state: Annotated[
        Path | None, Option("Folder of the checkpoints of unfinished runs; that of --out by default.", metavar="DIR")
    ] = None,
    minutes: Annotated[
        float | None, Option("Stop each run after this number of minutes; the same command continues it.")
    ] = None,
    yes: Annotated[bool, Option("Also begin runs with a forecast of more than two hours.")] = False,
    threads: Annotated[int | None, Option("CPU threads; 0 takes all cores.")] = None,
    *,
    on_epoch: Callable[[Progress], None] | None = None,
    on_note: Note = silent,
) -> Result:
    """Reproduce published results: forecast, run, and compare with the published value.

    A run that was stopped or killed continues where it was; one that has ended is not run again.
    """
    from taurec.studies.recipes import RECIPES

    if seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {seeds}")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")
    if show and plan:
        raise UsageError("--list and --forecast give different answers; use one of them")
    names = _matching(rows or (["*"] if show or plan else []), list(RECIPES))
    if show:
        return _row_list(names, out)
    if not names:
        raise UsageError("name a row, such as gowalla-mf-bsl; taurec reproduce --list shows all")
    pairs = _with_protocols(names, protocol, on_note)
    if plan:
        return _forecasts(pairs, threads or 0, on_note)
    runner = _SeedRunner(out, state or out, minutes, yes, threads or 0, on_epoch, on_note)
    found = {pair: record for pair in pairs for seed in range(seeds) if (record := runner.run(*pair, seed)) is not None}
    return Records(tuple(found.values()))


@dataclass(frozen=True)
class Records(Result):
    """Records of rows, as :func:`taurec.studies.reproduce.merge` writes them."""

    schema: ClassVar[str] = "taurec.reproduce/1"
    records: tuple[Mapping[str, Any], ...]

    def title(self) -> str:
        return "Published results, run again"

    def document(self) -> list[Any]:
        return list(self.records)

    def verdict(self) -> list[str]:
        said = []
        on_test = [record["protocol"] for record in self.records if record["chosen_on"] == "test"]
        said += [PROTOCOLS[name].warning for name in dict.fromkeys(on_test) if PROTOCOLS[name].warning]
        if any(not record["finished"] for record in self.records):
            said.append("… the run is not finished.")
        return said

    def tables(self) -> list[Table]:
        rows = [
            (
                f"{r['row']} ({r['protocol']})" + ("" if r["finished"] else " …") if metric == METRICS[0] else "",
                metric,
                r["published"][metric] if r["published"] else None,
                r["measured"][metric],
                r["difference_percent"][metric] if r["difference_percent"] else None,
            )
            for r in self.records
            for metric in METRICS
        ]
        names = (Column("row", whole=True), Column("metric", whole=True))
        columns = (*names, "published", "measured", Column("difference", "%", spec="+.1f"))
        return [Table("", columns, rows)] if rows else []

    def settings(self) -> dict[str, Any]:
        return {f"{r['row']} ({r['protocol']})": r["run"] for r in self.records}


@dataclass(frozen=True)
class RowList(Result):
    """Rows with their published figures and their records in a folder, as plain values."""

    schema: ClassVar[str] = "taurec.reproduce.list/1"
    rows: tuple[Mapping[str, Any], ...]
    folder: Path
    unfinished: tuple[str, ...]

    def title(self) -> str:
        return f"{len(self.rows)} rows; on record in {self.folder}"

    def document(self) -> list[Any]:
        return list(self.rows)

    def verdict(self) -> list[str]:
        names = ", ".join(PROTOCOLS)
        said = f"Recall@20 and NDCG@20 are the published values; the columns {names} have the recorded Recall@20."
        return [said, *([f"Not finished: {', '.join(self.unfinished)}."] if self.unfinished else [])]

    def tables(self) -> list[Table]:
        rows = [
            (r["row"], *((r["published"] or {}).get(m) for m in METRICS), *(v and v[METRICS[0]] for v in measured))
            for r in self.rows
            for measured in [[r["measured"].get(name) for name in PROTOCOLS]]
        ]
        return [Table(self.title(), (Column("row", whole=True), "Recall@20", "NDCG@20", *PROTOCOLS), rows)]


@dataclass(frozen=True)
class Forecasts(Result):
    """The time that each row takes under a protocol, measured on a few steps."""

    schema: ClassVar[str] = "taurec.reproduce.forecast/1"
    forecasts: Mapping[tuple[str, str], Forecast]
    threads: int
    machine: Mapping[str, Any] = field(default_factory=dict)

    def title(self) -> str:
        return "Forecast of the rows"

    def document(self) -> dict[str, Any]:
        rows = [
            {
                "row": row, "protocol": protocol, "epoch_seconds": round(f.epoch, 2), "epochs": f.epochs,
                "unit": f.unit, "seconds": round(f.seconds), "tier": f.tier,
            }
            for (row, protocol), f in self.forecasts.items()
        ]  # fmt: skip
        return {"rows": rows, "threads": self.threads, "machine": self.machine}

    def verdict(self) -> list[str]:
        return ["Tier A: up to 15 minutes, B: up to 2 hours, C: longer. A run of tier C needs --yes or --minutes."]

    def tables(self) -> list[Table]:
        rows = [(*key, f.epoch, f.epochs, f.seconds, f.tier) for key, f in self.forecasts.items()]
        times = (Column("an epoch or fit", "s"), "number", Column("a run", "s"))
        return [Table("", (Column("row", whole=True), "protocol", *times, "tier"), rows)]


@dataclass(frozen=True)
class _SeedRunner:
    """One seed of a row under a protocol: forecast, run, record."""

    out: Path
    state: Path
    minutes: float | None
    yes: bool
    threads: int
    on_epoch: Callable[[Progress], None] | None
    on_note: Note

    def run(self, name: str, protocol: Protocol, seed: int) -> dict[str, Any] | None:
        """Run one seed of a row unless it is recorded; returns the row's record, or None if the run was left out."""
        from taurec.studies import reproduce as engine
        from taurec.studies.recipes import RECIPES

        recipe, path = RECIPES[name](), engine.record_path(self.out, name, protocol)
        there = engine.read_record(path, name)
        if there is not None and any(s["seed"] == seed and s["finished"] for s in there["seeds"]):
            self.on_note(f"{name}, {protocol.name}, seed {seed}: already recorded in {path}; delete it to run again")
            return there
        parts = engine.parts_of(recipe, protocol)
        expected = engine.forecast(recipe, parts, protocol, self.threads)
        one, many = ("an epoch", "epochs as a rule") if expected.unit == "epoch" else ("a fit", "fits")
        self.on_note(
            f"{name}, {protocol.name}, seed {seed}: about {duration(expected.epoch)} {one}, {expected.epochs} {many}, "
            f"{duration(expected.seconds)} in total (tier {expected.tier})"
        )
        if expected.tier == "C" and not self.yes and self.minutes is None:
            self.on_note("warning: left out, because its forecast is more than two hours; use --yes to run it")
            return None
        limit = None if self.minutes is None else 60 * self.minutes
        found = engine.reproduce(
            name, recipe, protocol, seed, self.state, parts=parts, seconds=limit, threads=self.threads,
            on_progress=self.on_epoch, on_note=self.on_note,
        )  # fmt: skip
        stopped = found.pop("stopped_by", 0)
        engine.merge(self.out, name, recipe, protocol, parts, found)
        after = f"after {found['epochs']} epochs"
        if stopped:
            raise Interrupted(stopped, f"stopped by a signal {after}; the same command continues from there")
        if not found["finished"]:
            self.on_note(f"stopped {after} as requested; the same command continues from there")
        return engine.read_record(path, name)


def _matching(patterns: Sequence[str], known: Sequence[str]) -> list[str]:
    """The rows whose names match the patterns, in the order of the list."""
    wanted: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(known, pattern)
        if not found:
            near = did_you_mean(pattern, known).split(" (accepted")[0]
            raise UsageError(f"no row {pattern!r}{near}; taurec reproduce --list shows all {len(known)}")
        wanted.update(found)
    return [name for name in known if name in wanted]


def _row_list(names: Sequence[str], out: Path) -> RowList:
    from taurec.studies.recipes import RECIPES
    from taurec.studies.reproduce import read_record, record_path

    rows, unfinished = [], []
    for name in names:
        recipe = RECIPES[name]()
        records = {p: read_record(record_path(out, name, p), name) for p in recipe.protocols}
        unfinished += [f"{name} ({p})" for p, record in records.items() if record and not record["finished"]]
        published = recipe.published
        rows.append(
            {
                "row": name,
                "data": recipe.data,
                "about": (RECIPES[name].__doc__ or "").strip(),
                "published": None if published is None else {**published.values(), "source": published.source},
                "differs": recipe.differs,
                "claim": recipe.claim,
                "beside": recipe.beside,
                "usual_epochs": recipe.usual_epochs,
                "measured": {p: record["measured"] if record else None for p, record in records.items()},
            }
        )
    return RowList(tuple(rows), out, tuple(unfinished))


def _with_protocols(names: Sequence[str], protocol: str | None, on_note: Note) -> list[tuple[str, Protocol]]:
    """The rows, each with the protocols to run it under.

    Raises: UsageError if none of the rows is run under the requested protocol.
    """
    from taurec.studies.recipes import RECIPES

    if protocol is not None and protocol != BOTH:
        protocol = protocol_of(protocol).name

    def of(recipe: Recipe) -> Sequence[str]:
        if protocol is None:
            return recipe.protocols[:1]
        return recipe.protocols if protocol == BOTH else [one for one in recipe.protocols if one == protocol]

    found, without = list[tuple[str, Protocol]](), list[str]()
    for name in names:
        here = of(RECIPES[name]())
        found += [(name, PROTOCOLS[one]) for one in here]
        without += [] if here else [f"{name} ({', '.join(RECIPES[name]().protocols)})"]
    if without:
        said = f"not run under {protocol}, but under the protocol in brackets: {'; '.join(without)}"
        if not found:
            raise UsageError(f"{said}; leave --protocol out")
        on_note(f"left out, {said}")
    return found


def _forecasts(pairs: Sequence[tuple[str, Protocol]], threads: int, on_note: Note) -> Forecasts:
    """Forecast each row from a few measured steps; the parts of one set are kept in memory until the next set."""
    from taurec.provenance import facts
    from taurec.studies import reproduce as engine
    from taurec.studies.recipes import RECIPES

    made, opened = {}, {}
    for name, protocol in pairs:
        recipe, key = RECIPES[name](), (RECIPES[name]().data, protocol.name)
        if key not in opened:
            opened = {key: engine.parts_of(recipe, protocol)}
        on_note(f"{name}, {protocol.name}: a few steps")
        made[name, protocol.name] = engine.forecast(recipe, opened[key], protocol, threads)
    return Forecasts(made, threads, facts())
