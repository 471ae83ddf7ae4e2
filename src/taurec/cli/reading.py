"""The options that describe the user's files: declared once, given to a command as one mapping."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import typer

_FILES = "Your files"

Reading = Mapping[str, Any]
"""Those arguments of :func:`taurec.data.source.open_source` that were given."""


def _text(help: str, metavar: str | None = None) -> Any:
    return Annotated[str | None, typer.Option(metavar=metavar, help=help, rich_help_panel=_FILES)]


OPTIONS: dict[str, Any] = {
    "user": _text("Column of user ids.", "COLUMN"),
    "item": _text("Column of item ids.", "COLUMN"),
    "time": _text("Column of times.", "COLUMN"),
    "weight": _text("Column of row weights; without it all rows weigh 1.", "COLUMN"),
    "rating": _text("Column of ratings, for --min-rating.", "COLUMN"),
    "min_rating": Annotated[
        float | None,
        typer.Option(help="Keep rows with at least this rating. \\[default: all rows]", rich_help_panel=_FILES),
    ],
    "format": _text(
        "csv, tsv, csv-semicolon, parquet, inter, lightgcn, u.data, ratings.dat. \\[default: by the file name]"
    ),
    "no_header": Annotated[
        bool,
        typer.Option(
            "--no-header",
            help="The first line is data: columns are user, item; name others by number: --time 4.",
            rich_help_panel=_FILES,
        ),
    ],
    "encoding": _text("Encoding of a text file. \\[default: utf-8]"),
    "unknown": _text(
        "Test users and items of a folder that are not in training: error, skip or keep. \\[default: error]"
    ),
}


def reads_files(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :data:`OPTIONS` to a command, which gets those that were given as ``reading``.

    >>> import typer
    >>> @reads_files
    ... def show(source: str, reading: Reading) -> None:
    ...     print(source, reading)
    >>> app = typer.Typer()
    >>> _ = app.command()(show)
    >>> app(["my.csv", "--item", "movie"], standalone_mode=False)
    my.csv {'item': 'movie'}
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{name: given[name] for name in own}, reading=given_only(given))

    # typer reads the signature and the annotations: both get the options instead of ``reading``
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    own = {name: p.replace(annotation=hints[name]) for name, p in parameters.items() if name != "reading"}
    run.__signature__ = inspect.Signature([*own.values(), *parameters_of_files()])  # type: ignore[attr-defined]
    run.__annotations__ = {**{name: hints[name] for name in own}, **OPTIONS}
    return run


def parameters_of_files() -> list[inspect.Parameter]:
    """:data:`OPTIONS` as parameters of a command."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(name), annotation=hint)
        for name, hint in OPTIONS.items()
    ]


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of :data:`OPTIONS` that were given.

    >>> given_only({"user": None, "no_header": False, "item": "movie", "epochs": 3})
    {'item': 'movie'}
    """
    return {name: values[name] for name in OPTIONS if values.get(name, _default(name)) is not _default(name)}


def _default(name: str) -> bool | None:
    return False if name == "no_header" else None
