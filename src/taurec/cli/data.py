"""``taurec data``: look at a log, or cut it into parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import ResourceError, UsageError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from taurec.data.interactions import Interactions

app = typer.Typer(help="Check a log, or split it into files.", pretty_exceptions_enable=False)

FORMATS = ("parquet", "tsv", "csv")
HOWS = ("ratio", "leave-last-one", "time")


@app.command("check")
@reads_files
def check(
    source: o.Source,
    as_json: o.Json = False,
    *,
    reading: Reading,
) -> None:
    """Read a log and tell what is in it: size, density, duplicates, times, skew, and everything odd."""
    from taurec.cli.output import Output
    from taurec.data.check import check as look
    from taurec.data.source import open_source
    from taurec.report.statistics import finding_lines, statistics_tables

    opened = open_source(source, **reading)
    result = look(opened.everything(), opened.report)
    output = Output(as_json)
    output.document({"source": opened.name, "notes": list(opened.notes), **result.as_dict()})
    for part in statistics_tables(result, opened.name):
        output.say(part)
        output.say()
    for note in opened.notes:
        output.say(f"note     {note}")
    for line in finding_lines(result):
        output.say(line)


@app.command("split")
@reads_files
def split(
    source: o.Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the parts.")],
    how: Annotated[str, typer.Option(help="ratio, leave-last-one or time.")] = "ratio",
    valid: Annotated[float, typer.Option(help="Share for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the random choice.")] = 0,
    as_format: Annotated[str, typer.Option("--as", metavar="FORMAT", help="parquet, tsv or csv.")] = "parquet",
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Cut a log into train, valid and test files with raw ids, which taurec train DIR reads again."""
    from taurec.cli.output import Output
    from taurec.data.source import open_source
    from taurec.data.split import split as cut
    from taurec.report.tables import pairs

    if how not in HOWS:
        raise UsageError(f"--how {how!r}{did_you_mean(how, HOWS)}")
    if as_format not in FORMATS:
        raise UsageError(f"--as {as_format!r}{did_you_mean(as_format, FORMATS)}")
    output = Output(as_json, quiet)
    targets = {name: out / f"{name}.{as_format}" for name in ("train", "valid", "test")}
    there = [path for path in targets.values() if path.exists()]
    if there:
        raise UsageError(f"{there[0]} exists already and is not touched; give another --out")
    opened = open_source(source, **reading)
    for note in opened.notes:
        output.note(note)
    if opened.given and how != "ratio":
        raise UsageError(f"{opened.name} comes divided into training and test; it cannot be split by {how!r}")
    parts = opened.split(valid, seed) if opened.given else cut(opened.log, how, valid=valid, test=test, seed=seed)  # type: ignore[arg-type]
    written = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, path in targets.items():
            log = getattr(parts, name)
            if log is not None and len(log):
                _write(to_frame(log), path)
                written[name] = {"file": str(path), "pairs": len(log), "users": int((log.user_counts > 0).sum())}
    except OSError as error:
        raise ResourceError(f"{out}: cannot be written ({error.strerror}); choose another --out") from None
    output.document({"split": parts.how, "seed": seed, "parts": written})
    output.say(
        pairs((name, f"{p['pairs']:,} pairs of {p['users']:,} users in {p['file']}") for name, p in written.items())
    )


def to_frame(log: Interactions) -> pl.DataFrame:
    """The pairs of a log with raw ids, and their time and weight where known."""
    import polars as pl

    columns: dict[str, Any] = {"user": log.users.ids.gather(log.user_of), "item": log.items.ids.gather(log.indices)}
    if log.time is not None:
        columns["time"] = log.time
    if log.weight is not None:
        columns["weight"] = log.weight
    return pl.DataFrame(columns)


def _write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
