from __future__ import annotations

import math

import pytest
import torch

from taurec.losses.logspace import group_log_sum_exp, group_slots, group_sum, log_sum_exp, softplus

INF = math.inf


def test_log_sum_exp_is_torchs_where_that_is_defined():
    x = torch.randn(7, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[2, 3] = x[5, 0] = -INF
    for tau in (0.01, 1.0, 30.0):
        torch.testing.assert_close(log_sum_exp(x, tau), torch.logsumexp(x / tau, dim=1), rtol=1e-13, atol=0)


def test_log_sum_exp_keeps_small_differences_between_large_scores():
    x = torch.tensor([[1e4, 1e4 - 1]])
    value = log_sum_exp(x, tau=10.0) - 1e3
    # 1000 in float32 has a spacing of 6e-5
    assert abs(value.item() - math.log(1 + math.exp(-0.1))) < 1e-4


def test_no_entries_give_zero_and_no_gradient():
    x = torch.full((2, 3), -INF, requires_grad=True)
    value = log_sum_exp(x)
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert not x.grad.any()


def test_softplus_has_the_digits_of_float64():
    for x in (-700.0, -30.0, 0.0, 19.9, 20.1, 35.0, 39.9, 40.1, 700.0):
        exact = max(x, 0) + math.log1p(math.exp(-abs(x)))
        assert abs(softplus(torch.tensor(x, dtype=torch.float64)).item() - exact) <= 1e-14 * max(1, exact)


def test_groups_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(-5, 5, (40,), generator=generator)
    x = torch.randn(40, generator=generator, dtype=torch.float64)
    slots, distinct = group_slots(group), sorted(set(group.tolist()))
    assert [distinct[s] for s in slots] == group.tolist()
    members = [[math.exp(v) for v, g in zip(x.tolist(), group.tolist(), strict=True) if g == d] for d in distinct]
    expected = [math.log(math.fsum(m)) for m in members] + [0.0] * (40 - len(distinct))
    torch.testing.assert_close(group_log_sum_exp(x, slots), torch.tensor(expected, dtype=x.dtype), rtol=0, atol=1e-13)
    counts = [float(len(m)) for m in members] + [0.0] * (40 - len(distinct))
    assert group_sum(torch.ones(40), slots).tolist() == counts


def test_group_with_only_absent_entries():
    x = torch.tensor([-INF, 2.0, -INF], requires_grad=True)
    value = group_log_sum_exp(x, torch.tensor([0, 1, 0]))
    value.sum().backward()
    assert value.tolist() == [0, 2, 0]
    assert x.grad.tolist() == [0, 1, 0]


def test_groups_of_large_values_stay_finite():
    x = torch.tensor([1e6, 1e6, -1e6], requires_grad=True)
    value = group_log_sum_exp(x, torch.tensor([0, 0, 1]))
    value.sum().backward()
    # float32 has a spacing of 0.0625 there
    assert value.tolist() == pytest.approx([1e6 + math.log(2), -1e6, 0], rel=0, abs=0.0625)
    assert x.grad.tolist() == [0.5, 0.5, 1]
