from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import SL, PSLAtan, PSLRelu, PSLTanh

ALL = {PSLTanh: math.tanh, PSLAtan: math.atan, PSLRelu: lambda d: max(d, -1.0)}
each = pytest.mark.parametrize("loss", ALL)


@pytest.mark.parametrize(
    ("loss", "value"), [(PSLTanh, 1.418090533226047), (PSLAtan, 1.418194489050704), (PSLRelu, 1.433626059945913)]
)
def test_golden(loss, value, rows):
    assert loss(tau=0.1)(rows.pos, rows.neg).mean().item() == pytest.approx(value, **rows.tol)


@each
def test_by_hand(loss, exact):
    """Row 1: the pair at .2, negatives at .6, .2 and 0."""
    s = [(1 + ALL[loss]((n - 0.2) / 2)) ** (1 / 0.3) for n in (0.6, 0.2, 0.0)]
    assert loss(tau=0.3)(exact.pos, exact.neg)[1].item() == pytest.approx(math.log(sum(s)), abs=1e-14)


@each
def test_between_the_count_of_negatives_above_the_pair_and_sl(loss):
    """1{d >= 0} <= s(d) <= exp(d) on [-1, 1], so that the loss is below SL, which is s = exp."""
    generator = torch.Generator().manual_seed(0)
    pos = torch.rand(200, generator=generator, dtype=torch.float64) * 2 - 1
    neg = torch.rand(200, 9, generator=generator, dtype=torch.float64) * 2 - 1
    value = loss(tau=0.1)(pos, neg)
    assert (value <= SL(tau=0.2)(pos, neg) + 1e-12).all()
    above = (neg >= pos[:, None]).sum(1)
    assert (value[above > 0] >= above[above > 0].log() - 1e-12).all()


@each
def test_near_a_tie_it_is_sl(loss):
    pos, neg = torch.zeros(1, dtype=torch.float64), torch.tensor([[1e-5, -1e-5]], dtype=torch.float64)
    torch.testing.assert_close(loss(tau=0.1)(pos, neg), SL(tau=0.2)(pos, neg), rtol=0, atol=1e-8)


@each
def test_a_pair_at_1_and_a_negative_at_minus_1(loss):
    pos, neg = torch.tensor([1.0], requires_grad=True), torch.tensor([[-1.0]], requires_grad=True)
    value = loss(tau=0.05)(pos, neg)
    value.backward()
    assert value.isfinite()
    assert pos.grad.isfinite()
    assert neg.grad.isfinite()
    assert (neg.grad == 0) == (loss is PSLRelu)


@each
@pytest.mark.parametrize("tau", [0, -1.0, math.nan, "1"])
def test_refuses_a_bad_temperature(loss, tau):
    with pytest.raises(UsageError, match="tau must be a finite number above 0"):
        loss(tau=tau)
