"""Options that several commands share, declared once as data, and typer's parameters made of them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

MODEL, TRAINING, RUN = "Model", "Training", "Split, seed and device"
"""Groups of the options that set fields of a run."""
FILES, OUTPUT = "Your files", "Output"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder written by taurec train --out.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.", rich_help_panel=OUTPUT)
]
Plugin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Import this baseline from outside the package, which the folder holds: module:Class or file.py:Class; "
        "repeatable.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No notes and no progress; results and warnings remain.", rich_help_panel=OUTPUT
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Metrics with cutoffs: recall@20,ndcg@10. \\[default: recall, ndcg, precision, hit_rate, mrr, map, all "
        "at 20]",
    ),
]
K = Annotated[int, typer.Option("-k", "--k", help="Length of the lists.")]

BACKBONES = ("mf", "lightgcn", "ngcf", "simplex", "fism", "simgcl", "xsimgcl")
"""Names for help texts; the registry itself imports torch. A test compares the two."""

FIELDS: dict[str, tuple[type, str, str]] = {
    "model": (
        str,
        MODEL,
        "A baseline (taurec list baselines), or a blend of two models: blend:ease+mf:sl; without it a trained model:",
    ),
    "backbone": (str, MODEL, ", ".join(BACKBONES) + ". [default: mf]"),
    "loss": (str, MODEL, "Loss, such as bsl (taurec list losses). [default: sl]"),
    "negatives": (
        str,
        MODEL,
        "Negative sampler, such as uniform:800 or in-batch (taurec list negatives). [default: the loss's, uniform:256 "
        "for sl]",
    ),
    "order": (
        str,
        TRAINING,
        "Batch order (taurec list orders). [default: shuffled; user-blocks for a loss that groups users]",
    ),
    "batch_size": (int, TRAINING, "Interactions per batch. [default: 1024]"),
    "epochs": (int, TRAINING, "Maximum number of epochs. [default: 100]"),
    "lr": (float, TRAINING, "Learning rate of Adam. [default: the loss's, 0.01 for sl]"),
    "l2": (float, TRAINING, "Strength of the L2 term. [default: the loss's, 0 for sl]"),
    "metric": (str, TRAINING, "Validation metric that chooses the epoch. [default: ndcg@20]"),
    "patience": (int, TRAINING, "Stop after this many evaluations without improvement. [default: 10]"),
    "split": (str, RUN, "ratio, leave-last-one, time, users, or none (train on everything). [default: ratio]"),
    "seed": (int, RUN, "Seed of every random draw: split, initial values, order, negatives. [default: 0]"),
    "device": (str, RUN, "cpu, cuda, cuda:0, ... [default: cpu]"),
    "threads": (int, RUN, "CPU threads; 0 takes all cores. [default: 0]"),
}
"""Options that set fields of a run: type, group and help."""

SET = "Any other setting, repeatable: loss.tau_neg=0.1, backbone.dim=128, or a field of the run: l2_mode=sum."

READING: dict[str, tuple[type, str | None, str]] = {
    "user": (str, "COLUMN", "Column of user ids."),
    "item": (str, "COLUMN", "Column of item ids."),
    "time": (str, "COLUMN", "Column of times."),
    "weight": (str, "COLUMN", "Column of row weights; without it all rows weigh 1."),
    "rating": (str, "COLUMN", "Column of ratings, for --min-rating."),
    "min_rating": (float, None, "Keep rows with at least this rating. [default: all rows]"),
    "format": (
        str,
        None,
        "csv, tsv, csv-semicolon, parquet, inter, lightgcn, u.data, ratings.dat. [default: by the file name]",
    ),
    "no_header": (bool, None, "The first line is data: columns are user, item; name others by number: --time 4."),
    "encoding": (str, None, "Encoding of a text file. [default: utf-8]"),
    "unknown": (
        str,
        None,
        "Test users and items of a folder that are not in training: error, skip or keep. [default: error]",
    ),
}
"""Options that describe the user's files, by the arguments of :func:`taurec.data.source.open_source`: type, placeholder
and help."""


def parameter(name: str, hint: Any, default: Any = None) -> inspect.Parameter:
    """A parameter of a command, as typer reads it."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def option(name: str, kind: Any, group: str, help: str, *, metavar: str | None = None) -> inspect.Parameter:
    """An option that may be left out, as a parameter of a command: a flag is then False, another value None."""
    names = [f"--{name.replace('_', '-')}"] if kind is bool else []
    shown = typer.Option(*names, metavar=metavar, help=help.replace("[", r"\["), rich_help_panel=group)
    return parameter(name, Annotated[kind if kind is bool else kind | None, shown], False if kind is bool else None)


def run_options(names: Collection[str], group: str = "") -> list[inspect.Parameter]:
    """Options for fields of a run, and ``--set`` (parameter ``assign``).

    Args:
        names: of the fields.
        group: replaces the groups of the options that choose and train a model.
    """
    made = {name: FIELDS[name] for name in FIELDS if name in names}
    own = [option(name, kind, group or usual, help) for name, (kind, usual, help) in made.items() if usual != RUN]
    last = [option(name, kind, RUN, help) for name, (kind, usual, help) in made.items() if usual == RUN]
    panel = group or (MODEL if "loss" in names else TRAINING)
    shown = typer.Option("--set", metavar="KEY=VALUE", help=SET, rich_help_panel=panel, callback=_with_those_of_a_file)
    return [*own, parameter("assign", Annotated[list[str] | None, shown]), *last]


def _with_those_of_a_file(context: typer.Context, value: list[str] | None) -> list[str] | None:
    """The settings given, after those of ``--config`` with another key."""
    keys = {_key(text) for text in value or ()}
    of_file = (context.default_map or {}).get("assign") or ()
    return [*(text for text in of_file if _key(text) not in keys), *(value or ())] or value


def _key(assignment: str) -> str:
    return assignment.partition("=")[0].strip()


def file_options() -> list[inspect.Parameter]:
    """:data:`READING` as parameters of a command."""
    return [option(name, kind, FILES, help, metavar=metavar) for name, (kind, metavar, help) in READING.items()]


def given_files(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of :data:`READING` that were given.

    >>> given_files({"user": None, "no_header": False, "item": "movie", "epochs": 3})
    {'item': 'movie'}
    """
    return {name: values[name] for name in READING if values.get(name) is not None and values[name] is not False}
