"""The current command line as text to copy."""

from __future__ import annotations

import shlex
from typing import Any

import typer


def typed_command(context: typer.Context) -> str:
    """The current command, rebuilt from the parsed values: arguments first, then the options that were given.

    The context comes from a parameter of the command's function, ``context: typer.Context``.
    """
    arguments: list[str] = []
    options: list[str] = []
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or value is None:
            continue
        if parameter.param_type_name == "argument":
            arguments += _words(value)
        elif isinstance(value, bool):
            options.append(parameter.opts[0] if value else (parameter.secondary_opts or parameter.opts)[0])
        else:
            options += [word for one in _words(value) for word in (parameter.opts[-1], one)]
    return shlex.join([*context.command_path.split(), *arguments, *options])


def _words(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]
