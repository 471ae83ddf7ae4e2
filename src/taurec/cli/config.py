"""``--config FILE.toml``: the options of a command from a file; options on the command line win."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from taurec.cli.options import OUTPUT
from taurec.errors import DataError, UsageError, did_you_mean

_NOT_IN_FILES = frozenset({"config", "help", "context"})


def _read(context: typer.Context, path: Path | None) -> Path | None:
    if path is not None and not context.resilient_parsing:
        context.default_map = {**(context.default_map or {}), **options_from(path, context)}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Take options from FILE.toml; those given here win.", is_eager=True,
        callback=_read, rich_help_panel=OUTPUT,
    ),
]  # fmt: skip


def options_from(path: Path, context: typer.Context) -> dict[str, Any]:
    """The options in a TOML file, by the names of the command's parameters.

    Keys are the names of options and arguments (``epochs``, ``batch-size`` or ``batch_size``). A list is written
    with commas, ``set`` may be a table: ``set = {"loss.tau" = 0.2}``.

    Raises: DataError for a file that is not TOML; UsageError for an unknown key, which names the accepted ones.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"--config {path}: not TOML ({error})") from None
    # the name of an option without its dashes; that of an argument in small letters
    known: dict[str, Any] = {
        max(parameter.opts, key=len).lstrip("-").replace("_", "-").lower(): parameter
        for parameter in context.command.params
        if parameter.name not in _NOT_IN_FILES
    }
    found: dict[str, Any] = {}
    for key, value in content.items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"--config {path}: unknown option {key!r}{did_you_mean(key, known)}")
        repeatable = isinstance(option, TyperOption) and option.multiple
        found[option.name] = _value(path, key, value, repeatable)
    return found


def _value(path: Path, key: str, value: Any, repeatable: bool) -> Any:
    """A TOML value as the command line would give it."""
    if isinstance(value, dict):
        if not repeatable:
            raise UsageError(f"--config {path}: {key} takes a value, not a table")
        return [f"{name}={_text(one)}" for name, one in _flat(value)]
    if repeatable:
        return [_text(one) for one in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool | int | float) else _text(value)


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """``{"loss": {"tau": 1}}`` and ``{"loss.tau": 1}`` alike."""
    made: list[tuple[str, Any]] = []
    for name, value in values.items():
        made += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
    return made


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
