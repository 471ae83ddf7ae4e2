"""``taurec audit log``: what in a log looks wrong, and how much of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from taurec.data.interactions import Interactions
    from taurec.data.source import Opened
    from taurec.run import Run
    from taurec.studies.audit.log.recovery import Recovery

TABLES = (".csv", ".tsv", ".parquet")
SHOWN = 10


@reads_files
def log(
    context: typer.Context,
    source: o.Source = "debian",
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A baseline that judges rows it has not seen: ease, itemknn, ials, ease:100."
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Parts the rows are dealt to; each is judged by a model of the others.")
    ] = 5,
    suspects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all suspect rows to FILE.csv, .tsv or .parquet.")
    ] = None,
    bsl: Annotated[
        bool, typer.Option("--bsl", help="Train BSL on all rows and show the weight it gives each; takes longer.")
    ] = False,
    recovery: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="Inject so many false positives a row, 0.2 say, and measure how well they are found."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Injections of --recovery.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Of BSL, at most so many.")] = None,
    assign: o.Set = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything to FILE.json.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Write hashes in place of ids, everywhere.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Look for duplicates, bursts, bot-like users and ids that look alike, and estimate how many rows are chance."""
    from taurec.cli.files import check_target, write_text
    from taurec.cli.output import Output, plain, progress_line
    from taurec.cli.settings import run_fields
    from taurec.data.source import open_source
    from taurec.report.audit import log_tables, recovery_sentence, recovery_table, suspect_frame
    from taurec.report.private import Hashed
    from taurec.studies.audit.log.audit import audit_log
    from taurec.training.device import use_threads
    from taurec.training.presets import resolve

    given = run_fields(assign, epochs=epochs, seed=seed, threads=threads)
    idle = [f"--{name}" for name in ("epochs",) if name in given] + ["--set"] * bool(assign)
    if idle and not bsl and recovery is None:
        raise UsageError(f"{', '.join(idle)} has an effect on BSL only; add --bsl or --recovery RATE, or drop it")
    for path, endings, option in (
        (out, [".json"], "--out"),
        (html, [".html"], "--html"),
        (suspects, TABLES, "--suspects"),
    ):
        if path is not None:
            check_target(path, endings, option)
    if html is not None:
        from taurec.report.extras import require

        require()
    run = resolve(**{**given, "source": source, "reading": reading, "loss": "bsl"})
    use_threads(run.threads)
    output = Output(as_json, quiet)
    opened = open_source(source, **reading)
    for note in opened.notes if not private else []:  # they may name ids
        output.note(note)
    if private and opened.notes:
        output.note(f"{len(opened.notes)} notes on the data are not shown, for they may name ids (--private)")
    rows = opened.log if opened.log is not None else opened.everything()
    with progress_line(output) as say:
        weights = _weights(rows, opened, run, say) if bsl else None
        found = audit_log(rows, opened.name, judge=judge, folds=folds, seed=run.seed, weights=weights, on_progress=say)
        again = _recovery(opened, recovery, seeds, judge, given, say) if recovery is not None else None
    names = Hashed() if private else None
    user_name, item_name = (names.user, names.item) if names else (str, str)
    content = {**found.document(user_name, item_name), "recovery": again.document() if again else None}
    if suspects is not None:
        write_table(suspect_frame(found, None, user_name, item_name), suspects, "--suspects")
        output.note(f"written to {suspects}")
    if out is not None:
        write_text(out, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "--out")
        output.note(f"written to {out}")
    if html is not None:
        from taurec.cli.typed import typed_command
        from taurec.provenance import facts
        from taurec.report.audit_pages import log_page
        from taurec.report.page import write_page
        from taurec.report.private import NOTE

        config = {"judge": found.fit.judge, "folds": folds, "seed": run.seed}
        config |= {"bsl": run.model_dump(mode="json")} if bsl or again else {}
        page = log_page(
            found, user_name=user_name, item_name=item_name, found_again=again, note=NOTE if names else "",
            command=typed_command(context), facts=facts(), config=config,
        )  # fmt: skip
        write_page(page, html)
        output.note(f"written to {html}")
    output.document(content)
    for part in log_tables(found, SHOWN, user_name, item_name):
        output.say(part)
        output.say()
    if again is not None:
        output.say(recovery_table(again))
        output.say(recovery_sentence(again))
        output.say()
    output.say(found.verdict)


def _weights(rows: Interactions, opened: Opened, run: Run, say: Any) -> NDArray[Any]:
    """BSL trained on a training part, its epoch chosen on validation; then every row of the log is weighed."""
    from taurec.data.source import split_source
    from taurec.studies.audit.log.recovery import implied

    say("bsl: training")
    parts, _ = split_source(opened, run)
    return implied(rows, parts, run)


def _recovery(opened: Opened, rate: float, seeds: int, judge: str | None, given: dict[str, Any], say: Any) -> Recovery:
    from taurec.studies.audit.log.recovery import recovery

    return recovery(opened, rate, seeds=seeds, judge=judge, fields=given, on_progress=say)


def write_table(frame: pl.DataFrame, path: Path, option: str) -> None:
    """Write a frame as csv, tsv or parquet by the name of the file, whole or not at all."""
    import os

    from taurec.cli.files import folder_beside

    with folder_beside(path, option) as folder:
        part = folder / path.name
        if path.suffix == ".parquet":
            frame.write_parquet(part)
        else:
            frame.write_csv(part, separator="\t" if path.suffix == ".tsv" else ",")
        os.replace(part, path)
