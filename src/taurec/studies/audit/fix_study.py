"""``taurec audit fix``: write a log without its most suspicious rows, if that helps a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from taurec.errors import UsageError
from taurec.studies.audit.log.study import Judge
from taurec.studies.files import TABLES, write_frame
from taurec.studies.opening import Note, silent
from taurec.studies.options import Fields, Metrics, Option, Reading, RunFields, Source

if TYPE_CHECKING:
    from taurec.studies.audit.fix import Fix


def fix(
    source: Source,
    out: Annotated[Path, Option("The cleaned log: FILE.csv, .tsv or .parquet.", metavar="FILE", endings=TABLES)],
    models: Annotated[
        tuple[str, ...],
        Option("Trained with and without the suspects; the first decides on validation.", metavar="NAMES"),
    ] = ("mf:sl", "ease"),
    share: Annotated[
        float | None, Option("Share of the training rows to remove, such as 0.05, instead of the estimate.")
    ] = None,
    seeds: Annotated[int, Option("Number of fits of each kind, and of random removals.")] = 3,
    judge: Judge = None,
    metrics: Metrics = ("recall@20", "ndcg@20"),
    overwrite: Annotated[bool, Option("Replace a file at --out.")] = False,
    *,
    fields: Annotated[Fields, RunFields(("epochs", "split", "seed", "threads"))],
    reading: Reading,
    on_progress: Note = silent,
    on_note: Note = silent,
) -> Fix:
    """Leave the most suspicious rows out of training and train again; write the cleaned log if that helps.

    The number of rows is estimated from the training part, and validation decides whether they are removed at all.
    The gain is measured on the test part and compared with removing the same number of rows at random. Rows of the
    validation and test parts stay in the cleaned log, because they were not examined; of data with given parts, the
    training part is written. --report writes the figures to a JSON file, as --out does in the other commands.
    """
    from taurec.data.source import open_source
    from taurec.evaluation.metrics import parse_all
    from taurec.studies.audit.fix import fix as clean
    from taurec.training.device import use_threads

    shown = [str(m) for m in parse_all(list(metrics))]
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists already and is not replaced; give another --out, or --overwrite")
    use_threads(int(fields.get("threads", 0)))
    opened = open_source(source, **reading)
    for note in opened.notes:
        on_note(note)
    common = {**fields, **({"reading": reading} if reading else {})}
    found = clean(
        opened, models, share=share, seeds=seeds, judge=judge, metrics=shown, fields=common, on_progress=on_progress
    )
    written = None
    if not found.clean:
        whole = opened.log if opened.log is not None else opened.train
        assert whole is not None
        cleaned = found.cleaned(whole)
        write_frame(cleaned.to_frame().lazy(), out, "--out")
        written = len(cleaned), len(whole)
    config = {"models": list(models), "share": share, "seeds": seeds, "judge": found.audit.fit.judge, **common}
    return dataclasses.replace(found, out=str(out), written=written, config=config)
