"""A loss and a negative sampler from outside the package, as objects, by name and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import taurec
from taurec.baselines import EASE
from taurec.cli.app import app
from taurec.losses import SL
from taurec.report.page import render
from taurec.report.result_page import result_page
from taurec.run import Run
from taurec.sampling import BoundSampler, PerRowNegatives, Sampler
from taurec.studies.recipes import Recipe

LOSS = '''
from dataclasses import dataclass

import torch

from taurec import ScoreLoss


@dataclass(frozen=True)
class MeanGap(ScoreLoss):
    """Margin to the mean of the negatives."""

    margin: float = 0.5

    def __call__(self, pos, neg):
        return torch.relu(self.margin + neg - pos[:, None]).mean(1)
'''


@dataclass(frozen=True)
class MeanGap(taurec.ScoreLoss):
    """Margin to the mean of the negatives."""

    margin: float = 0.5

    def __call__(self, pos, neg):
        return torch.relu(self.margin + neg - pos[:, None]).mean(1)


@dataclass(frozen=True)
class Neighbours(Sampler):
    """The n items after the positive one, by index."""

    n: int = 4

    def bind(self, train, seed):
        return BoundNeighbours(self.n, train.n_items)

    def shape(self, batch_size, n_items):
        return PerRowNegatives.shape(batch_size, self.n, n_items)


@dataclass(frozen=True)
class BoundNeighbours(BoundSampler):
    n: int
    n_items: int

    def draw(self, user, item, row, epoch):
        return PerRowNegatives(ids=(item[:, None] + torch.arange(1, self.n + 1)) % self.n_items)


LOG = taurec.planted(n_users=60, n_items=40, seed=1, noise=0.2).log
SMALL = {"epochs": 2, "batch_size": 64, "kernel": "torch", "settings": {"backbone": {"dim": 8}}}


def fitted(**more):
    given = {"loss": MeanGap(0.25), "negatives": Neighbours(), **SMALL, **more}
    return taurec.Recommender("mf", **given).fit(LOG)


def test_objects_classes_and_names_give_the_same_run() -> None:
    model = fitted()
    assert model.run.label == "mf:MeanGap"
    written = json.loads(model.run.to_json())
    assert written["loss"] == {"name": f"{__name__}:MeanGap", "settings": {"margin": 0.25}, "version": None}
    assert written["negatives"]["name"] == f"{__name__}:Neighbours"
    assert written["backbone"] == {"name": "mf", "settings": {"dim": 8, "init": "xavier_uniform"}}
    named = fitted(loss=f"{__name__}:MeanGap:0.25", negatives=Neighbours)
    assert named.run == model.run
    assert np.array_equal(named.embeddings()[1], model.embeddings()[1])
    assert Run.from_document(written) == model.run


def test_an_object_of_a_built_in_class_is_the_built_in_name() -> None:
    run = taurec.Recommender(loss=SL(tau=0.3)).run
    assert run.loss.name == "sl"
    assert run.loss.settings["tau"] == 0.3
    assert run == taurec.Recommender(loss="sl:0.3").run
    with pytest.raises(taurec.UsageError, match="EASE cannot be a loss"):
        taurec.Recommender(loss=EASE())


class Hidden(MeanGap):
    """Changes what it is given."""

    def __init__(self, margin: float = 0.5):
        object.__setattr__(self, "margin", margin + 1)


class NotPlain(MeanGap):
    """Has a setting that is not a plain value."""

    def __init__(self, margin: object = None):
        object.__setattr__(self, "margin", margin)


class Forgets(MeanGap):
    """Does not keep its parameter."""

    def __init__(self, other: float = 1.0):
        pass


def test_an_object_that_a_run_cannot_record_is_refused_with_the_remedy() -> None:
    @dataclass(frozen=True)
    class Local(MeanGap):
        pass

    for loss, message in (
        (Hidden(), "made from its own settings"),
        (NotPlain(torch.ones(1)), "frozen dataclass of plain values"),
        (Forgets(), "does not keep its parameter 'other'"),
        (Local(), "defined inside a function"),
        (3, "int cannot be a loss: it has no"),
    ):
        with pytest.raises(taurec.UsageError, match=message):
            taurec.Recommender(loss=loss)


def test_it_is_compared_and_shown_in_a_page() -> None:
    fields = {**SMALL, "negatives": Neighbours()}
    found = taurec.compare(LOG, [MeanGap(0.25), "mf:sl", ("lightgcn", MeanGap)], tune="none", fields=fields)
    assert [row.label for row in found.rows[:3]] == ["mf:MeanGap", "mf:sl", "lightgcn:MeanGap"]
    assert "mf:MeanGap" in render(result_page(found))
    with pytest.raises(taurec.UsageError, match="two models are named mf:MeanGap"):
        taurec.compare(LOG, [MeanGap(0.25), MeanGap(0.5)], fields=fields)


def test_a_comparison_says_where_nothing_was_varied() -> None:
    found = taurec.compare(LOG, [MeanGap], tune="all", fields=SMALL)
    assert any("mf:MeanGap was compared with one setting" in note for note in found.notes)


def test_a_recipe_takes_objects() -> None:
    run = Recipe("planted", {"loss": MeanGap(0.1), "negatives": Neighbours(2)}).run("honest", seed=1)
    assert (run.loss.settings, run.negatives.settings) == ({"margin": 0.1}, {"n": 2})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_loss.py").write_text(LOSS)
    rows = (f"{u},{i}" for u, i in zip(LOG.user_of, LOG.indices, strict=True))
    (tmp_path / "log.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    return tmp_path


def command(*words: str):
    return CliRunner().invoke(app, [*words, "--quiet"])


TRAIN = ["log.csv", "--epochs", "1", "--batch-size", "256", "--set", "backbone.dim=8", "--set", "kernel=torch"]


def test_on_the_command_line_and_without_the_plug_in_afterwards(folder: Path) -> None:
    done = command("train", *TRAIN, "--loss", "./my_loss.py:MeanGap:0.25", "--out", "saved")
    assert done.exit_code == 0, done.output
    assert json.loads((folder / "saved" / "run.json").read_text())["loss"] == {
        "name": "my_loss.py:MeanGap", "settings": {"margin": 0.25}, "version": ANY,
    }  # fmt: skip
    (folder / "my_loss.py").write_text("raise AssertionError('imported')")
    code = (
        "import sys, taurec\n"
        "model = taurec.Recommender.load('saved')\n"
        "assert len(model.recommend('0', k=5)) == 5\n"
        "assert 'my_loss.py' not in sys.modules\n"
        "try:\n"
        "    model.fit('log.csv')\n"
        "except taurec.UsageError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert "this run cannot be fitted here" in said.stdout
    assert "does not run a file" in said.stdout
    assert "ranks without it" in said.stdout


def test_compare_takes_a_file_on_the_command_line(folder: Path) -> None:
    done = CliRunner().invoke(
        app,
        [
            "compare",
            "log.csv",
            "--set",
            "kernel=torch",
            "--models",
            "mf:./my_loss.py:MeanGap",
            "--tune",
            "none",
            "--epochs",
            "1",
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "mf:MeanGap" in {row["label"] for row in json.loads(done.stdout)["rows"]}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("./none.py:MeanGap", "there is no file none.py"),
        ("./my_loss.py:MeanGpa", "has no MeanGpa"),
        ("./my_loss.py:dataclass", "not a class"),
        ("no_such_module:MeanGap", "No module named 'no_such_module'"),
        ("bsll:x", "did you mean 'bsl'"),
        ("os:system", "not a class"),
        ("subprocess:Popen", "cannot be a loss"),
    ],
)
def test_what_is_not_a_loss_is_refused(folder: Path, loss: str, message: str) -> None:
    with pytest.raises(taurec.UsageError, match=message):
        taurec.Recommender(loss=loss)
