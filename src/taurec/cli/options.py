"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Source = Annotated[
    str, typer.Argument(help="A named set (taurec list datasets), a file, or a folder with train and test files.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder written by taurec train --out.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.", rich_help_panel="Output")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No notes and no progress; results and warnings remain.", rich_help_panel="Output"
    ),
]
Metrics = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Metrics with cutoffs, separated by commas: recall@20,ndcg@10.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting, repeatable: loss.tau_neg=0.1, backbone.dim=128, or a field of the run: l2_mode=sum.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw: split, initial values, order, negatives.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; 0 takes all cores.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, ...")]
Split = Annotated[str | None, typer.Option(help="ratio, leave-last-one, time, or none (train on everything).")]
K = Annotated[int, typer.Option("-k", "--k", help="Length of the lists.")]

BACKBONES = ("mf", "lightgcn", "ngcf", "simplex")
"""Names for help texts; the registry itself imports torch. A test compares the two."""

_RUN: dict[str, tuple[Any, str]] = {
    "model": (str, "A baseline (taurec list baselines); or else:"),
    "backbone": (str, "taurec list backbones; mf if not given."),
    "loss": (str, "taurec list losses; sl if not given."),
    "negatives": (str, "Negative sampler: uniform:800, in-batch, ... (taurec list negatives)."),
    "order": (str, "Batch order: shuffled, user-blocks:4."),
    "batch_size": (int, "Interactions in a batch."),
    "epochs": (int, "Maximum number of epochs."),
    "lr": (float, "Learning rate of Adam."),
    "l2": (float, "Strength of the L2 term."),
    "metric": (str, "Metric that validation chooses by: ndcg@20."),
    "patience": (int, "Stop after this many evaluations without improvement."),
}
"""Options of a run that choose and train a model: type and help."""


def run_options(names: tuple[str, ...], group: str = "") -> dict[str, Any]:
    """Options for fields of a run, and ``--set`` (parameter ``assign``): name -> annotation."""
    shared = {"split": Split, "seed": Seed, "device": Device, "threads": Threads}
    made: dict[str, Any] = {}
    for name in names:
        if name in shared:
            made[name] = shared[name]
        else:
            kind, text = _RUN[name]
            made[name] = Annotated[kind | None, typer.Option(help=text, rich_help_panel=group or None)]
    before = {name: hint for name, hint in made.items() if name not in shared}
    return {**before, "assign": Set, **{name: hint for name, hint in made.items() if name in shared}}
