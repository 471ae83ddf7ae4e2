from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from taurec.errors import UsageError
from taurec.losses import LOSSES, SL, SSM, BSLAuthorsSingle, InfoNCE


def test_golden(rows):
    value = SL(tau=0.2)(rows.pos, rows.neg)
    assert value.mean().item() == pytest.approx(1.573015774808707, **rows.tol)
    expected = [-0.2236497117, 2.1698460196, 2.0205811389, 2.3252856525]
    assert value.tolist() == pytest.approx(expected, abs=max(rows.tol["abs"], 1e-9))
    assert SSM(tau=0.2)(rows.pos, rows.neg).mean().item() == pytest.approx(1.857292838143145, **rows.tol)
    assert SSM(tau=0.5)(rows.pos, rows.neg).mean().item() == pytest.approx(1.321030244161463, **rows.tol)


def test_by_hand(exact):
    total = math.exp(0.6 / 0.3) + math.exp(0.2 / 0.3) + math.exp(0.0)
    pair = math.exp(0.2 / 0.3)
    assert SL(tau=0.3)(exact.pos, exact.neg)[1].item() == pytest.approx(math.log(total / pair), abs=1e-14)
    assert SSM(tau=0.3)(exact.pos, exact.neg)[1].item() == pytest.approx(math.log((pair + total) / pair), abs=1e-14)


def test_infonce_is_ssm():
    assert InfoNCE is SSM
    assert LOSSES["infonce"] is LOSSES["ssm"]


def test_ssm_is_softplus_of_sl(exact):
    for tau in (0.05, 0.2, 3.0):
        sl = SL(tau)(exact.pos, exact.neg)
        ssm = SSM(tau)(exact.pos, exact.neg)
        torch.testing.assert_close(ssm, F.softplus(sl, threshold=100), rtol=0, atol=1e-12)
        assert (ssm >= sl.clamp(min=0)).all()


def test_gradients_are_softmax_weights(exact):
    pos, neg = exact.pos.requires_grad_(), exact.neg.requires_grad_()
    SL(tau=0.2)(pos, neg).sum().backward()
    torch.testing.assert_close(neg.grad, torch.softmax(neg.detach() / 0.2, dim=1) / 0.2, rtol=0, atol=1e-12)
    torch.testing.assert_close(pos.grad, torch.full_like(pos, -5.0), rtol=0, atol=1e-12)
    pos.grad = neg.grad = None
    SSM(tau=0.2)(pos, neg).sum().backward()
    p = torch.softmax(torch.cat([pos[:, None], neg], dim=1).detach() / 0.2, dim=1)
    torch.testing.assert_close(neg.grad, p[:, 1:] / 0.2, rtol=0, atol=1e-12)
    torch.testing.assert_close(pos.grad, (p[:, 0] - 1) / 0.2, rtol=0, atol=1e-12)


def test_dual_of_the_negative_side(exact):
    """tau * LME(n / tau) = max over Q of E_Q n - tau * KL(Q || uniform), reached by the softmax weights."""
    tau, n = 0.2, exact.neg[0]
    value = tau * BSLAuthorsSingle(tau)(torch.zeros(1, dtype=n.dtype), n[None])[0]

    def objective(q: torch.Tensor) -> torch.Tensor:
        return q @ n - tau * (q * (q * 3).log()).sum()

    best = torch.softmax(n / tau, dim=0)
    assert value.item() == pytest.approx(0.6355475999, abs=1e-10)
    assert objective(best).item() == pytest.approx(value.item(), abs=1e-12)
    generator = torch.Generator().manual_seed(0)
    others = torch.rand(200, 3, generator=generator, dtype=n.dtype)
    assert all(objective(q / q.sum()) <= value for q in others)


@pytest.mark.parametrize(
    ("tau", "value", "expansion"), [(1, 0.33305, 0.33028), (5, 0.239617, 0.239389), (50, 0.2189414, 0.2189389)]
)
def test_large_temperature_is_the_mean_plus_half_the_variance_over_tau(tau, value, expansion, exact):
    n = exact.neg[0]
    lme = tau * BSLAuthorsSingle(float(tau))(torch.zeros(1, dtype=n.dtype), n[None])[0].item()
    assert lme == pytest.approx(value, abs=10 ** -len(str(value).split(".")[1]))
    second_order = n.mean() + n.var(unbiased=False) / (2 * tau)
    assert second_order.item() == pytest.approx(expansion, abs=10 ** -len(str(expansion).split(".")[1]))
    assert abs(lme - second_order.item()) < 0.3 / tau**2


def test_limits_of_temperature(exact):
    hardest = exact.neg.amax(dim=1) - exact.pos
    # log 3 bounds the log-sum-exp's excess over its maximum
    torch.testing.assert_close(1e-3 * SL(1e-3)(exact.pos, exact.neg), hardest, rtol=0, atol=1e-3 * math.log(3))
    mean = exact.neg.mean(dim=1) - exact.pos
    torch.testing.assert_close(1e9 * BSLAuthorsSingle(1e9)(exact.pos, exact.neg), mean, rtol=0, atol=1e-6)


def test_shift_and_scale(exact):
    for loss in (SL, SSM):
        base = loss(0.2)(exact.pos, exact.neg)
        torch.testing.assert_close(loss(0.2)(exact.pos + 7, exact.neg + 7), base, rtol=0, atol=1e-12)
        torch.testing.assert_close(loss(0.6)(exact.pos * 3, exact.neg * 3), base, rtol=0, atol=1e-12)


def test_duplicated_negatives_raise_the_sum_form_by_a_log(exact):
    twice = torch.cat([exact.neg, exact.neg], dim=1)
    sl = SL(0.2)(exact.pos, exact.neg)
    torch.testing.assert_close(SL(0.2)(exact.pos, twice), sl + math.log(2), rtol=0, atol=1e-12)
    mean = BSLAuthorsSingle(0.2)
    torch.testing.assert_close(mean(exact.pos, twice), mean(exact.pos, exact.neg), rtol=0, atol=1e-12)


def test_scale_by_tau_multiplies(exact):
    for loss in (SL, SSM):
        torch.testing.assert_close(
            loss(0.2, scale_by_tau=True)(exact.pos, exact.neg), 0.2 * loss(0.2)(exact.pos, exact.neg), rtol=0, atol=0
        )


def catalogue(items: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores of three rows for a whole catalogue: target, pos, neg with the target absent, all."""
    scores = torch.randn(3, items, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.tensor([2, 0, 7])
    pos = scores.gather(1, target[:, None])[:, 0]
    return target, pos, scores.scatter(1, target[:, None], -math.inf), scores


def test_ssm_over_the_catalogue_is_cross_entropy():
    target, pos, neg, scores = catalogue()
    exact = F.cross_entropy(scores / 0.3, target, reduction="none")
    torch.testing.assert_close(SSM(0.3)(pos, neg), exact, rtol=0, atol=1e-12)


def test_in_batch_ssm_is_cross_entropy_with_the_diagonal_as_target():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    neg = scores.masked_fill(torch.eye(5, dtype=torch.bool), -math.inf)
    exact = F.cross_entropy(scores / 0.1, torch.arange(5), reduction="none")
    torch.testing.assert_close(SSM(0.1)(scores.diagonal(), neg), exact, rtol=0, atol=1e-12)


def test_sl_over_the_catalogue_bounds_the_log_rank():
    _, pos, _, scores = catalogue()
    rank = (scores >= pos[:, None]).sum(dim=1)
    for tau in (0.05, 0.5, 5.0):
        assert (SL(tau)(pos, scores) >= rank.log() - 1e-12).all()


class TestLogQ:
    def test_every_candidate_once_needs_no_correction(self):
        _, pos, neg, _ = catalogue()
        logq = torch.full((9,), -math.log(8), dtype=torch.float64)
        for loss in (SL(0.3), SSM(0.3)):
            torch.testing.assert_close(loss(pos, neg, logq=logq), loss(pos, neg), rtol=0, atol=1e-12)

    def test_by_hand(self):
        pos, neg = torch.tensor([0.5], dtype=torch.float64), torch.tensor([[0.2, -0.4]], dtype=torch.float64)
        logq = torch.tensor([[math.log(0.1), math.log(0.6)]], dtype=torch.float64)
        total = math.exp(0.2 / 0.3) / (2 * 0.1) + math.exp(-0.4 / 0.3) / (2 * 0.6)
        pair = math.exp(0.5 / 0.3)
        assert SL(0.3)(pos, neg, logq=logq).item() == pytest.approx(math.log(total / pair), abs=1e-12)
        assert SSM(0.3)(pos, neg, logq=logq).item() == pytest.approx(math.log(1 + total / pair), abs=1e-12)

    def test_one_draw_is_unbiased_for_the_partition(self):
        """sum_j q_j * exp(SL with j as the only negative) is exp(SL over all)."""
        _, pos, _, scores = catalogue()
        q = torch.softmax(torch.linspace(-1, 2, 9, dtype=torch.float64), dim=0)
        one = torch.stack([SL(0.3)(pos, scores[:, j : j + 1], logq=q[j : j + 1].log()).exp() for j in range(9)])
        torch.testing.assert_close(q @ one, SL(0.3)(pos, scores).exp(), rtol=1e-12, atol=0)

    def test_many_draws_approach_the_full_softmax(self):
        target, pos, neg, scores = catalogue()
        q = torch.softmax(torch.linspace(-1, 2, 9, dtype=torch.float64), dim=0).expand(3, 9).masked_fill(neg.isinf(), 0)
        q = q / q.sum(dim=1, keepdim=True)
        ids = torch.multinomial(q, 40_000, replacement=True, generator=torch.Generator().manual_seed(3))
        value = SSM(0.5)(pos, scores.gather(1, ids), logq=q.gather(1, ids).log())
        full = F.cross_entropy(scores / 0.5, target, reduction="none")
        # the standard error of 40,000 draws is below 0.01 here; uncorrected, the values are off by 0.5 and more
        torch.testing.assert_close(value, full, rtol=0, atol=0.04)

    def test_the_logq_of_an_absent_negative_does_not_matter(self, exact):
        exact.neg[1, 2] = -math.inf
        logq = torch.full_like(exact.neg, -1.0)
        for value in (0.0, -math.inf, math.nan):
            logq[1, 2] = value
            for loss in (SL(0.2), SSM(0.2)):
                neg = exact.neg.clone().requires_grad_()
                out = loss(exact.pos, neg, logq=logq)
                out.sum().backward()
                assert out.isfinite().all()
                assert neg.grad.isfinite().all()
                assert neg.grad[1, 2] == 0
                two = loss(exact.pos[1:2], exact.neg[1:2, :2], logq=logq[1:2, :2])
                assert out[1].item() == pytest.approx(two.item(), abs=1e-12)


@pytest.mark.parametrize("loss", [SL, SSM])
@pytest.mark.parametrize("tau", [0, -0.1, math.nan, math.inf, None, "0.1", True])
def test_refuses_a_bad_temperature(loss, tau):
    with pytest.raises(UsageError, match=f"{loss.__name__}: tau must be a finite number above 0"):
        loss(tau=tau)
