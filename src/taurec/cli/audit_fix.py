"""``taurec audit fix``: write a log without its most suspicious rows, and say what that wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from taurec.cli import options as o
from taurec.cli.audit_log import TABLES, write_table
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError


@reads_files
def fix(
    context: typer.Context,
    source: o.Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The cleaned log: FILE.csv, .tsv or .parquet.")],
    models: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Trained with and without the suspects; the first decides on validation."),
    ] = "mf:sl,ease",
    share: Annotated[
        float | None,
        typer.Option(help="Remove this share of the training rows, whatever is estimated; 0.05 is a twentieth."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Fits of each kind, with as many random removals.")] = 3,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A baseline that judges rows it has not seen: ease, itemknn, ials."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="NAMES", help="Shown, judged on the test part.")
    ] = "recall@20,ndcg@20",
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    threads: o.Threads = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures to FILE.json.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file at --out.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Leave the most suspicious rows out of training and train again; write the cleaned log if that helps.

    How many rows go is estimated from the training part, and validation decides whether they go at all. The gain is
    measured on the test part, beside removing as many rows at random. Rows of the validation and test parts stay in
    the cleaned log, for nothing was decided about them; of data that come divided, the training part is written.
    """
    from taurec.cli.data import to_frame
    from taurec.cli.files import check_target, write_text
    from taurec.cli.output import Output, plain, progress_line
    from taurec.cli.settings import run_fields, split_names
    from taurec.data.source import open_source
    from taurec.evaluation.metrics import parse_all
    from taurec.report.audit import fix_tables
    from taurec.studies.audit.fix import fix as clean
    from taurec.training.device import use_threads

    shown = [str(m) for m in parse_all(metrics)]
    fields = run_fields(assign, epochs=epochs, split=split, seed=seed, threads=threads)
    if reading:
        fields["reading"] = reading
    for path, endings, option in ((out, TABLES, "--out"), (html, [".html"], "--html"), (report, [".json"], "--report")):
        if path is not None:
            check_target(path, endings, option)
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists already and is not touched; give another --out, or --overwrite")
    if html is not None:
        from taurec.report.extras import require

        require()
    use_threads(threads or 0)
    output = Output(as_json, quiet)
    opened = open_source(source, **reading)
    for note in opened.notes:
        output.note(note)
    with progress_line(output) as say:
        found = clean(
            opened, split_names([models]), share=share, seeds=seeds, judge=judge, metrics=shown, fields=fields,
            on_progress=say,
        )  # fmt: skip
    written = None
    if not found.clean:
        whole = opened.log if opened.log is not None else opened.train
        assert whole is not None
        cleaned = found.cleaned(whole)
        write_table(to_frame(cleaned), out, "--out")
        written = {"file": str(out), "pairs": len(cleaned), "of": len(whole)}
    content = {**found.document(), "written": written}
    if report is not None:
        write_text(report, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "--report")
        output.note(f"written to {report}")
    if html is not None:
        from taurec.cli.typed import typed_command
        from taurec.provenance import facts
        from taurec.report.audit_pages import fix_page
        from taurec.report.page import write_page

        config = {"models": models, "share": share, "seeds": seeds, "judge": found.audit.fit.judge, **fields}
        write_page(fix_page(found, command=typed_command(context), facts=facts(), config=config), html)
        output.note(f"written to {html}")
    output.document(content)
    for part in fix_tables(found):
        output.say(part)
        output.say()
    output.say(found.verdict)
    if written is not None:
        output.say(f"Cleaned log: {written['pairs']:,} of {written['of']:,} pairs in {out}.")
    else:
        output.say(f"{out} was not written; --share removes a share of the rows all the same.")
