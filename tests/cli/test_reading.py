"""A command gets the options for files, and what was given of them as one mapping."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from taurec.cli.app import app as whole
from taurec.cli.options import READING, given_files
from taurec.cli.signature import with_options
from taurec.studies.options import Reading


def test_a_command_gets_what_was_given() -> None:
    seen = []

    @with_options
    def show(
        source: Annotated[str, typer.Argument()],
        reading: Reading,
        count: Annotated[int, typer.Option(help="How many.")] = 2,
        quiet: Annotated[bool, typer.Option()] = False,
    ) -> None:
        """Show it."""
        seen.append((source, count, quiet, dict(reading)))

    app = typer.Typer()
    app.command()(show)
    app(["a.csv", "--no-header", "--min-rating", "0", "--quiet"], standalone_mode=False)
    app(["b.csv", "--user", "who", "--count", "5"], standalone_mode=False)
    assert seen == [("a.csv", 2, True, {"min_rating": 0.0, "no_header": True}), ("b.csv", 5, False, {"user": "who"})]
    assert show.__doc__ == "Show it."


def test_zero_is_a_value_and_other_names_are_passed_over() -> None:
    assert given_files({"min_rating": 0.0, "no_header": False, "epochs": 3}) == {"min_rating": 0.0}


@pytest.mark.parametrize(
    "words", ["train", "compare", "data check", "data split", "audit log", "audit fix", "audit noise", "audit fairness"]
)
def test_every_command_that_opens_a_log_has_them(words: str) -> None:
    command = typer.main.get_command(whole)
    for word in words.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    assert set(READING) <= {parameter.name for parameter in command.params}
