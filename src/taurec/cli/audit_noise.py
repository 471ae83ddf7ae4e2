"""``taurec audit noise``: how accuracy falls as noise is put into training, for losses and baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.audit.noise.curves import NoiseCurves
    from taurec.studies.audit.noise.fits import Step

KINDS = ("positives", "negatives", "negatives-held-out")


@reads_files
def noise(
    context: typer.Context,
    source: o.Source = "debian",
    losses: Annotated[str, typer.Option(metavar="NAMES", help="Losses, separated by commas.")] = "bpr,sl,bsl,mml",
    levels: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Levels of noise; of positives, injected pairs for each own pair.")
    ] = "0,0.1,0.2,0.3,0.4",
    kind: Annotated[
        str, typer.Option(help="Noise in the positives, the negatives, or negatives-held-out.")
    ] = "positives",
    seeds: Annotated[int, typer.Option(help="Runs of each model and level, each with its own noise.")] = 3,
    backbone: Annotated[str, typer.Option(help="Of the losses.")] = "mf",
    baselines: Annotated[
        str, typer.Option(metavar="NAMES", help="Fitted beside them.")
    ] = "popularity,itemknn,ease,ials",
    tune: o.Tune = "baselines",
    metrics: Annotated[
        str, typer.Option(metavar="NAMES", help="Shown, judged on the test part.")
    ] = "ndcg@20,recall@20",
    metric: Annotated[str | None, typer.Option(help="Chooses epochs and settings on validation: ndcg@20.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many evaluations without a better one.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    device: o.Device = None,
    threads: o.Threads = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep finished fits in FILE.jsonl, and go on from there.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything to FILE.json.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """Put noise into training, level by level, and show what each loss and each baseline loses by it.

    Validation and test are cut first and stay clean. With --journal an interrupted command goes on where it was.
    """
    from taurec.cli.failures import Stopped
    from taurec.cli.output import Output, plain, progress_line
    from taurec.cli.settings import run_fields, split_names, tune_of
    from taurec.cli.typed import typed_command
    from taurec.report.noise import step_text
    from taurec.studies.audit.noise.fits import Interrupted
    from taurec.studies.audit.noise.robustness import noise_curves
    from taurec.studies.files import check_target, write_text
    from taurec.training.device import pick_device

    if kind not in KINDS:
        raise UsageError(f"--kind {kind!r}{did_you_mean(kind, KINDS)}")
    chosen = tune_of(tune)
    fields = run_fields(
        assign, metric=metric, epochs=epochs, patience=patience, batch_size=batch_size, split=split, seed=seed,
        device=device, threads=threads,
    )  # fmt: skip
    if reading:
        fields["reading"] = reading
    pick_device(fields.get("device", "cpu"))
    for path, ending, option in ((out, ".json", "--out"), (html, ".html", "--html"), (journal, ".jsonl", "--journal")):
        if path is not None:
            check_target(path, [ending], option)
    if html is not None:
        from taurec.report.extras import require

        require()
    wanted = _levels(levels)
    output = Output(as_json, quiet)
    with progress_line(output) as say:

        def on_progress(step: Step) -> None:
            say(step_text(step, kind))  # type: ignore[arg-type]

        try:
            found = noise_curves(
                source,
                split_names([losses]),
                wanted,
                kind=kind,  # type: ignore[arg-type]
                seeds=seeds,
                backbone=backbone,
                baselines=split_names([baselines]),
                tune=chosen,
                metrics=split_names([metrics]),
                fields=fields,
                journal=journal,
                on_progress=on_progress,
                on_note=output.note,
            )
        except Interrupted as stopped:
            kept = f"they are in {journal}; the same command goes on from there" if journal else "there is no --journal"
            output.note(f"warning: {stopped}; {kept}")
            raise Stopped(stopped.signum) from None
    content = found.document()
    if out is not None:
        write_text(out, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", "--out")
        output.note(f"written to {out}")
    if html is not None:
        _write_page(html, found, typed_command(context), output)
    output.document(content)
    _show(found, output)


def _levels(text: str) -> list[float]:
    from taurec.cli.settings import split_names

    try:
        return [float(part) for part in split_names([text])]
    except ValueError:
        raise UsageError(f"--levels {text!r}: expected numbers separated by commas, such as 0,0.1,0.2") from None


def _write_page(path: Path, found: NoiseCurves, command: str, output: Output) -> None:
    from taurec.provenance import facts
    from taurec.report.noise_pages import noise_page
    from taurec.report.page import write_page

    write_page(noise_page(found, command=command, facts=facts()), path)
    output.note(f"written to {path}")


def _show(found: NoiseCurves, output: Output) -> None:
    from taurec.report.noise import curves_table, verdict

    parts: list[Any] = [curves_table(found, output.out.width), ""]
    for part in [*parts, *verdict(found)]:
        output.say(part)
