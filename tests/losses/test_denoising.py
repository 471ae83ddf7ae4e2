from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BCE, RCE, TCE


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def rate(like: torch.Tensor, value: float) -> torch.Tensor:
    return torch.full_like(like, value)


def test_truncation_by_hand(exact):
    """Pairs at .9, .2, -.1, .5: half of four are the two lowest, -.1 and .2."""
    value = TCE()(exact.pos, exact.neg, drop_rate=rate(exact.pos, 0.5))
    others = [sum(map(softplus, row)) / 3 for row in exact.neg.tolist()]
    by_hand = [softplus(-0.9) + others[0], others[1], others[2], softplus(-0.5) + others[3]]
    assert value.tolist() == pytest.approx(by_hand, abs=1e-14)


@pytest.mark.parametrize(("share", "kept"), [(0.0, 4), (0.24, 4), (0.25, 3), (0.74, 2), (1.0, 0)])
def test_how_many_are_dropped(exact, share, kept):
    pos = exact.pos.clone().requires_grad_()
    TCE()(pos, exact.neg, drop_rate=rate(exact.pos, share)).sum().backward()
    assert int((pos.grad != 0).sum()) == kept


def test_without_dropping_it_is_bce(exact):
    for weight in (1.0, 0.5, None):
        dropped = TCE(neg_weight=weight)(exact.pos, exact.neg, drop_rate=rate(exact.pos, 0.0))
        torch.testing.assert_close(dropped, BCE(neg_weight=weight)(exact.pos, exact.neg))
        torch.testing.assert_close(
            RCE(beta=0, neg_weight=weight)(exact.pos, exact.neg), BCE(weight)(exact.pos, exact.neg)
        )


def test_rows_without_negatives_are_not_counted(exact):
    """The lowest pair has no negatives: of the other three half, one, is dropped, which is the pair at .2."""
    exact.neg[2] = -math.inf
    value = TCE()(exact.pos, exact.neg, drop_rate=rate(exact.pos, 0.5))
    plain = BCE()(exact.pos, exact.neg)
    assert value[2] == 0
    torch.testing.assert_close(value[[0, 3]], plain[[0, 3]])
    assert value[1].item() == pytest.approx(plain[1].item() - softplus(-0.2), abs=1e-14)


def test_of_equal_pairs_the_first_is_dropped(exact):
    value = TCE()(torch.zeros(4), torch.zeros(4, 1), drop_rate=torch.full((4,), 0.25))
    assert (value < 1).tolist() == [True, False, False, False]


def test_reweighting_by_hand(exact):
    def p(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    others = [(1 - p(n)) ** 0.7 * softplus(n) for n in (0.6, 0.2, 0.0)]
    by_hand = p(0.2) ** 0.7 * softplus(-0.2) + 0.5 * sum(others) / 3
    value = RCE(beta=0.7, neg_weight=0.5)(exact.pos, exact.neg)
    assert value[1].item() == pytest.approx(by_hand, abs=1e-14)


def test_the_gradient_is_that_of_bce_times_the_weights(exact):
    grads = {}
    for loss in (BCE(), RCE(beta=0.7)):
        pos, neg = exact.pos.clone().requires_grad_(), exact.neg.clone().requires_grad_()
        loss(pos, neg).sum().backward()
        grads[type(loss)] = pos.grad, neg.grad
    torch.testing.assert_close(grads[RCE][0], grads[BCE][0] * torch.sigmoid(exact.pos) ** 0.7)
    torch.testing.assert_close(grads[RCE][1], grads[BCE][1] * torch.sigmoid(-exact.neg) ** 0.7)


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"TCE needs drop_rate=\[B\]"):
        TCE()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match="max_drop_rate must be a finite number of at least 0 and at most 1"):
        TCE(max_drop_rate=1.1)
    with pytest.raises(UsageError, match="beta must be a finite number of at least 0"):
        RCE(beta=-0.1)
