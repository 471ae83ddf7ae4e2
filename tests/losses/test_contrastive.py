from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import DCL, HCL, SSM, HardnessSSM


def grads(loss, exact):
    pos, neg = exact.pos.clone().requires_grad_(), exact.neg.clone().requires_grad_()
    value = loss(pos, neg).mean()
    value.backward()
    return value.item(), pos.grad, neg.grad


def random_scores(b=200, n=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pos = torch.rand(b, generator=generator, dtype=torch.float64) * 2 - 1
    return pos, torch.rand(b, n, generator=generator, dtype=torch.float64) * 2 - 1


def test_golden_hcl(rows):
    for beta, tau_plus, mean in (
        (1.0, 0.1, 1.691630395288811),
        (0.0, 0.0, 1.321030244161463),
        (0.0, 0.1, 1.305524900220920),
    ):
        value = HCL(tau=0.5, beta=beta, tau_plus=tau_plus)(rows.pos, rows.neg).mean().item()
        assert value == pytest.approx(mean, **rows.tol)
    assert DCL(tau=0.5, tau_plus=0.1)(rows.pos, rows.neg).mean().item() == pytest.approx(1.30552490022092, **rows.tol)


def test_hcl_by_hand(exact):
    pair, negatives = math.exp(0.2 / 0.5), [math.exp(x / 0.5) for x in (0.6, 0.2, 0.0)]
    weights = [x**2.0 / (sum(y**2.0 for y in negatives) / 3) for x in negatives]
    rest = (sum(w * x for w, x in zip(weights, negatives, strict=True)) - 0.1 * 3 * pair) / 0.9
    value = HCL(tau=0.5, beta=2.0, tau_plus=0.1)(exact.pos, exact.neg)[1].item()
    assert value == pytest.approx(-math.log(pair / (pair + rest)), abs=1e-14)


def test_dcl_keeps_to_its_lower_bound():
    """A pair far above its negatives: what is left of the sum is that of negatives at cosine -1."""
    pos, neg = torch.tensor([0.9], dtype=torch.float64), torch.tensor([[-0.9, -0.8]], dtype=torch.float64)
    value = DCL(tau=0.5, tau_plus=0.3)(pos, neg).item()
    pair, least = math.exp(0.9 / 0.5), 2 * math.exp(-1 / 0.5)
    assert value == pytest.approx(math.log((pair + least) / pair), abs=1e-14)


def test_hcl_without_weights_is_dcl_and_without_both_ssm():
    pos, neg = random_scores()
    for tau_plus in (0.0, 0.01, 0.2):
        hcl = HCL(tau=0.3, beta=0.0, tau_plus=tau_plus)(pos, neg)
        torch.testing.assert_close(hcl, DCL(tau=0.3, tau_plus=tau_plus)(pos, neg), rtol=0, atol=1e-12)
    torch.testing.assert_close(DCL(tau=0.3, tau_plus=0.0)(pos, neg), SSM(tau=0.3)(pos, neg), rtol=0, atol=1e-12)
    small = DCL(tau=0.3, tau_plus=1e-12)(pos, neg)
    torch.testing.assert_close(small, SSM(tau=0.3)(pos, neg), rtol=0, atol=1e-9)


def test_hcl_at_large_beta_is_the_hardest_negative_n_times():
    pos, neg = random_scores()
    hardest = neg.amax(1, keepdim=True).expand(-1, 7)
    torch.testing.assert_close(
        HCL(tau=0.3, beta=1e6, tau_plus=0.05)(pos, neg), DCL(tau=0.3, tau_plus=0.05)(pos, hardest), rtol=0, atol=1e-4
    )


def test_constant_weights_change_the_gradient_alone(exact):
    moving, constant = HCL(tau=0.5, tau_plus=0.1), HCL(tau=0.5, tau_plus=0.1, detach_weights=True)
    torch.testing.assert_close(moving(exact.pos, exact.neg), constant(exact.pos, exact.neg), rtol=0, atol=1e-13)
    (_, _, free), (_, _, fixed) = grads(moving, exact), grads(constant, exact)
    assert (free < 0).any()
    assert (fixed > 0).all()


def test_golden_hardness(exact):
    value, dpos, dneg = grads(HardnessSSM(tau=0.2, alpha=2.0), exact)
    assert value == pytest.approx(2.95991375277, abs=1e-11)
    assert dneg[0].tolist() == pytest.approx([0.00528925310945, 0.000321639812826, 1.007953228], abs=1e-9)
    assert dpos[0].item() == pytest.approx(-1.01356412092, abs=1e-11)
    assert grads(HardnessSSM(tau=0.05, alpha=9.0), exact)[0] == pytest.approx(12.0753316455, abs=1e-10)


def test_hardness_is_ssm_with_constant_log_weights():
    """Value and gradient of the printed formula, written out."""
    pos, neg = random_scores()
    pos, neg = pos.requires_grad_(), neg.requires_grad_()
    logits = torch.cat([pos[:, None] / 0.2, neg / 0.2 + 3.0 * neg.detach()], dim=1)
    plain = torch.logsumexp(logits, dim=1) - pos / 0.2
    loss = HardnessSSM(tau=0.2, alpha=3.0)(pos, neg)
    torch.testing.assert_close(loss, plain, rtol=0, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(loss.sum(), (pos, neg)), torch.autograd.grad(plain.sum(), (pos, neg)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_hardness_off_is_ssm(exact):
    got, expected = grads(HardnessSSM(tau=0.2, alpha=0.0), exact), grads(SSM(tau=0.2), exact)
    assert got[0] == expected[0]
    assert torch.equal(got[2], expected[2])


@pytest.mark.parametrize("loss", [DCL, HCL, HardnessSSM])
@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"tau_plus": 0.6}, {"beta": -1.0}, {"alpha": -1.0}])
def test_refusals(loss, settings):
    name = next(iter(settings))
    if name in loss.__dataclass_fields__:
        with pytest.raises(UsageError, match=f"{loss.__name__}: {name} must be"):
            loss(**settings)
