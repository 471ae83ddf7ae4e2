from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.losses import SL, SogCLR
from taurec.losses.sogclr import UserNormalisers
from taurec.sampling import Layout
from taurec.types import Batch

LOG = planted(n_users=10, n_items=12, seed=0).log


def batch(user):
    return Batch(user, torch.zeros_like(user), torch.arange(len(user)), Layout())


def test_golden(exact):
    loss, neg = SogCLR(tau=0.2, rate=0.3), exact.neg.requires_grad_()
    before = torch.full_like(exact.pos, math.log(20))
    moved = loss.moved(before, loss.estimate(neg)[0]).exp()
    assert moved.tolist() == pytest.approx([21.1977263778, 16.3803818752, 14.4574883065, 26.4622061897], abs=1e-9)
    value = loss(exact.pos, neg, log_mean=before).mean()
    value.backward()
    assert value.item() == pytest.approx(-1.05211820296, abs=1e-10)
    assert neg.grad[0].tolist() == pytest.approx([0.0324075886198, 0.00438589018487, 1.37800573313], abs=1e-10)


def test_by_hand(exact):
    g = (math.exp(0.6 / 0.2) + math.exp(0.2 / 0.2) + math.exp(0.0)) / 3
    moved = 0.7 * 20 + 0.3 * g
    value = SogCLR(tau=0.2, rate=0.3)(exact.pos, exact.neg, log_mean=torch.full_like(exact.pos, math.log(20)))
    assert value[1].item() == pytest.approx(g / moved - 0.2 / 0.2, abs=1e-13)


@pytest.mark.parametrize(("rate", "before"), [(1.0, 3.0), (0.3, -math.inf)])
def test_without_a_memory_the_gradient_is_that_of_the_softmax_loss(exact, rate, before):
    """At rate 1, and on a user's first visit at any rate."""
    pos, neg = exact.pos.requires_grad_(), exact.neg.requires_grad_()
    found = SogCLR(0.2, rate)(pos, neg, log_mean=torch.full_like(pos, before)).sum()
    got = torch.autograd.grad(found, (pos, neg))
    expected = torch.autograd.grad(SL(0.2)(pos, neg).sum(), (pos, neg))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_a_user_remembers_the_mean_of_its_rows(exact):
    loss = SogCLR(tau=0.2, rate=0.3)
    state = UserNormalisers(loss, LOG)
    state.numbers.fill_(math.log(20))
    state.observe(batch(exact.group), exact.pos, exact.neg)
    got = state.numbers.double().exp()
    # users of the rows: 7, 3, 7, 5; see test_golden for the values of the rows
    assert got[[7, 3, 5]].tolist() == pytest.approx(
        [(21.1977263778 + 14.4574883065) / 2, 16.3803818752, 26.4622061897], rel=1e-6
    )
    assert got[[0, 1, 2, 4, 6, 8, 9]].tolist() == pytest.approx([20] * 7)


def test_rows_without_negatives_are_not_remembered(exact):
    state = UserNormalisers(SogCLR(tau=0.2), LOG)
    exact.neg[[0, 1]] = -math.inf  # one of the two rows of user 7, the only one of user 3
    assert state.side(batch(exact.group))["log_mean"].tolist() == [-math.inf] * 4
    state.observe(batch(exact.group), exact.pos, exact.neg)
    seen = state.numbers[[7, 3, 5]].tolist()
    g = sum(math.exp(x / 0.2) for x in (-0.5, -0.9, 0.3)) / 3
    assert seen[0] == pytest.approx(math.log(g), rel=1e-6)
    assert seen[1] == -math.inf
    assert math.isfinite(seen[2])


def test_its_memory_is_saved():
    one, two = UserNormalisers(SogCLR(), LOG), UserNormalisers(SogCLR(), LOG)
    one.observe(batch(torch.tensor([1, 2])), torch.zeros(2), torch.rand(2, 5))
    two.load_state(one.state())
    assert np.array_equal(one.numbers.numpy(), two.numbers.numpy())
    assert one.numbers.isfinite().sum() == 2


def test_large_scores_do_not_overflow():
    loss = SogCLR(tau=0.01, rate=0.5)
    value = loss(torch.tensor([300.0]), torch.tensor([[300.0, 0.0]]), log_mean=torch.tensor([-500.0]))
    assert value.item() == pytest.approx(2 - 30000)


def test_refusals(exact):
    for settings in ({"rate": 0.0}, {"rate": 1.1}, {"tau": 0.0}):
        with pytest.raises(UsageError, match=f"SogCLR: {next(iter(settings))} must be"):
            SogCLR(**settings)
    with pytest.raises(UsageError, match="SogCLR needs log_mean"):
        SogCLR()(exact.pos, exact.neg)
