"""An embedding loss, added from outside: alignment of the pairs and uniformity of users and of items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from taurec import Interactions, Recommender, UsageError
from taurec.losses import EmbeddingLoss, require_number

FAST = {"epochs": 3, "batch_size": 64, "threads": 1}


@dataclass(frozen=True)
class AlignUniform(EmbeddingLoss):
    """mean |u - v|^2 + gamma (log mean exp(-2 |u - u'|^2) + the same of items) / 2, over different rows."""

    gamma: float = 1.0

    scores = "cosine"

    def __post_init__(self) -> None:
        require_number(self, "gamma", least=0)

    def __call__(self, user, item):
        align = (user - item).square().sum(1).mean()
        return align + self.gamma * (uniform(user) + uniform(item)) / 2


def uniform(x: torch.Tensor) -> torch.Tensor:
    """log mean exp(-2 |x - y|^2) over different rows; 0 for one row."""
    if len(x) < 2:
        return x.sum() * 0
    different = ~torch.eye(len(x), dtype=torch.bool)
    distance = (2 - 2 * (x @ x.T))[different]
    return torch.logsumexp(-2 * distance, 0) - torch.log(torch.tensor(float(len(distance))))


def fit(log, backbone: str = "mf", **fields) -> Recommender:
    return Recommender(backbone, AlignUniform, **{**FAST, **fields}).fit(log)


@pytest.mark.parametrize("backbone", ["mf", "lightgcn", "simplex"])
@pytest.mark.parametrize("kernel", ["auto", "torch"])
def test_it_trains_without_negatives(backbone: str, kernel: str, log) -> None:
    model = fit(log, backbone, kernel=kernel)
    assert model.run.negatives.name == "none"
    assert model.records[-1].loss < model.records[0].loss
    assert model.records[-1].rows_without_negatives == 0


def test_a_step_is_the_formula(log) -> None:
    """The loss of the first step is that of the initial vectors of its pairs, of length 1."""
    model = fit(log, epochs=1, batch_size=10_000, lr=1e-9, split="none")
    user, item = (F.normalize(torch.from_numpy(x), dim=1) for x in model.embeddings())
    train = model.split.train
    expected = AlignUniform()(user[train.user_of.tolist()], item[train.indices.tolist()])
    assert model.records[0].loss == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("mode", ["gathered", "sum", "tables", "unsquared", "adam"])
def test_every_form_of_l2_applies(mode: str, log) -> None:
    with_l2, without = fit(log, l2=0.1, l2_mode=mode), fit(log)
    assert np.isfinite(with_l2.embeddings()[0]).all()
    assert not np.array_equal(with_l2.embeddings()[0], without.embeddings()[0])


def test_stopped_after_any_epoch_it_ends_with_the_same_bits(log, tmp_path) -> None:
    whole, path = fit(log), tmp_path / "checkpoint"
    for _ in range(3):
        found = Recommender("mf", AlignUniform, **FAST).fit(log, resume=path, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.embeddings()[0], whole.embeddings()[0])


def test_negatives_and_weights_are_refused(log) -> None:
    with pytest.raises(UsageError, match=r"AlignUniform' uses no negatives, got uniform\("):
        Recommender("mf", AlignUniform, negatives="uniform:8")
    user, item = log.user_of, log.indices
    weighted = Interactions.from_pairs(user, item, weight=np.ones(len(user), np.float32))
    with pytest.raises(UsageError, match="AlignUniform has one value per batch, so the weights"):
        fit(weighted)


def test_a_loss_of_negatives_refuses_to_run_without(log) -> None:
    with pytest.raises(UsageError, match="'sl' compares each pair with negatives, and this run draws none"):
        Recommender("mf", "sl", negatives="none", **FAST).fit(log)
