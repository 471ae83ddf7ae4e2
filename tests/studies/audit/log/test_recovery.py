"""BSL's weights by hand, measures of recovery by hand, and injected rows found in a planted world."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split_given
from taurec.errors import UsageError
from taurec.losses import LOSSES
from taurec.ranker import ScoresRanker
from taurec.studies.audit.log.recovery import auc, bsl_weights, precision_at_count, recovery
from taurec.studies.audit.noise.results import t_interval


def test_weights_by_hand() -> None:
    scores = np.array([[0.0, 0.1, 0.9], [0.3, 0.3, 0.5]], dtype=np.float32)
    log = Interactions.from_pairs([0, 0, 1, 1, 1], [0, 1, 0, 1, 2])
    found = bsl_weights(ScoresRanker(scores), log, 0.1)
    a, b = 2 / (1 + math.e), 2 * math.e / (1 + math.e)
    c = 3 / (2 + math.exp(2))
    np.testing.assert_allclose(found, [a, b, c, c, c * math.exp(2)], rtol=1e-5)


def test_weights_are_the_gradient_of_the_loss() -> None:
    pos = torch.tensor([0.2, 0.5, -0.1, 0.4], dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 0, 0, 1])
    loss = LOSSES.build("bsl", given={"tau_pos": 0.3, "tau_neg": 0.1})
    loss(pos, torch.zeros(4, 2, dtype=torch.float64), group=group).sum().backward()
    scores = np.array([[0.2, 0.5, -0.1, 0.0], [0.0, 0.0, 0.0, 0.4]], dtype=np.float32)
    log = Interactions.from_pairs([0, 0, 0, 1], [0, 1, 2, 3])
    assert pos.grad is not None
    np.testing.assert_allclose(bsl_weights(ScoresRanker(scores), log, 0.3), -pos.grad.numpy(), rtol=1e-5)


def test_measures_by_hand() -> None:
    score, positive = np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False, False])
    assert auc(score, positive) == pytest.approx(5 / 6)
    assert precision_at_count(score, positive) == 0.5
    assert math.isnan(auc(score, np.zeros(5, bool)))
    # three values 1, 2, 3: 4.302653 * 1 / sqrt(3)
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.low == pytest.approx(2 - 2.484139, abs=1e-5)
    assert t_interval([2.0]).high is None


def test_injected_rows_are_found_again() -> None:
    world = planted(n_users=150, n_items=80, n_groups=4, per_user=10, withheld=4, seed=4)
    parts = split_given(world.log, world.withheld, valid=0.1)
    found = recovery(parts, 0.3, seeds=2, judge="itemknn", tau_pos=(0.2,), fields={"epochs": 12, "threads": 1})
    by = {f.method: f for f in found.methods}
    assert list(by) == ["percentiles (itemknn)", "percentiles (popularity)", "bsl weight, tau_pos=0.2"]
    assert by["percentiles (itemknn)"].auc.mean > 0.95
    assert abs(by["percentiles (popularity)"].auc.mean - 0.5) < 0.1  # nothing is popular in this world
    low = by["bsl weight, tau_pos=0.2"].auc.low  # a model that has seen the rows, and little trained: above chance
    assert low is not None
    assert low > 0.53
    assert found.injected_share == 0.25  # ceil(.3 * 9) beside nine rows of each user
    # Two standard errors of a window with about 1440 * .25 * .2 rows, and .03 for the least of four windows.
    assert found.estimated.mean == pytest.approx(found.injected_share, abs=0.08)
    assert asdict(found)["methods"][0]["method"] == "percentiles (itemknn)"


def test_wrong_requests() -> None:
    with pytest.raises(UsageError, match="seeds must be at least 1"):
        recovery("planted", seeds=0)
    with pytest.raises(UsageError, match="the rate must be above 0"):
        recovery("planted", 0.0)
    log = Interactions.from_pairs([0], [0])
    with pytest.raises(UsageError, match="tau_pos must be above 0"):
        bsl_weights(ScoresRanker(np.zeros((1, 1), np.float32)), log, 0.0)
