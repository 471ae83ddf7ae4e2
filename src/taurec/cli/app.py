"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from taurec.cli import audit, compare, data, demo, doctor, evaluate, listing, recommend, reproduce, train

app = typer.Typer(
    name="taurec",
    help="Recommendation with the softmax family of losses (SL, BSL, MML), honestly evaluated.",
    epilog="First steps: taurec train, then taurec recommend DIR --like ITEM. Sets, losses and the rest: taurec list.",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from taurec import __version__

        print(f"taurec {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Recommendation with the softmax family of losses (SL, BSL, MML), honestly evaluated."""


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(audit.app, name="audit")
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("similar")(recommend.similar)
app.add_typer(data.app, name="data")
app.command("list")(listing.list_entries)
app.command("doctor")(doctor.doctor)
