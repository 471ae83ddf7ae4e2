"""The command line: the commands of the studies from their registry, and the others by name."""

from __future__ import annotations

from typing import Annotated

import typer

from taurec.cli import data, demo, doctor, evaluate, listing, recommend, train
from taurec.cli.runner import command_of
from taurec.studies import STUDIES, study

_SETTINGS = {"help_option_names": ["-h", "--help"]}

GROUPS = {
    "audit": "Examine a log and its models: noise, fairness, temperature.",
    "data": "Check a log, or split it into files.",
}
"""Help of the commands that have subcommands in :data:`taurec.studies.STUDIES`."""


def _version(asked: bool) -> None:
    if asked:
        from taurec import __version__

        print(f"taurec {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Recommendation with the softmax family of losses (SL, BSL, MML) and baselines, evaluated on held-out data."""


def build() -> typer.Typer:
    """The command line with every study that is registered now."""
    app = typer.Typer(
        name="taurec",
        help=root.__doc__,
        epilog="First steps: taurec train, then taurec recommend DIR --like ITEM. taurec list shows the data "
        "sets, losses and all other choices.",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings=_SETTINGS,
    )
    app.callback()(root)
    app.command("demo")(demo.demo)
    app.command("train")(train.train)
    groups: dict[str, typer.Typer] = {"": app}
    for words in STUDIES:
        group, _, name = words.rpartition(" ")
        if group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True, help=GROUPS.get(group), context_settings=_SETTINGS)
            app.add_typer(groups[group], name=group)
        groups[group].command(name)(command_of(study(words)))
    groups["data"].command("split")(data.split)
    app.command("evaluate")(evaluate.evaluate)
    app.command("recommend")(recommend.recommend)
    app.command("similar")(recommend.similar)
    app.command("list")(listing.list_entries)
    app.command("doctor")(doctor.doctor)
    return app


app = build()
