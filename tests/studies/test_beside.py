"""Remarks on a training: a closed form on the same validation part, and a training that ended too early."""

from __future__ import annotations

import re

import pytest

from taurec import Recommender
from taurec.data.planted import planted
from taurec.studies import beside

LOG = planted(n_users=80, n_items=40, seed=3, noise=0.2).log
FAST = {"kernel": "torch", "negatives": "uniform:8", "batch_size": 128}


def test_a_closed_form_stands_beside_a_trained_model() -> None:
    model = Recommender("mf", "sl", epochs=12, patience=2, lr=0.05, **FAST).fit(LOG)
    other = Recommender(model="ease-normalised").fit(LOG).metrics["valid"]["ndcg@20"]
    (said,) = beside.remarks(model)
    assert f"ease-normalised with its default settings, a closed form, has ndcg@20 {other:.4f}" in said
    assert f"mf:sl has {model.metrics['valid']['ndcg@20']:.4f}" in said


@pytest.mark.parametrize(("schedule", "warned"), [("constant", True), ("linear", False)])
def test_the_last_epoch_is_warned_about(schedule: str, warned: bool) -> None:
    model = Recommender("mf", "sl", epochs=3, patience=2, lr=0.02, lr_schedule=schedule, **FAST).fit(LOG)
    assert model.best is not None
    assert model.best.epoch == 3
    said = "\n".join(beside.remarks(model))
    assert bool(re.search(r"the last one allowed \(3\), so more may be better: --epochs 6", said)) == warned


def test_no_closed_form_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "AT_MOST", -1.0)
    model = Recommender("mf", "sl", epochs=3, patience=1, lr_schedule="linear", **FAST).fit(LOG)
    assert not list(beside.remarks(model))


def test_nothing_is_said_of_what_is_not_trained() -> None:
    assert not list(beside.remarks(Recommender(model="ease").fit(LOG)))
    assert not list(beside.remarks(Recommender("mf", "sl", epochs=1, split="none", **FAST).fit(LOG)))
