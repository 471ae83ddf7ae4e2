from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import SL, AdapTau


def test_by_hand(exact):
    tau = torch.tensor([0.1, 0.25, 0.5, 1.0], dtype=torch.float64)
    own = torch.full_like(tau, 0.5)
    value = AdapTau()(exact.pos, exact.neg, tau=tau, tau_pos=own)
    by_hand = -0.2 / 0.5 + math.log(math.exp(0.6 / 0.25) + math.exp(0.2 / 0.25) + 1)
    assert value[1].item() == pytest.approx(by_hand, abs=1e-14)
    alone = AdapTau()(exact.pos, exact.neg, tau=tau)
    assert alone[1].item() == pytest.approx(by_hand + 0.2 / 0.5 - 0.2 / 0.25, abs=1e-14)


def test_one_temperature_for_all_is_sl(rows):
    tau = torch.full_like(rows.pos, 0.2)
    value = AdapTau()(rows.pos, rows.neg, tau=tau)
    assert value.mean().item() == pytest.approx(1.573015774808707, **rows.tol)
    torch.testing.assert_close(value, SL(tau=0.2)(rows.pos, rows.neg))


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"AdapTau needs tau=\[B\], a number for each row"):
        AdapTau()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match=r"tau must be \[B\] floating-point numbers"):
        AdapTau()(exact.pos, exact.neg, tau=torch.ones(4, dtype=torch.int64))
    with pytest.raises(UsageError, match=r"quantile must be a finite number of at least 0 and at most 1, got 1\.5"):
        AdapTau(quantile=1.5)
    with pytest.raises(UsageError, match="beta must be a finite number above 0"):
        AdapTau(beta=0.0)
