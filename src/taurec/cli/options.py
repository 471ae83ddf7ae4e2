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
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Metrics with cutoffs: recall@20,ndcg@10. \\[default: recall, ndcg, precision, hit_rate, mrr, map, all "
        "at 20]",
    ),
]
K = Annotated[int, typer.Option("-k", "--k", help="Length of the lists.")]

BACKBONES = ("mf", "lightgcn", "ngcf", "simplex")
"""Names for help texts; the registry itself imports torch. A test compares the two."""

MODEL, TRAINING, RUN = "Model", "Training", "Split, seed and device"
"""Groups of the options that set fields of a run."""

_FIELDS: dict[str, tuple[Any, str, str]] = {
    "model": (str, MODEL, "A baseline (taurec list baselines); without it a trained model:"),
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
    "split": (str, RUN, "ratio, leave-last-one, time, or none (train on everything). [default: ratio]"),
    "seed": (int, RUN, "Seed of every random draw: split, initial values, order, negatives. [default: 0]"),
    "device": (str, RUN, "cpu, cuda, cuda:0, ... [default: cpu]"),
    "threads": (int, RUN, "CPU threads; 0 takes all cores. [default: 0]"),
}
"""Options that set fields of a run: type, group and help."""


def field(name: str, group: str = "") -> Any:
    """The option that sets a field of a run; ``group`` replaces the group of those that choose and train a model."""
    _, usual, text = _FIELDS[name]
    shown = usual if usual == RUN or not group else group
    return typer.Option(help=text.replace("[", r"\["), rich_help_panel=shown)


def assignments(group: str = MODEL) -> Any:
    """The option ``--set``."""
    text = "Any other setting, repeatable: loss.tau_neg=0.1, backbone.dim=128, or a field of the run: l2_mode=sum."
    return typer.Option("--set", metavar="KEY=VALUE", help=text, rich_help_panel=group)


def run_options(names: tuple[str, ...], group: str = "") -> dict[str, Any]:
    """Options for fields of a run, and ``--set`` (parameter ``assign``): name -> annotation."""
    made: dict[str, Any] = {}
    for name in (name for name in _FIELDS if name in names):
        made[name] = Annotated[_FIELDS[name][0] | None, field(name, group)]
    panel = group or (MODEL if "loss" in names else TRAINING)
    last = {name: made.pop(name) for name in tuple(made) if _FIELDS[name][1] == RUN}
    return {**made, "assign": Annotated[list[str] | None, assignments(panel)], **last}
