"""A loss with one value per batch, added from outside: the worst rows of a batch weigh most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from taurec import Interactions, Recommender, UsageError
from taurec.losses import SL, ScoreLoss, checked

FAST = {"epochs": 3, "batch_size": 64, "negatives": "uniform:8", "threads": 1}


@dataclass(frozen=True)
class WorstRows(ScoreLoss):
    """tau_rows * log mean_b exp(SL_b / tau_rows) over the rows that have a negative."""

    tau: float = 0.2
    tau_rows: float = 1.0

    rows = False
    temperature = "tau"

    def __call__(self, pos, neg):
        pos, neg = checked(pos, neg)
        values = SL(self.tau)(pos, neg)
        there = (neg > -torch.inf).any(1)
        if not len(values):
            return values.sum()
        none = ~there.any()
        values = values.masked_fill(~there & ~none, -torch.inf)
        count = there.sum().clamp(min=1).log()
        return self.tau_rows * (torch.logsumexp(values / self.tau_rows, 0) - count) * ~none


class Mean(WorstRows):
    """Forgets to declare what it returns."""

    rows = True


class PerRow(WorstRows):
    """Declares one value, and returns one per row."""

    def __call__(self, pos, neg):
        return SL(self.tau)(pos, neg)


@pytest.mark.parametrize("negatives", ["uniform:8", "in-batch", "full"])
def test_it_trains(negatives: str, log) -> None:
    model = Recommender("mf", WorstRows, **{**FAST, "negatives": negatives}).fit(log)
    assert model.records[-1].loss < model.records[0].loss


def test_with_a_high_temperature_of_rows_it_is_the_mean(log) -> None:
    settings = {"loss": {"tau": 0.2, "tau_rows": 1e4}}
    one = Recommender("mf", WorstRows, **FAST, settings=settings).fit(log)
    two = Recommender("mf", "sl", **FAST, settings={"loss": {"tau": 0.2}}).fit(log)
    assert one.records[0].loss == pytest.approx(two.records[0].loss, abs=2e-3)


def test_its_temperature_can_be_found(log) -> None:
    model = Recommender("mf", WorstRows, **FAST, settings={"loss": {"tau": "auto"}}).fit(log)
    assert model.run.loss.settings["tau"] > 0


def test_weights_are_refused_with_the_reason(log) -> None:
    weighted = Interactions.from_pairs(log.user_of, log.indices, weight=np.ones(len(log), np.float32))
    with pytest.raises(UsageError, match="WorstRows has one value per batch, so the weights of the training rows"):
        Recommender("mf", WorstRows, **FAST).fit(weighted)


@pytest.mark.parametrize(
    ("loss", "message"), [(Mean, "declare rows = False for one value per batch"), (PerRow, r"a tensor of shape \[\]")]
)
def test_a_declaration_that_does_not_hold_is_refused(loss: type, message: str, log) -> None:
    with pytest.raises(UsageError, match=message):
        Recommender("mf", loss, **FAST).fit(log)
