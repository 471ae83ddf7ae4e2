"""``taurec audit temperature``: what the temperature of a model stands for on a log."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taurec.cli import options as o
from taurec.cli.reading import Reading, reads_files
from taurec.errors import UsageError

if TYPE_CHECKING:
    from taurec.cli.output import Output
    from taurec.studies.audit.temperature.audit import TemperatureAudit

_MODEL = "The model that is trained"


@reads_files
def temperature(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A named set, a file, or a folder with train and test files: a model is trained on it. debian if "
            "neither it nor --saved is given."
        ),
    ] = None,
    saved: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look at this saved model instead of training one.")
    ] = None,
    taus: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS", help="Other temperatures to look at; else 1/4, 1/2, 2 and 4 times the model's."
        ),
    ] = None,
    users: Annotated[int, typer.Option(help="At most so many users are looked at, drawn by the seed.")] = 1000,
    backbone: Annotated[str | None, typer.Option(help=", ".join(o.BACKBONES) + ".", rich_help_panel=_MODEL)] = None,
    loss: Annotated[
        str | None, typer.Option(help="sl, bsl or another loss; sl if not given.", rich_help_panel=_MODEL)
    ] = None,
    negatives: Annotated[
        str | None, typer.Option(help="Where negatives come from: uniform:800, in-batch, ...", rich_help_panel=_MODEL)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.", rich_help_panel=_MODEL)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many evaluations without a better one.", rich_help_panel=_MODEL)
    ] = None,
    assign: o.Set = None,
    split: o.Split = None,
    seed: o.Seed = None,
    device: o.Device = None,
    threads: o.Threads = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to FILE.html.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything to FILE.json.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    *,
    reading: Reading,
) -> None:
    """What a model's temperature stands for: hard negatives that count, the DRO radius, mean and variance.

    A model is trained on SOURCE and looked at after each epoch (--set loss.tau=0.2 sets its temperature), or a saved
    one is looked at as it is. Test data has no part in it.
    """
    from taurec.cli.failures import Stopped
    from taurec.cli.files import check_target, write_text
    from taurec.cli.output import Output, plain
    from taurec.cli.settings import run_fields
    from taurec.report.extras import require
    from taurec.report.temperature import sentence, temperature_tables

    fields = run_fields(
        assign, backbone=backbone, loss=loss, negatives=negatives, epochs=epochs, patience=patience, split=split,
        seed=seed, device=device, threads=threads,
    )  # fmt: skip
    wanted = _numbers(taus)
    if html is not None:
        require()
        check_target(html, [".html"], "--html")
    if out is not None:
        check_target(out, [".json"], "--out")
    output = Output(as_json, quiet)
    if saved is not None:
        if source is not None or fields or reading:
            raise UsageError("--saved looks at a model as it is; drop SOURCE and the options of training and of files")
        found = _of_saved(saved, wanted, users)
    else:
        found = _of_training({**fields, "source": source or "debian", "reading": reading}, wanted, users, output)
    content = plain(found.document())
    if out is not None:
        write_text(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n", "--out")
        output.note(f"written to {out}")
    if html is not None:
        from taurec import provenance
        from taurec.report.page import write_page
        from taurec.report.temperature_pages import temperature_page

        write_page(temperature_page(found, _command(context), provenance.facts()), html)
        output.note(f"written to {html}")
    output.document(content)
    for table in temperature_tables(found):
        output.say(table)
        output.say()
    output.say(sentence(found))
    for note in found.notes:
        output.say(note)
    if found.stopped_by:
        raise Stopped(found.stopped_by)


def _of_saved(folder: Path, taus: list[float], users: int) -> TemperatureAudit:
    from taurec.recommender import Recommender
    from taurec.studies.audit.temperature.audit import audit_saved

    return audit_saved(Recommender.load(folder), taus, users)


def _of_training(fields: dict[str, Any], taus: list[float], users: int, output: Output) -> TemperatureAudit:
    import dataclasses

    from taurec.cli.fitting import open_and_split, settings_lines
    from taurec.report.progress import show
    from taurec.studies.audit.temperature.audit import audit_training, tau_of
    from taurec.training.device import pick_device
    from taurec.training.presets import resolve

    run = resolve(**fields)
    tau_of(run, taus)
    pick_device(run.device)
    opened, parts = open_and_split(run, output)
    for line in settings_lines(run):
        output.note(line)
    with show(output.err, output.quiet) as hook:
        found = audit_training(run, parts, taus, users, on_progress=hook, on_note=output.note)
    return dataclasses.replace(found, source=opened.name)


def _numbers(text: str | None) -> list[float]:
    found = []
    for word in (text or "").replace(",", " ").split():
        try:
            found.append(float(word))
        except ValueError:
            raise UsageError(
                f"--taus {text!r}: {word!r} is not a number; write for example --taus 0.05,0.1,0.2"
            ) from None
        if not 0 < found[-1] < float("inf"):
            raise UsageError(f"--taus {text!r}: a temperature must be a finite number above 0")
    return found


def _command(context: typer.Context) -> str:
    """The command line that repeats this one, without what only says where results go."""
    words = ["taurec", "audit", "temperature"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value is None or value == parameter.default or parameter.name in ("html", "out", "as_json", "quiet"):
            continue
        if parameter.param_type_name == "argument":
            words.insert(3, str(value))
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [max(parameter.opts, key=len), *([] if one is True else [str(one)])]
    return shlex.join(words)
