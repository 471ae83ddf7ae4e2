"""A sampler of one's own that looks at the model's vectors and remembers something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from taurec import Interactions, draw, planted, split
from taurec.run import Run
from taurec.sampling import BoundSampler, PerRowNegatives, Sampler
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch, Negatives, StepShape


@dataclass(frozen=True)
class HardestOfPool(Sampler):
    """The n items of a uniform pool with the highest scores, less what was drawn often before."""

    n: int = 4
    pool: int = 16

    needs: ClassVar[frozenset[str]] = frozenset({"vectors", "steps"})

    def bind(self, train: Interactions, seed: int) -> BoundHardest:
        return BoundHardest(self, train.n_items, seed)

    def shape(self, batch_size: int, n_items: int) -> StepShape:
        return PerRowNegatives.shape(batch_size, self.n, n_items)


class BoundHardest(BoundSampler):
    def __init__(self, how: HardestOfPool, n_items: int, seed: int):
        self.how, self.n_items, self.seed = how, n_items, seed
        self.seen = np.zeros(n_items)
        self.steps = 0

    def look(self, vectors) -> None:
        self.vectors = vectors

    def draw(self, user: Tensor, item: Tensor, row: Tensor, epoch: int) -> Negatives:
        pool = draw.integers(draw.key(self.seed, "pool", epoch), row.numpy(), self.n_items, self.how.pool)
        users, items = self.vectors()
        scores = torch.einsum("bd,bpd->bp", users[user], items[torch.from_numpy(pool)])
        scores = scores - torch.from_numpy(0.01 * self.seen[pool]).float()
        best = scores.topk(self.how.n, dim=1).indices.numpy()
        ids = np.take_along_axis(pool, best, 1)
        np.add.at(self.seen, ids.reshape(-1), 1)
        return PerRowNegatives(ids=torch.from_numpy(ids))

    def observe(self, batch: Batch, user: Tensor, item: Tensor) -> None:
        assert user.shape == item.shape == (len(batch.user), 8)
        assert torch.allclose(item.norm(dim=1), torch.ones(len(item)))
        self.steps += 1

    def state(self) -> Mapping[str, NDArray[Any]]:
        return {"seen": self.seen, "steps": np.array([self.steps])}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.seen, self.steps = state["seen"].copy(), int(state["steps"][0])


PARTS = split(planted(n_users=60, n_items=40, seed=1).log, "ratio", seed=0)


@pytest.fixture
def run() -> Run:
    return resolve(backbone="mf:8", loss="sl", negatives=HardestOfPool(4), epochs=4, batch_size=32)


def test_it_trains_and_sees_every_step(run: Run) -> None:
    trainer = Trainer(run, PARTS.train, PARTS.valid)
    trained = trainer.fit()
    assert np.isfinite([r.loss for r in trained.records]).all()
    assert trainer.negatives.steps == 4 * trainer.order.steps(1)
    assert trainer.negatives.seen.sum() == 4 * 4 * len(PARTS.train)


@pytest.mark.parametrize("tables", ["rows", "whole"])
def test_it_observes_the_vectors_that_the_step_scored(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of before the step, whether the step updates rows of the tables or whole tables in place."""
    run = resolve(backbone="mf:8", loss="sl", negatives=HardestOfPool(), batch_size=16, lr=0.5)
    if tables == "whole":
        monkeypatch.setattr("taurec.training.plain.DENSE_RATIO", 1 << 30)
    trainer, seen = Trainer(run, PARTS.train), []
    monkeypatch.setattr(trainer.negatives, "observe", lambda batch, user, item: seen.append((user, item)))
    user, item = trainer.vectors()
    user, item = user.clone(), item.clone()
    batch = next(trainer.batches(1))
    trainer.step(batch, 1, 1)
    torch.testing.assert_close(seen[0][0], user[batch.user])
    torch.testing.assert_close(seen[0][1], item[batch.item])


def test_its_state_survives_a_kill(run: Run, tmp_path: Path) -> None:
    """Stopped after every epoch and built anew each time, training ends with the same bits."""
    whole, path = Trainer(run, PARTS.train, PARTS.valid).fit(), tmp_path / "run.safetensors"
    for _ in range(4):
        found = Trainer(run, PARTS.train, PARTS.valid).fit(path, every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert [r.loss for r in found.records] == [r.loss for r in whole.records]
