"""Types for the signature of a study, from which its command takes its options.

>>> def count(source: Source = "debian", k: K = 20, names: Annotated[tuple[str, ...], Option("Models.")] = ()): ...

A parameter is an option named like it. Its base type says how its text is read: ``tuple[str, ...]`` and
``tuple[float, ...]`` are lists with commas, ``list[str]`` is a repeatable option, ``Literal`` a choice.
Parameters named ``on_progress`` and ``on_note`` (lines of text), ``on_epoch`` (training progress) and ``names``
(:class:`taurec.studies.names.Names`) are filled by the runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        help: one sentence.
        metavar: placeholder of the value in the help.
        group: the panel of the help that lists it.
        names: its spelling, if other than ``--name-of-the-parameter``.
        endings: accepted endings of a file that the study writes, such as ``(".csv",)``; checked before any work.
        choices: accepted values, where they are those of a registry and the type is ``str``.
    """

    help: str
    metavar: str = ""
    group: str = ""
    names: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """An argument of a command: its help and its placeholder there."""

    help: str
    metavar: str = ""


@dataclass(frozen=True)
class RunFields:
    """The options that set fields of a run, and ``--set``; the study gets those that were given as a mapping.

    Attributes:
        names: fields of :class:`taurec.run.Run` that have an option.
        group: the panel of the help for the options that choose and train a model.
    """

    names: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True)
class ReadingOptions:
    """The options that describe files; the study gets those that were given as a mapping."""


Fields = Mapping[str, Any]
Reading = Annotated[Mapping[str, Any], ReadingOptions()]
Source = Annotated[str, Argument("A named set (taurec list datasets), a file, or a folder with train and test files.")]
K = Annotated[int, Option("Length of the lists.", names=("-k", "--k"))]
Tune = Annotated[
    Literal["all", "baselines", "none"],
    Option("Models whose settings are chosen on validation: all, baselines, or none."),
]
Metrics = Annotated[tuple[str, ...], Option("Metrics measured on the test part.", metavar="NAMES")]
