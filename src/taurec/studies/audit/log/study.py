"""``taurec audit log``: finds anomalies of a log and estimates the share of its false positives."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.files import TABLES, write_frame
from taurec.studies.names import Hashed, Names
from taurec.studies.opening import Note, silent
from taurec.studies.options import Fields, Option, Reading, RunFields, Source

if TYPE_CHECKING:
    from taurec.studies.audit.log.audit import LogAudit

Judge = Annotated[
    str | None,
    Option("A baseline that scores rows it has not seen: ease, itemknn, ials, ease:100.", metavar="MODEL"),
]


def log(
    source: Source = "debian",
    judge: Judge = None,
    folds: Annotated[int, Option("Number of folds; each is scored by a model fitted to the others.")] = 5,
    suspects: Annotated[
        Path | None, Option("Write all suspect rows to FILE.csv, .tsv or .parquet.", metavar="FILE", endings=TABLES)
    ] = None,
    bsl: Annotated[bool, Option("Train BSL on all rows and show the weight it gives each; takes longer.")] = False,
    recovery: Annotated[
        float | None,
        Option(
            "Inject this number of false positives for each row, such as 0.2, and measure how well they are found.",
            metavar="RATE",
        ),
    ] = None,
    seeds: Annotated[int, Option("Number of injections of --recovery.")] = 3,
    *,
    fields: Annotated[Fields, RunFields(("epochs", "seed", "threads"))],
    reading: Reading,
    names: Names,
    on_progress: Note = silent,
    on_note: Note = silent,
) -> LogAudit:
    """Find duplicates, bursts, bot-like users and ids that look alike, and estimate the share of random rows."""
    from taurec.data.source import open_source, split_source
    from taurec.studies.audit.log.audit import audit_log
    from taurec.studies.audit.log.recovery import recovery as measure
    from taurec.studies.audit.log.recovery import trained_weights
    from taurec.training.device import use_threads
    from taurec.training.presets import resolve

    idle = ["--epochs"] * ("epochs" in fields) + ["--set"] * bool(set(fields) - {"epochs", "seed", "threads"})
    if idle and not bsl and recovery is None:
        raise UsageError(f"{', '.join(idle)} has an effect on BSL only; add --bsl or --recovery RATE, or drop it")
    run = resolve(**{**fields, "source": source, "reading": reading, "loss": "bsl"})
    use_threads(run.threads)
    opened = open_source(source, **reading)
    if not isinstance(names, Hashed):
        for note in opened.notes:
            on_note(note)
    elif opened.notes:
        on_note(f"{len(opened.notes)} notes on the data are not shown, because they may contain ids (--private)")
    rows = opened.log if opened.log is not None else opened.everything()
    if bsl:
        on_progress("bsl: training")
    found = audit_log(
        rows, opened.name, judge=judge, folds=folds, seed=run.seed, names=names, on_progress=on_progress,
        weights=trained_weights(rows, split_source(opened, run)[0], run) if bsl else None,
    )  # fmt: skip
    config = {"judge": found.fit.judge, "folds": folds, "seed": run.seed}
    if bsl or recovery is not None:
        config["bsl"] = run.model_dump(mode="json")
    if recovery is not None:
        again = measure(opened, recovery, seeds=seeds, judge=judge, fields=fields, on_progress=on_progress)
        found = dataclasses.replace(found, recovery=again)
    command = shlex.join(["taurec", "audit", "fix", source, "--out", "cleaned.csv"])
    found = dataclasses.replace(found, config=config, next=(command,) if found.chance_rows and not reading else ())
    if suspects is not None:
        write_frame(found.suspect_rows().lazy(), suspects, "--suspects")
        on_note(f"written to {suspects}")
    return found
