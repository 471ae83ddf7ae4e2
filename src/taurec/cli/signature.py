"""Options of a command from the parameters of its study, and their values from the texts of the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from taurec.cli import options as o
from taurec.cli import reading
from taurec.errors import UsageError, did_you_mean
from taurec.studies.options import Argument, Option, ReadingOptions, RunFields

FILLED = frozenset({"on_progress", "on_note", "on_epoch", "names"})
"""Parameters of a study that the runner fills."""


@dataclass(frozen=True)
class Group:
    """One parameter of a study as the options that set it.

    Attributes:
        parameters: for typer.
        value: from what was parsed, by the names of these parameters, to the study's argument.
        endings: of the file it names, if it names one to write.
    """

    name: str
    parameters: list[inspect.Parameter]
    value: Callable[[Mapping[str, Any]], Any]
    endings: tuple[str, ...] = ()

    def files(self, given: Mapping[str, Any]) -> list[tuple[str, Path | None, tuple[str, ...]]]:
        """Option, path and accepted endings of the file to write, if it is one."""
        return [(self.name.replace("_", "-"), given[self.name], self.endings)] if self.endings else []


def groups_of(study: Callable[..., Any]) -> dict[str, Group]:
    """Every parameter of a study with its options, except those that the runner fills.

    Raises: TypeError for a parameter without an annotation of :mod:`taurec.studies.options`.
    """
    declared = {name: p for name, p in inspect.signature(study).parameters.items() if name not in FILLED}
    hints = _hints(study, declared)
    return {name: _group(name, hints.get(name), parameter.default) for name, parameter in declared.items()}


def _hints(study: Callable[..., Any], names: Iterable[str]) -> dict[str, Any]:
    """The annotations of these parameters; the others may name types imported only for type checkers."""

    def holder() -> None: ...

    holder.__annotations__ = {name: hint for name, hint in study.__annotations__.items() if name in names}
    return get_type_hints(holder, inspect.unwrap(study).__globals__, include_extras=True)


def _group(name: str, hint: Any, default: Any) -> Group:
    base, marker = _parts(hint)
    if isinstance(marker, ReadingOptions):
        return Group(name, reading.parameters_of_files(), reading.given_only)
    if isinstance(marker, RunFields):
        return Group(name, *_of_run(marker))
    if not isinstance(marker, Option | Argument):
        raise TypeError(f"parameter {name!r} of a study needs Annotated[..., Option(...)], got {hint!r}")
    plain, repeatable = _plain(base)
    read = _reader(base, name)
    info = _info(marker, name, plain)
    typed = Annotated[list[plain] | None if repeatable else _optional(plain, base, default), info]  # type: ignore[valid-type]
    text = _as_text(default) if get_origin(base) is tuple else default
    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=text, annotation=typed)
    if repeatable:
        parameter = parameter.replace(default=None)
        return Group(name, [parameter], lambda given: list(given[name] or default or ()))
    endings = marker.endings if isinstance(marker, Option) else ()
    return Group(name, [parameter], lambda given: read(given[name]), endings)


def _parts(hint: Any) -> tuple[Any, Any]:
    """The type below ``Annotated`` and the marker in it; the optional of an annotated type keeps its marker."""
    if get_origin(hint) is Annotated:
        base, *markers = get_args(hint)
        return base, markers[0]
    if get_origin(hint) in (Union, UnionType):
        inner = [one for one in get_args(hint) if one is not NoneType]
        if len(inner) == 1:
            base, marker = _parts(inner[0])
            return base | None, marker
    return hint, None


def _plain(base: Any) -> tuple[Any, bool]:
    """The type that typer reads, and whether the option is repeatable."""
    kinds = [one for one in get_args(base) if one is not NoneType] if get_origin(base) in (Union, UnionType) else [base]
    kind = kinds[0]
    if get_origin(kind) is list:
        return get_args(kind)[0], True
    return (str if get_origin(kind) in (tuple, Literal) else kind), False


def _optional(plain: Any, base: Any, default: Any) -> Any:
    return plain | None if default is None or NoneType in get_args(base) else plain


def _info(marker: Option | Argument, name: str, plain: Any) -> Any:
    shown: dict[str, Any] = {"help": marker.help, "metavar": marker.metavar or None}
    if isinstance(marker, Argument):
        return typer.Argument(**shown)
    shown["rich_help_panel"] = marker.group or None
    names = marker.names or ((f"--{name.replace('_', '-')}",) if plain is bool else ())
    return typer.Option(*names, **shown)


def _as_text(value: Any) -> str | None:
    return None if value is None else ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)


def _reader(base: Any, name: str) -> Callable[[Any], Any]:
    """From what typer gives to what the study takes."""
    option = f"--{name.replace('_', '-')}"
    kinds = [one for one in get_args(base) if one is not NoneType] if get_origin(base) in (Union, UnionType) else [base]
    kind = kinds[0]
    if get_origin(kind) is Literal:
        accepted = get_args(kind)

        def choice(value: Any) -> Any:
            if value is not None and value not in accepted:
                raise UsageError(f"{option} {value!r}{did_you_mean(value, accepted)}")
            return value

        return choice
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        return lambda value: None if value is None else _listed(value, of, option)
    return lambda value: value


def _listed(value: str, of: type, option: str) -> tuple[Any, ...]:
    """A list with commas; its numbers are checked."""
    from taurec.cli.settings import split_names

    words = split_names([value])
    if of is str:
        return tuple(words)
    for word in words:
        try:
            of(word)
        except ValueError:
            raise UsageError(
                f"{option} {value!r}: expected numbers; {word!r} is not a number; "
                f"write for example {option} 0.05,0.1,0.2"
            ) from None
    return tuple(of(word) for word in words)


def _of_run(marker: RunFields) -> tuple[list[inspect.Parameter], Callable[[Mapping[str, Any]], dict[str, Any]]]:
    """The options of run fields, ``--set`` among them."""
    made = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in o.run_options(marker.names, marker.group).items()
    ]

    def value(given: Mapping[str, Any]) -> dict[str, Any]:
        from taurec.cli.settings import run_fields

        return run_fields(given["assign"], **{name: given[name] for name in marker.names})

    return made, value
