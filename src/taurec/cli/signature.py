"""Options of a command from the parameters of its function, and their values from the texts of the options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from taurec.cli import options as o
from taurec.errors import UsageError, did_you_mean
from taurec.studies.options import Argument, Option, ReadingOptions, RunFields

FILLED = frozenset({"on_progress", "on_note", "on_epoch", "names"})
"""Parameters of a study that the runner fills."""


@dataclass(frozen=True)
class Group:
    """One parameter of a function as the options that set it.

    Attributes:
        parameters: for typer.
        value: from what was parsed, by the names of these parameters, to the function's argument.
        endings: of the file it names, if it names one to write.
    """

    parameters: list[inspect.Parameter]
    value: Callable[[Mapping[str, Any]], Any]
    endings: tuple[str, ...] = ()


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer: parameters annotated as those of studies become their options, others stay as they are.

    >>> from taurec.studies.options import Reading, Source
    >>> @with_options
    ... def show(source: Source, *, reading: Reading) -> None:
    ...     print(source, reading)
    >>> app = typer.Typer()
    >>> _ = app.command()(show)
    >>> app(["my.csv", "--item", "movie"], standalone_mode=False)
    my.csv {'item': 'movie'}
    """
    groups = groups_of(command)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{name: group.value(given) for name, group in groups.items()})

    return for_typer(run, [p for group in groups.values() for p in group.parameters])


def for_typer(function: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """The function with these parameters in its signature and its annotations; typer reads both."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function


def groups_of(function: Callable[..., Any]) -> dict[str, Group]:
    """Every parameter with its options, except those that the runner fills.

    Raises: TypeError for a parameter without an annotation of :mod:`taurec.studies.options` or of typer.
    """
    declared = {name: p for name, p in inspect.signature(function).parameters.items() if name not in FILLED}
    # the parameters that the runner fills may name types imported only for type checkers
    texts = SimpleNamespace(__annotations__={n: h for n, h in function.__annotations__.items() if n in declared})
    hints = get_type_hints(texts, inspect.unwrap(function).__globals__, include_extras=True)
    return {name: _group(name, hints.get(name), parameter.default) for name, parameter in declared.items()}


def _group(name: str, hint: Any, default: Any) -> Group:
    base, marker = _parts(hint)
    match marker:
        case ReadingOptions():
            return Group(o.file_options(), o.given_files)
        case RunFields(names=names, group=group):
            return Group(o.run_options(names, group), lambda given: _run_fields(names, given))
        case OptionInfo() | ArgumentInfo():
            return Group([o.parameter(name, hint, default)], lambda given: given[name])
        case Option() | Argument():
            return _option(name, base, marker, default)
    raise TypeError(f"parameter {name!r} of a study needs Annotated[..., Option(...)], got {hint!r}")


def _run_fields(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    from taurec.cli.settings import run_fields

    return run_fields(given["assign"], **{name: given[name] for name in names})


def _parts(hint: Any) -> tuple[Any, Any]:
    """The type below ``Annotated`` and the marker in it; the optional of an annotated type keeps its marker."""
    if get_origin(hint) is Annotated:
        base, *markers = get_args(hint)
        return base, markers[0]
    inner = _without_none(hint)
    if inner is not hint:
        base, marker = _parts(inner)
        return base | None, marker
    return hint, None


def _without_none(base: Any) -> Any:
    """The first type of a union."""
    if get_origin(base) in (Union, UnionType):
        return next(one for one in get_args(base) if one is not NoneType)
    return base


def _option(name: str, base: Any, marker: Option | Argument, default: Any) -> Group:
    kind = _without_none(base)
    shown: dict[str, Any] = {"help": marker.help, "metavar": marker.metavar or None}
    spelling = f"--{name.replace('_', '-')}"
    endings: tuple[str, ...] = ()
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if isinstance(marker, Argument):
        info = typer.Argument(**shown)
    else:
        names = marker.names or ((spelling,) if kind is bool else ())
        spelling = names[-1] if names else spelling
        info, endings = typer.Option(*names, rich_help_panel=marker.group or None, **shown), marker.endings
        choices = marker.choices or choices
    if get_origin(kind) is list:
        return Group(
            [o.parameter(name, Annotated[kind | None, info])], lambda given: list(given[name] or default or ())
        )
    plain = str if get_origin(kind) in (tuple, Literal) else kind
    if get_origin(kind) is tuple and default is not None:
        default = ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in default)
    hint = plain | None if default is None or base is not kind else plain
    parameter = o.parameter(name, Annotated[hint, info], default)
    return Group([parameter], lambda given: _read(given[name], kind, spelling, choices), endings)


def _read(value: Any, kind: Any, option: str, choices: Sequence[str] = ()) -> Any:
    """From what typer gives to what the function takes: a choice is checked, a list is cut at its commas."""
    from taurec.cli.settings import split_names

    if value is not None and choices and value not in choices:
        raise UsageError(f"{option} {value!r}{did_you_mean(value, choices)}")
    if value is None or get_origin(kind) is not tuple:
        return value
    made = []
    for word in split_names([value]):
        try:
            made.append(get_args(kind)[0](word))
        except ValueError:
            raise UsageError(
                f"{option} {value!r}: expected numbers; {word!r} is not a number; "
                f"write for example {option} 0.05,0.1,0.2"
            ) from None
    return tuple(made)
