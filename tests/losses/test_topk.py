from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import SL, SLAtK


def test_golden(rows):
    threshold = torch.tensor([0.5, 0.1, 0.2, 0.8], dtype=rows.pos.dtype)
    value = SLAtK(tau=0.2, tau_weight=2.0)(rows.pos, rows.neg, threshold=threshold)
    assert value.mean().item() == pytest.approx(0.749834623653514, **rows.tol)


def test_by_hand(exact):
    sl = math.log(sum(math.exp((n - 0.2) / 0.5) for n in (0.6, 0.2, 0.0)))
    value = SLAtK(tau=0.5, tau_weight=0.1)(exact.pos, exact.neg, threshold=torch.full_like(exact.pos, 0.25))
    assert value[1].item() == pytest.approx(sl / (1 + math.exp(0.5)), abs=1e-14)


def test_far_above_the_threshold_it_is_sl_and_far_below_nothing(exact):
    low, high = torch.full_like(exact.pos, -60.0), torch.full_like(exact.pos, 60.0)
    torch.testing.assert_close(SLAtK()(exact.pos, exact.neg, threshold=low), SL()(exact.pos, exact.neg))
    assert SLAtK()(exact.pos, exact.neg, threshold=high).abs().max() < 1e-20


def test_a_large_tau_weight_is_half_of_sl(exact):
    value = SLAtK(tau_weight=1e12)(exact.pos, exact.neg, threshold=torch.zeros_like(exact.pos))
    torch.testing.assert_close(value, SL()(exact.pos, exact.neg) / 2)


def test_the_gradient_goes_through_the_weight(exact):
    pos = exact.pos.clone().requires_grad_()
    zero = torch.zeros_like(exact.pos)
    SLAtK(tau=0.2, tau_weight=0.5)(pos, exact.neg, threshold=zero).sum().backward()
    weight, sl = torch.sigmoid(exact.pos / 0.5), SL(tau=0.2)(exact.pos, exact.neg)
    torch.testing.assert_close(pos.grad, weight * (1 - weight) / 0.5 * sl - weight / 0.2)


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"SLAtK needs threshold=\[B\]"):
        SLAtK()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match=r"threshold must be \[B\] floating-point numbers with B = 4"):
        SLAtK()(exact.pos, exact.neg, threshold=torch.zeros(3))
    with pytest.raises(UsageError, match="samples must be at least k = 20, got 10"):
        SLAtK(samples=10)
    with pytest.raises(UsageError, match="refresh_every must be a finite number of at least 1"):
        SLAtK(refresh_every=0)
