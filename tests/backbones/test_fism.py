"""FISM: the worked example of its formulas, identities, layouts of negatives, and laws of training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from taurec.backbones import FISM
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

HISTORIES = [[0, 1], [1, 2, 3], [0, 3]]
USER, ITEM = [0, 0, 1, 1, 1, 2, 2], [0, 1, 1, 2, 3, 0, 3]
LOG = Interactions.from_pairs(USER, ITEM)
P = [[0.5, 0.2], [-0.3, 0.8], [0.6, -0.4], [0.1, 0.9]]
Q = [[0.7, 0.1], [0.2, -0.5], [-0.4, 0.6], [0.3, 0.3]]
COSINE = [5.66839765464, 4.59916183912, 3.35431211284, 0.0933530542738, 0.0579951057209, 1.37148353134, 0.0985492413809]
COSINE_P = [
    [-3.37776664286, 6.65163131358],
    [-0.927433927750, -2.16038319659],
    [0.172473035888, 1.96053012323],
    [-4.3557059944, 3.24992473873],
]
COSINE_Q = [
    [0.619118582921, -4.33383008044],
    [-10.6844367486, -4.27377469945],
    [4.88574632621, 3.25716421748],
    [-4.40835577978, 4.40835577978],
]
DOT = [1.38568310184, 1.31755881048, 0.854482857148, 0.513669033554, 0.752547949042, 1.05107564378, 1.02822177521]
DOT_P = [
    [-0.342505610688, 0.562500027278],
    [0.037698007555, 0.219195634724],
    [0.259991712758, 0.093033785988],
    [0.017558973810, 0.169111015857],
]
DOT_Q = [
    [0.280626604420, 0.059546072624],
    [-0.179766292944, 0.082811851409],
    [0.355573536566, 0.623075177439],
    [-0.143557441511, 0.214830416964],
]
PLAIN = torch.tensor([len(HISTORIES[u]) ** -0.5 for u in USER], dtype=torch.float64)


def made(log: Interactions = LOG, **fields: Any) -> Trainer:
    """A trainer of FISM whose tables are P and Q, in float64."""
    settings = {"backbone": {"dim": 2, **fields.pop("backbone", {})}, "loss": fields.pop("loss_settings", {})}
    given = {"loss": "ssm", "negatives": "full", "batch_size": 64, "threads": 1, **fields}
    found = Trainer(resolve(backbone="fism", settings=settings, **given), log)
    found.backbone.double()
    with torch.no_grad():
        found.backbone.item.copy_(torch.tensor(Q, dtype=torch.float64))
        found.backbone.tables()[0].copy_(torch.tensor(P, dtype=torch.float64))
    return found


def step(trainer: Trainer, kernel: str = "torch") -> tuple[Tensor, list[Tensor]]:
    """The sum over the rows of weight times loss, and its gradients of P and Q."""
    batch = next(trainer.batches(1))
    if batch.weight is not None:
        batch.weight.data = batch.weight.double()
    forward = trainer.step.forward
    value = forward(trainer.step._step_input(forward.embed(batch), batch), batch, 1).value
    weight = torch.ones(len(batch.row)) if batch.weight is None else batch.weight
    value = value * weight.sum()
    return value.detach(), list(torch.autograd.grad(value, list(trainer.backbone.tables())))


def near(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-6)


def test_the_worked_example_of_cosines() -> None:
    value, (of_p, of_q) = step(made(loss_settings={"tau": 0.2}))
    near(value, 10.3237249886)
    near(of_p, COSINE_P)
    near(of_q, COSINE_Q)
    assert float((torch.tensor(P) * of_p).sum()) == pytest.approx(0, abs=1e-6)
    assert (torch.tensor(Q) * of_q).sum(1).tolist() == pytest.approx([0] * 4, abs=1e-6)
    assert float((torch.tensor(COSINE) * PLAIN).sum()) == pytest.approx(10.3237249886)


def test_the_worked_example_of_sl_and_of_the_exact_form() -> None:
    near(step(made(loss="sl", loss_settings={"tau": 0.2}))[0], 5.35713426072)
    value, (of_p, _) = step(made(loss_settings={"tau": 0.2}, backbone={"exact": True}))
    near(value, 12.775245102)
    near(of_p[0], [-3.34123426828, 8.3530856707])


def test_the_worked_example_of_dot_products() -> None:
    dot = {"train_score": "dot", "rank_score": "dot", "loss_settings": {"tau": 1.0}}
    value, (of_p, of_q) = step(made(**dot))
    near(value, 4.6061526158)
    near(of_p, DOT_P)
    near(of_q, DOT_Q)
    both = [float((torch.tensor(t) * g).sum()) for t, g in ((P, of_p), (Q, of_q))]
    assert both == pytest.approx([0.378031630536] * 2, abs=1e-6)
    assert float((torch.tensor(DOT) * PLAIN).sum()) == pytest.approx(4.6061526158)
    near(step(made(**dot, backbone={"exact": True}))[0], 4.39352897823)


def test_the_worked_example_of_a_history() -> None:
    for score, expected in (
        ("cosine", [0.332820117735, -0.837610596839, 0.707106781187, 0.832050294338]),
        ("dot", [0.169705627485, -0.325269119346, 0.367695526217, 0.254558441227]),
    ):
        trainer = made(train_score=score, rank_score=score)
        trainer.backbone.float()
        ranker = trainer.ranker()
        np.testing.assert_allclose(ranker.block(np.array([0]))[0], expected, rtol=0, atol=1e-6)
        formula = ranker.fold_in()
        assert formula is not None
        np.testing.assert_allclose(formula.scores([0, 1]), expected, rtol=0, atol=1e-6)
