import shlex
from typing import Annotated

import pytest
import typer

from taurec.cli import options as o
from taurec.cli.failures import run
from taurec.cli.runner import typed_command

FOUND = []
app = typer.Typer()


@app.command()
def sample(
    context: typer.Context,
    source: str = "debian",
    names: Annotated[list[str] | None, typer.Option()] = None,
    k: o.K = 10,
    quiet: o.Quiet = False,
    history: bool = True,
):
    FOUND.append(typed_command(context))


@app.command()
def other(context: typer.Context, source: Annotated[str, typer.Argument()] = "debian", quiet: o.Quiet = False):
    FOUND.append(typed_command(context))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["other"], "taurec other"),
        (["other", "-q", "my log.csv"], "taurec other 'my log.csv' --quiet"),
        (["sample", "--names", "a b", "--names", "c", "-k", "10"], "taurec sample --names 'a b' --names c --k 10"),
        (["sample", "--no-history", "--source", "x"], "taurec sample --source x --no-history"),
    ],
)
def test_what_was_typed_and_it_parses_to_the_same(typed, text):
    FOUND.clear()
    assert run(app, typed) == 0
    assert [text] == FOUND
    assert run(app, shlex.split(text)[1:]) == 0
    assert [text, text] == FOUND
