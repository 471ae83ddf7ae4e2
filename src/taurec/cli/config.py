"""``--config FILE.toml``: the options of a command from a file; options on the command line win.

An option on the command line replaces that of the file, a repeatable one all its values. Settings (``--set``) are
merged by key (:func:`taurec.cli.options.run_options`).
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, get_args

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

    Raises: DataError for a file that is not TOML; UsageError for an unknown key, which names the accepted ones, and for
        a value of another type than the option's.
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
    assert context.command.callback is not None
    types = {
        name: _types(parameter.annotation)
        for name, parameter in inspect.signature(context.command.callback).parameters.items()
    }
    found: dict[str, Any] = {}
    for key, value in content.items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"--config {path}: unknown option {key!r}{did_you_mean(key, known)}")
        repeatable = option.nargs == -1 or (isinstance(option, TyperOption) and option.multiple)
        if not repeatable:
            _check_type(f"--config {path}: {key}", value, types[option.name])
        found[option.name] = _value(value, repeatable)
    return found


def _types(hint: Any) -> set[Any]:
    """The types that an annotation consists of: ``Annotated[int | None, ...]`` has int and NoneType."""
    return {one for inner in get_args(hint) for one in _types(inner)} or {hint}


def _check_type(where: str, value: Any, types: set[Any]) -> None:
    """Refuse a value that the option's own conversion would turn into another one: true into 1, 2.5 into 2."""
    if isinstance(value, dict):
        raise UsageError(f"{where} takes a value, not a table")
    if bool in types:
        accepted, wrong = "true or false", not isinstance(value, bool)
    elif int in types:
        whole = not isinstance(value, float) or value.is_integer()
        accepted, wrong = "a whole number", isinstance(value, bool | list) or not whole
    elif float in types:
        accepted, wrong = "a number", isinstance(value, bool | list)
    else:
        accepted, wrong = "a text", isinstance(value, bool)
    if wrong:
        got = str(value).lower() if isinstance(value, bool) else repr(value)
        raise UsageError(f"{where} takes {accepted}, got {got}")


def _value(value: Any, repeatable: bool) -> Any:
    """A TOML value as the command line would give it."""
    if isinstance(value, dict):
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
