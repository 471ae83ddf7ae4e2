from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BCE, MSE


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_golden(rows):
    assert BCE()(rows.pos, rows.neg).mean().item() == pytest.approx(1.342553713434916, **rows.tol)
    assert MSE()(rows.pos, rows.neg).mean().item() == pytest.approx(0.694375, **rows.tol)


def test_golden_of_the_mean_over_all_scores(rows):
    value = BCE(neg_weight=None)(rows.pos, rows.neg).mean().item() / 4
    assert value == pytest.approx(0.737194486530267, **rows.tol)


def test_by_hand(exact):
    bce = softplus(-0.2) + (softplus(0.6) + softplus(0.2) + softplus(0.0)) / 3
    mse = ((0.2 - 1) ** 2 + 0.6**2 + 0.2**2 + 0.0) / 2
    assert BCE()(exact.pos, exact.neg)[1].item() == pytest.approx(bce, abs=1e-14)
    assert MSE()(exact.pos, exact.neg)[1].item() == pytest.approx(mse, abs=1e-14)


@pytest.mark.parametrize("loss", [BCE, MSE])
def test_the_sum_is_the_mean_times_the_number_of_present_negatives(loss, exact):
    exact.neg[0, 1] = exact.neg[2, 0] = exact.neg[2, 1] = -math.inf
    total = loss(neg_weight=None)(exact.pos, exact.neg)
    n = torch.tensor([2.0, 3.0, 1.0, 3.0], dtype=torch.float64)
    by_row = torch.stack([loss(neg_weight=float(k))(exact.pos, exact.neg)[b] for b, k in enumerate(n)])
    torch.testing.assert_close(total, by_row, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [BCE, MSE])
def test_weight_zero_leaves_the_positive_side(loss, exact):
    value = loss(neg_weight=0)(exact.pos, exact.neg)
    alone = loss()(exact.pos, torch.full_like(exact.neg, -1e6 if loss is BCE else 0.0))
    torch.testing.assert_close(value, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [BCE, MSE])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1"])
def test_refuses_a_bad_weight(loss, value):
    with pytest.raises(UsageError, match="neg_weight must be a finite number of at least 0"):
        loss(neg_weight=value)
