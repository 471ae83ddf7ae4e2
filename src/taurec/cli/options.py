"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[
    str, typer.Argument(help="A named set (taurec list datasets), a file, or a folder with train and test files.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder written by taurec train --out.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress; results and warnings remain.")]
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
Seed = Annotated[int | None, typer.Option(help="Of every random draw: split, start, order, negatives.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; 0 takes all cores.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, ...")]
Split = Annotated[str | None, typer.Option(help="ratio, leave-last-one, time, or none (train on everything).")]
Tune = Annotated[str, typer.Option(help="Settings chosen on validation: for all models, for baselines, or for none.")]
K = Annotated[int, typer.Option("-k", "--k", help="How many items a list has at most.")]

BACKBONES = ("mf", "lightgcn", "ngcf", "simplex")
"""Names for help texts; the registry itself imports torch. A test compares the two."""
