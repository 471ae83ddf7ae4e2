from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import SSM, Hinge, SimCE


def test_golden(rows):
    value = SimCE(margin=1.0)(rows.pos, rows.neg)
    assert value.tolist() == pytest.approx([0.95, 1.4, 1.4, 1.45], **rows.tol)
    assert SimCE()(rows.pos, rows.neg).mean().item() == pytest.approx(5.3, **rows.tol)


def test_only_the_hardest_negative_has_a_gradient(exact):
    pos, neg = exact.pos.requires_grad_(), exact.neg.requires_grad_()
    SimCE()(pos, neg).sum().backward()
    assert neg.grad.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert pos.grad.tolist() == [-1, -1, -1, -1]


def test_equal_negatives_share_the_gradient():
    neg = torch.tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    SimCE()(torch.zeros(1), neg).sum().backward()
    assert neg.grad.tolist() == [[0.5, 0.5, 0.0]]


def test_one_negative_is_the_hinge():
    generator = torch.Generator().manual_seed(0)
    pos, neg = torch.randn(50, generator=generator), torch.randn(50, 1, generator=generator)
    torch.testing.assert_close(SimCE(margin=0.7)(pos, neg), Hinge(margin=0.7)(pos, neg))


def test_it_bounds_sampled_softmax_from_above():
    generator = torch.Generator().manual_seed(0)
    for n in (1, 4, 30):
        pos = torch.randn(500, generator=generator, dtype=torch.float64) * 3
        neg = torch.randn(500, n, generator=generator, dtype=torch.float64) * 3
        ssm = SSM(tau=1.0)(pos, neg)
        assert (ssm <= SimCE(margin=math.log(n))(pos, neg) + math.log(2) + 1e-12).all()
        assert (ssm >= SimCE(margin=0.0)(pos, neg) - 1e-12).all()


@pytest.mark.parametrize("margin", [-1.0, math.inf, "one"])
def test_refusals(margin):
    with pytest.raises(UsageError, match="SimCE: margin must be a finite number of at least 0"):
        SimCE(margin=margin)
