from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import (
    BSL,
    SL,
    BSLAuthorsMulti,
    BSLAuthorsReweight,
    BSLAuthorsSingle,
    BSLPerUser,
    BSLTwoTemperature,
)

GOLDEN = [
    (BSL(tau_pos=0.2, tau_neg=0.1), 0.009426124498717),
    (BSLPerUser(tau_pos=0.2, tau_neg=0.1), 0.180446080573786),
    (BSLAuthorsMulti(tau=0.2, k=1.1), -0.197440249209929),
    (BSLAuthorsReweight(tau=0.2, k=1.1), 1.917817352289578),
    (BSLAuthorsSingle(tau=0.2), 0.474403486140597),
    (BSLTwoTemperature(tau_pos=0.2, tau_neg=0.1), 1.503220850792225),
]


def call(loss, rows, pos=None, neg=None, group=None):
    pos, neg = rows.pos if pos is None else pos, rows.neg if neg is None else neg
    group = rows.group if group is None else group
    return loss(pos, neg, group=group) if "group" in loss.needs else loss(pos, neg)


@pytest.mark.parametrize(("loss", "value"), GOLDEN, ids=lambda x: type(x).__name__)
def test_golden(loss, value, rows):
    assert call(loss, rows).mean().item() == pytest.approx(value, **rows.tol)


def test_golden_per_user(rows):
    users, value = BSLPerUser(tau_pos=0.2, tau_neg=0.1).per_user(rows.pos, rows.neg, group=rows.group)
    assert users.tolist() == [3, 5, 7]
    assert value.tolist() == pytest.approx([0.292196885, 0.340566877, -0.091425521], abs=max(rows.tol["abs"], 1e-9))


def lme(values: list[float], tau: float) -> float:
    return tau * math.log(sum(math.exp(v / tau) for v in values) / len(values))


def test_by_hand(exact):
    """Row 2 shares its user, 7, with row 0."""
    p, n = [0.9, -0.1], [-0.5, -0.9, 0.3]
    union = [0.1, -0.3, 0.85, *n]
    single = 0.1 / 0.2 + lme(n, 0.2) / 0.2
    by_hand = {
        BSL(0.3, 0.2): -lme(p, 0.3) + lme(n, 0.2),
        BSLPerUser(0.3, 0.2): (-lme(p, 0.3) + lme(union, 0.2)) * 4 / (3 * 2),
        BSLAuthorsMulti(0.2, 1.3): -lme(p, 0.2) / 0.2 + 1.3 * lme(n, 0.2) / 0.2,
        BSLAuthorsReweight(0.2, 1.3): 0.1 / 0.2 + 1.3 * (lme(n, 0.2) / 0.2 + math.log(3)),
        BSLAuthorsSingle(0.2): single,
        BSLTwoTemperature(0.4, 0.2): 0.5 * (single + math.log(3)),
    }
    for loss, value in by_hand.items():
        assert call(loss, exact)[2].item() == pytest.approx(value, abs=1e-13), loss


def test_the_mean_over_rows_of_per_user_is_the_mean_over_users(exact):
    exact.neg[3] = -math.inf  # user 5 has no negative: left out of both means
    loss = BSLPerUser(0.3, 0.1)
    _, users = loss.per_user(exact.pos, exact.neg, group=exact.group)
    value = call(loss, exact)
    assert users[1] == 0
    assert value[3] == 0
    assert value[[0, 1, 2]].mean().item() == pytest.approx(users[[0, 2]].mean().item(), abs=1e-13)


def test_one_row_a_user_is_sl_and_tau_pos_does_nothing(exact):
    alone = torch.arange(4)
    for tau_pos in (0.01, 0.2, 50.0):
        for loss in (BSL(tau_pos, 0.1), BSLPerUser(tau_pos, 0.1)):
            pos = exact.pos.clone().requires_grad_()
            value = call(loss, exact, pos=pos, group=alone)
            sl = 0.1 * SL(0.1)(exact.pos, exact.neg) - 0.1 * math.log(3)
            torch.testing.assert_close(value, sl, rtol=0, atol=1e-13)
            value.sum().backward()
            torch.testing.assert_close(pos.grad, torch.full_like(pos, -1.0), rtol=0, atol=1e-13)


def test_authors_modes_fall_back_to_sl(exact):
    sl, mean = SL(0.2)(exact.pos, exact.neg), BSLAuthorsSingle(0.2)(exact.pos, exact.neg)
    torch.testing.assert_close(BSLAuthorsReweight(0.2, 1.0)(exact.pos, exact.neg), sl, rtol=0, atol=0)
    torch.testing.assert_close(mean, sl - math.log(3), rtol=0, atol=1e-13)
    alone = BSLAuthorsMulti(0.2, 1.0)(exact.pos, exact.neg, group=torch.arange(4))
    torch.testing.assert_close(alone, mean, rtol=0, atol=1e-13)


def test_authors_multi_at_k_one_is_bsl_over_tau(exact):
    multi = call(BSLAuthorsMulti(0.2, 1.0), exact)
    torch.testing.assert_close(multi, call(BSL(0.2, 0.2), exact) / 0.2, rtol=0, atol=1e-12)


def test_two_temperatures_are_sl_at_another_scale(exact):
    sl = SL(0.1)(exact.pos, exact.neg)
    for tau_pos in (0.05, 0.2):
        value = BSLTwoTemperature(tau_pos, 0.1)(exact.pos, exact.neg)
        torch.testing.assert_close(value, sl * (0.1 / tau_pos), rtol=0, atol=1e-12)


def test_reweight_with_the_diagonal_is_mscl():
    scores = torch.tensor([[0.9, 0.1, -0.2], [0.3, 0.5, 0.0], [0.1, 0.2, 0.7]], dtype=torch.float64)
    a = 0.45
    value = a * BSLAuthorsReweight(tau=0.2, k=(1 - a) / a)(scores.diagonal(), scores).mean()
    assert value.item() == pytest.approx(0.444887311269517, abs=1e-9)


def test_limits_of_tau_pos(exact):
    same = torch.zeros(4, dtype=torch.int64)
    negatives = 0.1 * BSLAuthorsSingle(0.1)(torch.zeros_like(exact.pos), exact.neg)
    for loss, positives in ((BSL(1e6, 0.1), exact.pos.mean()), (BSL(1e-6, 0.1), exact.pos.max())):
        torch.testing.assert_close(call(loss, exact, group=same), negatives - positives, rtol=0, atol=2e-6)


def test_large_tau_pos_makes_per_user_sl_of_the_mean(exact):
    """Users of equal size: the mean over users is then the mean over rows, as in SL."""
    group = torch.tensor([1, 1, 2, 2])
    neg = exact.neg[[0, 0, 1, 1]]
    value = call(BSLPerUser(1e6, 0.1), exact, neg=neg, group=group).mean()
    sl = 0.1 * BSLAuthorsSingle(0.1)(exact.pos, neg).mean()
    assert value.item() == pytest.approx(sl.item(), abs=1e-6)


def test_low_positives_of_a_user_weigh_less(exact):
    pos = exact.pos.clone().requires_grad_()
    call(BSL(0.2, 0.1), exact, pos=pos).sum().backward()
    weights = torch.softmax(torch.tensor([0.9, -0.1], dtype=torch.float64) / 0.2, dim=0)
    torch.testing.assert_close(pos.grad[[0, 2]], -2 * weights, rtol=0, atol=1e-12)
    assert pos.grad[[1, 3]].tolist() == pytest.approx([-1, -1], abs=1e-12)


@pytest.mark.parametrize("loss", [BSL(0.2, 0.1), BSLPerUser(0.2, 0.1), BSLAuthorsMulti(0.2, 1.0)])
def test_shifting_all_scores_changes_nothing(loss, exact):
    moved = call(loss, exact, pos=exact.pos + 5, neg=exact.neg + 5)
    torch.testing.assert_close(moved, call(loss, exact), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [BSL(0.2, 0.1), BSLPerUser(0.2, 0.1), BSLAuthorsMulti(0.2, 1.1)])
def test_duplicated_negatives_change_nothing(loss, exact):
    twice = call(loss, exact, neg=torch.cat([exact.neg, exact.neg], dim=1))
    torch.testing.assert_close(twice, call(loss, exact), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [BSL(0.2, 0.1), BSLPerUser(0.2, 0.1), BSLAuthorsMulti(0.2, 1.1)])
def test_a_row_without_negatives_is_as_if_it_were_not_there(loss, exact):
    exact.neg[2] = -math.inf
    kept = [0, 1, 3]
    pos, fewer = exact.pos.clone().requires_grad_(), exact.pos[kept].clone().requires_grad_()
    value = call(loss, exact, pos=pos)
    without = call(loss, exact, pos=fewer, neg=exact.neg[kept], group=exact.group[kept])
    torch.testing.assert_close(value[kept], without, rtol=0, atol=1e-12)
    value.sum().backward()
    without.sum().backward()
    torch.testing.assert_close(pos.grad[kept], fewer.grad, rtol=0, atol=1e-12)
    assert value[2] == 0
    assert pos.grad[2] == 0


@pytest.mark.parametrize("loss", [BSL(0.2, 0.1), BSLPerUser(0.2, 0.1), BSLAuthorsMulti(0.2, 1.1)])
def test_group_ids_are_only_names(loss, exact):
    renamed = torch.tensor([-(2**40), 2**40, -(2**40), 0])
    torch.testing.assert_close(call(loss, exact, group=renamed), call(loss, exact), rtol=0, atol=1e-13)


@pytest.mark.parametrize("loss", [BSL, BSLPerUser, BSLAuthorsMulti])
def test_missing_or_misfitting_group_is_refused(loss, exact):
    with pytest.raises(UsageError, match=f"{loss.__name__} needs group="):
        loss()(exact.pos, exact.neg)
    for group in (exact.group[:3], exact.group.double(), exact.group[:, None]):
        with pytest.raises(UsageError, match=r"group must be \[B\] integers"):
            loss()(exact.pos, exact.neg, group=group)


class TestLogQ:
    def test_constant_changes_nothing(self, exact):
        value = BSL(0.2, 0.1)(exact.pos, exact.neg, group=exact.group, logq=torch.full((3,), -4.0))
        torch.testing.assert_close(value, call(BSL(0.2, 0.1), exact), rtol=0, atol=1e-12)

    def test_by_hand(self):
        pos, neg = torch.tensor([0.5], dtype=torch.float64), torch.tensor([[0.2, -0.4]], dtype=torch.float64)
        q = (0.1, 0.6)
        mean = (math.exp(0.2 / 0.3) / q[0] + math.exp(-0.4 / 0.3) / q[1]) / (1 / q[0] + 1 / q[1])
        value = BSL(0.2, 0.3)(pos, neg, group=torch.tensor([1]), logq=torch.tensor(q, dtype=torch.float64).log())
        assert value.item() == pytest.approx(-0.5 + 0.3 * math.log(mean), abs=1e-12)

    def test_absent_negatives_stay_absent(self, exact):
        exact.neg[1, 2] = -math.inf
        logq = torch.tensor([-1.0, -2.0, math.nan]).expand(4, 3).clone()
        logq[[0, 2, 3], 2] = -3.0
        value = BSL()(exact.pos, exact.neg, group=exact.group, logq=logq)
        two = BSL()(exact.pos[1:2], exact.neg[1:2, :2], group=exact.group[1:2], logq=logq[1:2, :2])
        assert value[1].item() == pytest.approx(two.item(), abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (BSL, "tau_pos"),
        (BSL, "tau_neg"),
        (BSLPerUser, "tau_pos"),
        (BSLPerUser, "tau_neg"),
        (BSLAuthorsMulti, "tau"),
        (BSLAuthorsMulti, "k"),
        (BSLAuthorsReweight, "tau"),
        (BSLAuthorsReweight, "k"),
        (BSLAuthorsSingle, "tau"),
        (BSLTwoTemperature, "tau_pos"),
        (BSLTwoTemperature, "tau_neg"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1, math.nan])
def test_refuses_a_bad_setting(loss, name, value):
    with pytest.raises(UsageError, match=f"{loss.__name__}: {name} must be a finite number above 0"):
        loss(**{name: value})
