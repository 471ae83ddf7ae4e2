"""Further positives of a row's user: which are drawn, how they are scored, and that training with them resumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from taurec import Interactions, planted, split
from taurec.losses import SL, ScoreLoss
from taurec.sampling import NEGATIVES
from taurec.sampling.positives import AddPositives
from taurec.scoring import batch_scores
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

PARTS = split(planted(n_users=60, n_items=40, seed=1).log, "ratio", seed=0)
LAYOUTS = ["uniform:5", "shared:5", "in-batch", "full", "popularity:5"]


@dataclass(frozen=True)
class MeanOfPositives(ScoreLoss):
    """SL of the mean of the pair's score and those of two further positives."""

    m: int = 2

    needs = frozenset({"more"})

    @property
    def more_positives(self) -> int:
        return self.m

    def __call__(self, pos, neg, *, more=None):
        return SL(0.2)(torch.cat([pos[:, None], more], 1).mean(1), neg)


def built(name: str) -> AddPositives:
    head, _, n = name.partition(":")
    return AddPositives(NEGATIVES.build(head, given={"n": int(n)} if n else {}), 3)


def test_they_are_drawn_uniformly_from_the_users_items() -> None:
    train = Interactions.from_pairs([0, 0, 0, 1, 2, 2], [1, 4, 6, 2, 0, 5])
    row = torch.zeros(8000, dtype=torch.int64)
    user = torch.arange(8000) % 3
    bound = AddPositives(NEGATIVES.build("uniform"), 2).bind(train, seed=3)
    more = bound.draw(user, row, torch.arange(8000), epoch=1).more
    for u, items in enumerate([[1, 4, 6], [2], [0, 5]]):
        found, counts = more[user == u].unique(return_counts=True)
        assert found.tolist() == items
        expected = 2 * int((user == u).sum()) / len(items)
        assert ((counts - expected).abs() < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("score", ["cosine", "dot", "neg_sq_dist"])
def test_scores_are_those_of_the_positives_and_then_of_the_negatives(name: str, score: str) -> None:
    train, how = PARTS.train, built(name)
    row = torch.arange(7)
    user, item = (torch.from_numpy(x[:7].astype(np.int64)) for x in (train.user_of, train.indices))
    vectors = torch.randn(7, 4, dtype=torch.float64), torch.randn(train.n_items, 4, dtype=torch.float64)
    got = how.bind(train, seed=0).draw(user, item, row, epoch=0)
    pos, both = batch_scores(*vectors, item, got, score)
    alone = batch_scores(*vectors, item, got.negatives, score)
    torch.testing.assert_close(pos, alone[0])
    torch.testing.assert_close(both[:, 3:], alone[1])
    for column in range(3):
        torch.testing.assert_close(
            both[:, column], batch_scores(*vectors, got.more[:, column], got.negatives, score)[0]
        )


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_items_of_the_columns_are_those_that_are_scored(name: str) -> None:
    train = PARTS.train
    how, row = built(name).sampler, torch.arange(7)
    user, item = (torch.from_numpy(x[:7].astype(np.int64)) for x in (train.user_of, train.indices))
    got = how.bind(train, seed=0).draw(user, item, row, epoch=0)
    items = got.items(item)
    if name == "full":
        assert items is None
        return
    vectors = torch.ones(7, 1, dtype=torch.float64), torch.arange(train.n_items, dtype=torch.float64)[:, None]
    scores = batch_scores(*vectors, item, got, "dot")[1]
    assert torch.equal(items.expand(scores.shape).double()[scores > -torch.inf], scores[scores > -torch.inf])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("backbone", ["mf:8", "lightgcn:8:2"])
@pytest.mark.parametrize("kernel", ["auto", "torch"])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_stopped_after_every_epoch_training_ends_with_the_same_bits(name, backbone, kernel, l2, tmp_path) -> None:
    fields = {"l2": l2, "kernel": kernel, "batch_size": 64, "epochs": 3}
    run = resolve(backbone=backbone, loss=MeanOfPositives, negatives=name, **fields)
    whole, path = Trainer(run, PARTS.train, PARTS.valid).fit(), tmp_path / "run.safetensors"
    for _ in range(3):
        found = Trainer(run, PARTS.train, PARTS.valid).fit(path, every=0.0, seconds=0.0)
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert found.records[-1].loss < found.records[0].loss


def test_a_step_is_the_formula() -> None:
    """The loss of the first step from the first vectors, which are read before the step moves them."""
    run = resolve(backbone="mf:8", loss=MeanOfPositives, negatives="uniform:5", batch_size=32, l2=0.0, epochs=1)
    trainer = Trainer(run, PARTS.train)
    user, item = (x.clone() for x in trainer.vectors())
    batch = next(trainer.batches(1))
    value, _ = trainer.step(batch, 1, 1)
    ids = torch.cat([batch.item[:, None], batch.negatives.more, batch.negatives.negatives.ids], 1)
    scores = torch.einsum("bd,bnd->bn", user[batch.user], item[ids])
    expected = SL(0.2)(scores[:, :3].mean(1), scores[:, 3:]).mean()
    assert value == pytest.approx(float(expected), rel=1e-5)
