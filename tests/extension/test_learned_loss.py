"""A loss with a learned number per user, added from outside: a margin that Adam trains with the backbone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from taurec import UsageError, planted, split
from taurec.losses import SL, LossState, ScoreLoss, checked, checked_row_input, present
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

PARTS = split(planted(n_users=80, n_items=40, seed=3).log, "ratio", valid=0.15, test=0.15, seed=0)
SMALL = {"epochs": 4, "batch_size": 16, "negatives": "uniform:8", "settings": {"backbone": {"dim": 8}}, "patience": 999}


@dataclass(frozen=True)
class UserMargin(ScoreLoss):
    """SL of the pair's score minus a margin of its user, pulled to its start by a square."""

    start: float = 0.1
    strength: float = 1.0
    lr: float | None = None

    needs = frozenset({"pos_margin"})

    def state(self, train, seed):
        return Margins(self, train.n_users)

    def __call__(self, pos, neg, *, pos_margin=None):
        pos, neg = checked(pos, neg)
        margin = checked_row_input("pos_margin", pos_margin, pos, "UserMargin")
        value = SL(0.2)(pos - margin, neg) + self.strength * (margin - self.start).square()
        return present(value, (neg > -torch.inf).sum(1))


class Margins(LossState):
    """A margin per user, trained by Adam; and how many steps each user was in, counted by its own rule."""

    supplies = frozenset({"pos_margin"})

    def __init__(self, loss: UserMargin, n_users: int):
        self.margin = nn.Parameter(torch.full((n_users, 1), loss.start))
        self.lr = loss.lr
        self.seen = np.zeros(n_users, np.int64)

    def parameters(self):
        return {"margin": self.margin}

    def side(self, batch):
        return {"pos_margin": F.embedding(batch.user, self.margin)[:, 0]}

    def observe(self, batch, pos, neg):
        self.seen[batch.user.unique().numpy()] += 1

    def state(self):
        return {"seen": self.seen.copy()}

    def load_state(self, state):
        self.seen[:] = state["seen"]


def trainer(**fields) -> Trainer:
    return Trainer(resolve(**{**SMALL, "loss": UserMargin, **fields}), PARTS.train, PARTS.valid)


def margins(found: Trainer) -> np.ndarray:
    assert isinstance(found.step.loss_state, Margins)
    return found.step.loss_state.margin.detach().numpy()[:, 0]


def test_adam_trains_it_with_the_backbone() -> None:
    one = trainer()
    one.fit()
    assert len(set(margins(one).tolist())) > 20
    assert one.step.loss_state.seen.sum() > 0


def test_it_has_a_learning_rate_of_its_own_if_it_says_so() -> None:
    settings = {"backbone": {"dim": 8}, "loss": {"lr": 1e-6}}
    one = trainer(settings=settings)
    one.fit()
    assert np.abs(margins(one) - 0.1).max() < 1e-3


@pytest.mark.parametrize("kernel", ["auto", "torch"])
@pytest.mark.parametrize("negatives", ["uniform:8", "in-batch", "full"])
def test_every_layout_trains(kernel: str, negatives: str) -> None:
    found = trainer(kernel=kernel, negatives=negatives, epochs=2).fit()
    assert all(np.isfinite(r.loss) for r in found.records)


@pytest.mark.parametrize("fields", [{}, {"lr_schedule": "cosine"}, {"backbone": "lightgcn"}], ids=str)
def test_stopped_after_any_epoch_it_ends_with_the_same_bits(fields: dict, tmp_path) -> None:
    whole, path = trainer(**fields), tmp_path / "run.safetensors"
    expected = whole.fit()
    for _ in range(4):
        part = trainer(**fields)
        found = part.fit(path, every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, expected.ranker.user)
    assert np.array_equal(margins(part), margins(whole))
    assert np.array_equal(part.step.loss_state.seen, whole.step.loss_state.seen)
    assert [(r.loss, r.metrics) for r in found.records] == [(r.loss, r.metrics) for r in expected.records]


def test_a_checkpoint_of_another_version_of_the_plug_in_is_refused(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    run = resolve(**{**SMALL, "loss": UserMargin})
    first, second = (run.but(loss=run.loss.model_copy(update={"version": v})) for v in ("1.0", "1.1"))
    Trainer(first, PARTS.train, PARTS.valid).fit(path, every=0.0, seconds=0.0)
    with pytest.raises(UsageError, match=r"loss.*1\.0.*1\.1"):
        Trainer(second, PARTS.train, PARTS.valid).fit(path)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path) -> None:
    path, kills = tmp_path / "run.safetensors", 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(3):
        command = [sys.executable, "-c", f"from {__name__} import train; train({str(path)!r})"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        first = child.stdout.readline()
        while first and child.stdout.readline() == first:  # until its first epoch is over and its checkpoint written
            pass
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.communicate()
    assert kills
    resumed, whole = trainer(epochs=40), trainer(epochs=40)
    a, b = resumed.fit(path), whole.fit()
    assert resumed.notes[0].startswith("going on after epoch")
    assert np.array_equal(a.ranker.user, b.ranker.user)
    assert np.array_equal(margins(resumed), margins(whole))


def train(path: str) -> None:
    """What the process does that the last test kills."""
    run = resolve(**{**SMALL, "loss": UserMargin, "epochs": 40})
    Trainer(run, PARTS.train, PARTS.valid, lambda p: print(p.epoch, flush=True)).fit(Path(path), every=0.0)
