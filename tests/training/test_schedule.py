"""The step size falls as stated, on every kind of table."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.run import Run
from taurec.training.plain import StepInput
from taurec.training.presets import resolve
from taurec.training.step import Step
from taurec.training.trainer import Trainer

LOG = planted(n_users=60, n_items=40, seed=1).log


def watched_rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The step size of every step that is made from here on."""
    seen, call = list[float](), Step.__call__
    monkeypatch.setattr(Step, "__call__", lambda step, *a: (call(step, *a), seen.append(step.optimizer.lr))[0])
    return seen


def rates(schedule: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], Trainer]:
    trainer = Trainer(
        resolve(loss="sl", negatives="uniform:4", epochs=3, lr=0.5, lr_schedule=schedule, batch_size=100), LOG
    )
    with monkeypatch.context() as patch:
        seen = watched_rates(patch)
        trainer.fit()
    return seen, trainer


def test_linear_falls_by_the_same_amount_each_step(monkeypatch):
    seen, trainer = rates("linear", monkeypatch)
    n = len(seen)
    assert n == 3 * trainer.order.steps(1) > 6
    assert seen == pytest.approx([0.5 * (1 - k / n) for k in range(n)])


def test_cosine_is_half_way_down_in_the_middle(monkeypatch):
    seen, _ = rates("cosine", monkeypatch)
    assert seen[0] == 0.5
    assert seen[len(seen) // 2] == pytest.approx(0.25, abs=0.02)
    assert rates("constant", monkeypatch)[0] == [0.5] * len(seen)


def test_late_and_whole_tables_take_the_same_steps(monkeypatch):
    """A row that owes steps takes each at the rate that step had."""
    found = []
    for ways in ("sparse", "whole"):
        run = resolve(loss="sl", negatives="in-batch", epochs=4, lr=0.05, lr_schedule="linear", batch_size=8)
        trainer = Trainer(run, LOG)
        if ways == "whole":
            monkeypatch.setattr(trainer.step, "_step_input", StepInput)
        trainer.fit()
        found.append([p.detach().clone() for p in trainer.backbone.parameters()])
    for sparse, whole in zip(*found, strict=True):
        torch.testing.assert_close(sparse, whole, rtol=1e-5, atol=1e-6)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(UsageError, match="lr_schedule"):
        Run.of(lr_schedule="stepwise")


def test_plateau_falls_to_a_tenth_after_a_validation_that_brought_nothing_better(monkeypatch):
    run = resolve(loss="sl", negatives="uniform:4", epochs=4, lr=0.5, lr_schedule="plateau", batch_size=4096)
    trainer, values = Trainer(run, LOG, LOG), iter([0.3, 0.4, 0.4, 0.5])
    rates = watched_rates(monkeypatch)
    monkeypatch.setattr(
        trainer, "_validate", lambda record: dataclasses.replace(record, metrics={run.metric: next(values)})
    )
    trainer.fit()
    assert rates == pytest.approx([0.5, 0.5, 0.5, 0.05])
