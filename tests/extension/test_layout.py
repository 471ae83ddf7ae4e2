"""A layout of one's own: each row's negatives are given by an index [B, N] into a set [M] that all rows share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from taurec import Interactions, draw, planted, split
from taurec.sampling import BoundSampler, Layout, Sampler
from taurec.sampling.layouts import positive_scores
from taurec.scoring import batch_scores
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import StepShape


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexedNegatives(Layout):
    """Ids [M] drawn once a batch, and for each row which of them are its negatives, [B, N]."""

    ids: Tensor
    index: Tensor

    def drawn(self) -> Tensor:
        return self.ids

    def at(self, places: Tensor) -> IndexedNegatives:
        return replace(self, ids=places)

    def scores(self, user, item, positive, kernel, d_item):
        return positive_scores(user, item, positive), (user @ F.embedding(self.ids, item).T).gather(1, self.index)


@dataclass(frozen=True)
class Pooled(Sampler):
    """n of a pool of m uniform items for each row."""

    n: int = 4
    m: int = 12

    def bind(self, train: Interactions, seed: int) -> BoundPooled:
        return BoundPooled(self, train.n_items, seed)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return StepShape(self.n, batch_size + self.m, batch_size * self.m)


class BoundPooled(BoundSampler):
    def __init__(self, how: Pooled, n_items: int, seed: int):
        self.how, self.n_items, self.seed = how, n_items, seed

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> IndexedNegatives:
        ids = draw.integers(draw.key(self.seed, "pool", epoch), [int(row.min())], self.n_items, self.how.m)[0]
        index = draw.integers(draw.key(self.seed, "index", epoch), row.numpy(), self.how.m, self.how.n)
        return IndexedNegatives(ids=torch.from_numpy(ids), index=torch.from_numpy(index))


def test_scores_are_those_of_the_items_it_points_to() -> None:
    user, item = torch.randn(3, 5, dtype=torch.float64), torch.randn(9, 5, dtype=torch.float64)
    negatives = IndexedNegatives(ids=torch.tensor([4, 8, 0]), index=torch.tensor([[0, 2], [1, 1], [2, 0]]))
    pos, neg = batch_scores(user, item, torch.tensor([1, 2, 3]), negatives, "dot")
    for b, ids in enumerate([[4, 0], [8, 8], [0, 4]]):
        assert neg[b].tolist() == pytest.approx([float(user[b] @ item[i]) for i in ids])
    assert pos.tolist() == pytest.approx([float(user[b] @ item[b + 1]) for b in range(3)])


@pytest.mark.parametrize("backbone", ["mf:8", "lightgcn:8:2"])
@pytest.mark.parametrize("kernel", ["auto", "torch"])
@pytest.mark.parametrize("score", ["cosine", "dot"])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_it_trains(backbone: str, kernel: str, score: str, l2: float) -> None:
    parts = split(planted(n_users=60, n_items=600, seed=1).log, "ratio", seed=0)
    fields = {"train_score": score, "rank_score": score, "l2": l2, "kernel": kernel, "batch_size": 16, "epochs": 3}
    run = resolve(backbone=backbone, loss="sl", negatives=Pooled(4), **fields)
    trained = Trainer(run, parts.train, parts.valid).fit()
    losses = [r.loss for r in trained.records]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
