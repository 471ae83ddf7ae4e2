"""The command that makes a run makes that run: parsed as the shell would, it resolves to the same settings."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import typer

from taurec.cli.app import app
from taurec.cli.options import given_files
from taurec.cli.settings import run_fields
from taurec.studies.train_command import train_command
from taurec.training.presets import resolve


def parsed(command: str) -> Any:
    words = shlex.split(command)
    group: Any = typer.main.get_command(app)
    given = group.commands["train"].make_context("train", words[2:]).params
    options = ("model", "backbone", "loss", "negatives", "order", "batch_size", "epochs", "lr", "l2", "metric")
    options += ("patience", "split", "seed", "device", "threads")
    fields = run_fields(given["assign"], **{name: given[name] for name in options})
    return resolve(**fields, source=given["source"], reading=given_files(given))


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "sl"},
        {"loss": "bsl", "settings": {"loss": {"tau_neg": 0.05, "tau_pos": 0.2}}, "epochs": 12},
        {"loss": "mml", "backbone": "lightgcn:2", "lr": 0.003, "threads": 1},
        {"backbone": "ngcf", "settings": {"backbone": {"layers": (8, 8)}}, "loss": "bpr", "l2": 0.0001},
        {"loss": "sl", "negatives": "uniform:800:true", "order": "user-blocks:2", "logq": False, "l2_mode": "sum"},
        {"loss": "bpr", "negatives": "in-batch", "seed": 3, "split": "time", "valid": 0.2, "metric": "recall@10"},
        {"model": "ials", "settings": {"model": {"alpha": 0.3}}, "seed": 2},
        {"source": "a b.csv", "reading": {"user": "who", "no_header": True, "min_rating": 4.0}},
    ],
    ids=str,
)
def test_round_trip(fields: dict[str, Any]) -> None:
    run = resolve(**fields)
    assert parsed(train_command(run)) == run


def test_a_training_that_the_clock_ended_is_repeated_by_its_epochs() -> None:
    assert train_command(resolve(loss="sl"), epochs=7).endswith("--epochs 7")
