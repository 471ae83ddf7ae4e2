from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import SL, SSM, BSLAuthorsReweight, BSLAuthorsSingle, InfoNCEPlus, MINEPlus


@pytest.mark.parametrize(("eps", "mean"), [(0.0, 1.91781735229), (0.5, 2.09742945934), (1.0, 2.23052212196)])
def test_golden(rows, eps, mean):
    value = InfoNCEPlus(tau=0.2, weight=1.1, eps=eps)(rows.pos, rows.neg)
    assert value.mean().item() == pytest.approx(mean, **rows.tol)


def test_golden_mine_plus(exact):
    neg = exact.neg.requires_grad_()
    value = MINEPlus(tau=0.2, weight=1.1)(exact.pos, neg).mean()
    value.backward()
    assert value.item() == pytest.approx(0.709343834755, abs=1e-11)
    assert neg.grad[0].tolist() == pytest.approx([0.0314959423051, 0.00426251227266, 1.33924154542], abs=1e-11)


def test_by_hand(exact):
    total = 0.5 * math.exp(0.2 / 0.2) + math.exp(0.6 / 0.2) + math.exp(0.2 / 0.2) + math.exp(0.0)
    value = InfoNCEPlus(tau=0.2, weight=1.1, eps=0.5)(exact.pos, exact.neg)[1].item()
    assert value == pytest.approx(1.1 * math.log(total) - 0.2 / 0.2, abs=1e-14)


@pytest.mark.parametrize("weight", [0.8, 1.0, 1.1])
def test_it_is_the_authors_reweighted_bsl_to_the_last_bit(rows, weight):
    assert torch.equal(
        InfoNCEPlus(tau=0.1, weight=weight)(rows.pos, rows.neg), BSLAuthorsReweight(0.1, weight)(rows.pos, rows.neg)
    )


def test_special_cases(exact):
    given = exact.pos, exact.neg
    assert torch.equal(InfoNCEPlus(tau=0.2, weight=1.0)(*given), SL(tau=0.2)(*given))
    assert torch.equal(MINEPlus(tau=0.2, weight=1.0)(*given), BSLAuthorsSingle(tau=0.2)(*given))
    ssm = InfoNCEPlus(tau=0.2, weight=1.0, eps=1.0)(*given)
    torch.testing.assert_close(ssm, SSM(tau=0.2)(*given), rtol=0, atol=1e-14)
    lower = InfoNCEPlus(tau=0.2)(*given) - MINEPlus(tau=0.2)(*given)
    torch.testing.assert_close(lower, torch.full_like(lower, 1.1 * math.log(3)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_a_shift_of_all_scores_adds_a_constant(exact, eps):
    loss = InfoNCEPlus(tau=0.2, weight=1.1, eps=eps)
    moved = loss(exact.pos + 0.5, exact.neg + 0.5) - loss(exact.pos, exact.neg)
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * 0.5 / 0.2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"weight": 0.0}, {"eps": -0.1}])
def test_refusals(settings):
    with pytest.raises(UsageError, match=f"InfoNCEPlus: {next(iter(settings))} must be"):
        InfoNCEPlus(**settings)
