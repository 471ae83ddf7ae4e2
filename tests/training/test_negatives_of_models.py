"""Negatives that depend on the model, on earlier steps or on files, in training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taurec import planted, split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.run import Choice, Run
from taurec.sampling.positives import PositivesAndNegatives
from taurec.training.presets import resolve
from taurec.training.sampler import sampler_of
from taurec.training.trainer import Trainer

TITLES = Vocabulary([f"no {i}" for i in range(200)])
PARTS = split(dataclasses.replace(planted(n_users=40, n_items=200, seed=1).log, items=TITLES), "ratio", seed=0)
NAMES = ["dns:4", "pool-softmax:4", "genni:4:4:true:1:0.1:3", "mixed:8", "cross-batch:64", "loop:4", "interpolated:4"]
NAMES += ["interpolated:4:0.3:positive", "mixgcf:4:4", "esans:8:4:2:0.5:1:2"]
names = pytest.mark.parametrize("negatives", NAMES)
FROM_FILES = ["provided:4", "semantic:4", "hnlmrec:2"]


def run_of(negatives: str, **fields: Any) -> Run:
    fields = {"backbone": "mf:8", "loss": "sl", "epochs": 3, "batch_size": 32, **fields}
    return resolve(negatives=negatives, **fields)


@pytest.mark.parametrize("negatives", NAMES + FROM_FILES)
def test_a_run_survives_a_kill_after_every_epoch(negatives: str, tmp_path: Path) -> None:
    settings = {}
    if negatives == "provided:4":
        given = tmp_path / "given.csv"
        given.write_text("user,item\n" + "".join(f"{u},no {i}\n" for u in range(30) for i in range(u, 200, 17)))
        settings = {"negatives": {"path": str(given)}}
    run, path = run_of(negatives, settings=settings), tmp_path / "run.safetensors"
    whole = Trainer(run, PARTS.train, PARTS.valid).fit()
    for _ in range(3):
        found = Trainer(run, PARTS.train, PARTS.valid).fit(path, every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert [r.loss for r in found.records] == [r.loss for r in whole.records]


@names
@pytest.mark.parametrize("fields", [{"backbone": "lightgcn:8:2"}, {"kernel": "torch", "l2": 0.01}])
def test_it_trains(negatives: str, fields: dict[str, Any]) -> None:
    trained = Trainer(run_of(negatives, epochs=2, **fields), PARTS.train).fit()
    assert np.isfinite([r.loss for r in trained.records]).all()
    assert not trained.records[-1].rows_without_negatives


@pytest.mark.parametrize("negatives", ["dns:4", "loop:4", "interpolated:4", "mixgcf:4:4", "cross-batch:64"])
def test_dot_scores_and_other_backbones(negatives: str) -> None:
    for backbone in ("ngcf:8:2", "simplex:8"):
        fields = {"train_score": "dot", "rank_score": "dot", "epochs": 1, "lr": 0.001}
        if backbone == "simplex:8" and negatives == "mixgcf:4:4":
            fields |= {"train_score": "cosine", "rank_score": "cosine"}
        trained = Trainer(run_of(negatives, backbone=backbone, **fields), PARTS.train).fit()
        assert np.isfinite(trained.records[0].loss)


def test_more_positives_and_layers_go_together() -> None:
    """A sampler within another one is told of the layers, and counted with its vectors."""
    trainer = Trainer(run_of("mixgcf:4:4", loss="mscl", backbone="lightgcn:8:2", epochs=2), PARTS.train)
    assert isinstance(next(trainer.batches(1)).negatives, PositivesAndNegatives)
    alone, shape = (sampler_of(trainer.run.but(loss=Choice(name=n))).shape(64, 90) for n in ("sl", "mscl"))
    assert shape.vectors == alone.vectors > 0
    assert shape.held == alone.held + 64 * trainer.step.objective.more_positives
    trained = trainer.fit()
    assert trained.records[1].loss < trained.records[0].loss


def test_logq_is_refused_where_the_model_decides() -> None:
    with pytest.raises(UsageError, match="do not know"):
        Trainer(run_of("dns:4", logq=True), PARTS.train)


def test_logq_of_a_mixture_is_passed_on() -> None:
    for negatives in ("mixed:8", "cross-batch:64", "esans:8:4:2"):
        trained = Trainer(run_of(negatives, logq=True, epochs=2), PARTS.train).fit()
        assert np.isfinite(trained.records[-1].loss)
