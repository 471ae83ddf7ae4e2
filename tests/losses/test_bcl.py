from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BCL, SSM
from taurec.losses.bcl import shares_below


def test_golden(rows):
    loss = BCL(tau=0.5, alpha=0.9, beta=0.9, tau_plus=0.1)
    assert loss(rows.pos, rows.neg).mean().item() == pytest.approx(1.92333177654, **rows.tol)
    weights = loss.weights(shares_below(rows.neg, torch.full_like(rows.pos, 3)))
    assert weights[0].tolist() == pytest.approx([1.0027366672, 0.733856358547, 2.73569080911], **rows.tol)


def test_by_hand(exact):
    """Row 1, whose shares are 1, 2/3 and 1/3, by the formulas of the authors' code."""
    al, be, plus = 0.7, 0.8, 0.2
    a, b = (1 - 2 * al) * (1 - 2 * plus) + 1e-3, 2 * (al * (1 - plus) + (1 - al) * plus)
    total = 0.0
    for c, score in ((1, 0.6), (2 / 3, 0.2), (1 / 3, 0.0)):
        place = (-b + math.sqrt(b * b + 4 * a * c)) / (2 * a)
        one, two = 2 * (1 - place), 2 * place
        true, false = al * one + (1 - al) * two, (1 - al) * one + al * two
        hard = (al * (1 - be) * one + (1 - al) * be * two) / (al * (1 - be) + (1 - al) * be + 1e-3)
        total += hard / (true * (1 - plus) + false * plus) * math.exp(score / 0.5)
    pair = math.exp(0.2 / 0.5)
    value = BCL(tau=0.5, alpha=al, beta=be, tau_plus=plus)(exact.pos, exact.neg)[1].item()
    assert value == pytest.approx(math.log((pair + total) / pair), abs=1e-12)


def test_scores_that_tell_nothing_and_no_concentration_are_nearly_ssm(exact):
    got = BCL(tau=0.2, alpha=0.5, beta=0.5, tau_plus=0.1)(exact.pos, exact.neg)
    torch.testing.assert_close(got, SSM(tau=0.2)(exact.pos, exact.neg), rtol=0, atol=0.003)


def test_weights_grow_with_the_rank_and_depend_on_nothing_else():
    neg = torch.tensor([[0.3, -0.2, 0.1, 0.8, -0.9]], dtype=torch.float64)
    n = torch.tensor([5.0], dtype=torch.float64)
    weights = BCL().weights(shares_below(neg, n))
    assert weights[0, neg[0].argsort()].diff().min() > 0
    assert torch.equal(weights, BCL().weights(shares_below(neg.exp(), n)))


def test_ties_and_absent_negatives():
    neg = torch.tensor([[0.5, -math.inf, 0.5, 0.1]])
    assert shares_below(neg, torch.tensor([3.0]))[0, [0, 2, 3]].tolist() == pytest.approx([1, 1, 1 / 3])


@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"alpha": 0.4}, {"beta": 1.1}, {"tau_plus": 0.6}])
def test_refusals(settings):
    with pytest.raises(UsageError, match=f"BCL: {next(iter(settings))} must be"):
        BCL(**settings)
