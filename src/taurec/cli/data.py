"""``taurec data split``: write the parts of a log to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from taurec.cli import options as o
from taurec.cli.signature import with_options
from taurec.errors import UsageError
from taurec.studies.options import Option, Reading, Source


@with_options
def split(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the parts.")],
    how: Annotated[
        Literal["ratio", "leave-last-one", "time", "users"],
        Option("How to split: ratio, leave-last-one, time or users."),
    ] = "ratio",
    valid: Annotated[float, typer.Option(help="Share of the interactions (users: of the users) for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the interactions (users: of the users) for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the random split.")] = 0,
    as_format: Annotated[
        Literal["parquet", "tsv", "csv"],
        Option("Format of the files: parquet, tsv or csv.", metavar="FORMAT", names=("--as",)),
    ] = "parquet",
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Split a log into train, valid and test files with raw ids, which taurec train DIR can read.

    With users, a file given has the rows from which held-out users are ranked.
    """
    from taurec.cli.output import Output
    from taurec.data.source import open_source
    from taurec.data.split import split as cut
    from taurec.report.terminal import pairs
    from taurec.studies.files import write_frame

    output = Output(as_json, quiet)
    names = ("train", "valid", "test", *(("given",) if how == "users" else ()))
    targets = {name: out / f"{name}.{as_format}" for name in names}
    there = [path for path in targets.values() if path.exists()]
    if there:
        raise UsageError(f"{there[0]} exists already and is not replaced; give another --out")
    opened = open_source(source, **reading)
    for note in opened.notes:
        output.note(note)
    if opened.log is None and how != "ratio":
        raise UsageError(f"{opened.name} has given training and test parts; it cannot be split by {how!r}")
    parts = opened.split(valid, seed) if opened.log is None else cut(opened.log, how, valid=valid, test=test, seed=seed)
    written = {}
    for name, path in targets.items():
        log = getattr(parts, name)
        if log is not None and len(log):
            write_frame(log.to_frame().lazy(), path, "--out")
            written[name] = {"file": str(path), "pairs": len(log), "users": int((log.user_counts > 0).sum())}
    output.document({"split": parts.how, "seed": seed, "parts": written})
    output.say(
        pairs((name, f"{p['pairs']:,} pairs of {p['users']:,} users in {p['file']}") for name, p in written.items())
    )
