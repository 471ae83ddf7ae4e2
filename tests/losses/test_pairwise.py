from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BPR, SSM, Hinge


def test_golden(rows):
    assert BPR()(rows.pos, rows.neg).mean().item() == pytest.approx(0.617078009404937, **rows.tol)
    assert BPR()(rows.pos, rows.neg[:, :1]).mean().item() == pytest.approx(0.685095029186285, **rows.tol)
    assert Hinge()(rows.pos, rows.neg).mean().item() == pytest.approx(0.791666666666667, **rows.tol)


def test_by_hand(exact):
    bpr = sum(math.log(1 + math.exp(n - 0.9)) for n in (0.1, -0.3, 0.85)) / 3
    assert BPR()(exact.pos, exact.neg)[0].item() == pytest.approx(bpr, abs=1e-14)
    hinge = (0 + 0 + (0.5 + 0.85 - 0.9)) / 3
    assert Hinge(margin=0.5)(exact.pos, exact.neg)[0].item() == pytest.approx(hinge, abs=1e-14)


def test_bpr_with_one_negative_is_ssm_at_temperature_one(exact):
    one = exact.neg[:, :1]
    torch.testing.assert_close(BPR()(exact.pos, one), SSM(tau=1.0)(exact.pos, one), rtol=0, atol=1e-14)


def test_only_differences_count(exact):
    for loss in (BPR(), Hinge()):
        torch.testing.assert_close(loss(exact.pos + 3, exact.neg + 3), loss(exact.pos, exact.neg), rtol=0, atol=1e-12)


@pytest.mark.parametrize("difference", [-23.0, -30.0, -100.0, -1e4])
def test_the_gradient_of_bpr_lives_on_the_hardest_pairs(difference):
    pos = torch.tensor([difference], requires_grad=True)
    BPR()(pos, torch.zeros(1, 1)).sum().backward()
    assert pos.grad.item() == pytest.approx(-1.0, abs=1e-6)


def test_the_gradient_of_bpr_lives_on_the_easiest_pairs():
    pos = torch.tensor([60.0], dtype=torch.float64, requires_grad=True)
    BPR()(pos, torch.zeros(1, 1, dtype=torch.float64)).sum().backward()
    assert pos.grad.item() == pytest.approx(-math.exp(-60), rel=1e-12)


def test_hinge_is_flat_beyond_its_margin():
    pos = torch.tensor([2.0], requires_grad=True)
    loss = Hinge(margin=1.0)(pos, torch.tensor([[0.5]]))
    loss.sum().backward()
    assert loss.item() == 0
    assert pos.grad.item() == 0


@pytest.mark.parametrize("value", [-0.1, math.nan, None])
def test_refuses_a_bad_margin(value):
    with pytest.raises(UsageError, match="Hinge: margin"):
        Hinge(margin=value)
