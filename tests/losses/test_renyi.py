"""DrRL: values of the authors' formula, its limits, and the margins that are learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import CCL, DrRL
from taurec.losses.renyi import UserMargins
from taurec.sampling import Layout
from taurec.types import Batch


def test_golden(rows) -> None:
    eta = torch.full_like(rows.pos, 0.3)
    pos, neg = rows.pos, rows.neg.requires_grad_()
    loss = DrRL(omega=2.0, eps=0.1)
    value = loss(pos, neg, threshold=eta)
    assert value.tolist() == pytest.approx([0.784057287393, 1.34494897428, 1.5, 1.25184805706], **rows.tol)
    assert value.mean().item() == pytest.approx(1.22021357968, **rows.tol)
    (dneg,) = torch.autograd.grad(value.mean(), neg)
    assert dneg[0].tolist() == pytest.approx([0, 0, 0.141037986896], **rows.tol)
    slopes = [0.435848052416, 0.455668946048, 1, 0.299174442115]
    assert loss.slope(neg.detach(), eta).tolist() == pytest.approx(slopes, **rows.tol)
    none = DrRL(omega=2.0, eps=0.0)(pos, neg, threshold=eta)
    assert none.mean().item() == pytest.approx(1.14261014679, **rows.tol)
    many = DrRL(omega=150.0, neg_weight=150.0)(pos, neg, threshold=eta)
    assert many.mean().item() == pytest.approx(21.1457756245, abs=1e-9 if pos.dtype == torch.float64 else 1e-4)


def test_by_hand(exact) -> None:
    """omega 2 is the root of the mean square: row 3, negatives .95, .4, .1 above .3 by .65, .1, 0."""
    expected = 0.5 + ((0.75**2 + 0.2**2 + 0.1**2) / 3) ** 0.5 + 0.3
    value = DrRL(omega=2.0)(exact.pos, exact.neg, threshold=torch.full_like(exact.pos, 0.3))
    assert value[3].item() == pytest.approx(expected, abs=1e-14)


def test_a_large_omega_is_ccl_and_two_constants(exact) -> None:
    eta = torch.full_like(exact.pos, 0.3)
    ccl = CCL(margin=0.3, neg_weight=20.0)(exact.pos, exact.neg)
    value = DrRL(omega=1e9, neg_weight=20.0)(exact.pos, exact.neg, threshold=eta)
    torch.testing.assert_close(value, ccl + 0.1 + 0.3, rtol=0, atol=1e-6)


def test_omega_close_to_1_is_the_largest_term(exact) -> None:
    eta = torch.full_like(exact.pos, 0.3)
    value = DrRL(omega=1 + 1e-6)(exact.pos, exact.neg, threshold=eta)
    largest = 1 - exact.pos + 0.1 + torch.relu(exact.neg.amax(1) - 0.3) + 0.3
    torch.testing.assert_close(value, largest, rtol=0, atol=1e-5)


def test_a_low_margin_and_a_large_power_are_a_softmax(exact) -> None:
    """At eta = -q tau and eps = 0 it tends to max(0, 1 - pos) + tau log mean exp(neg / tau)."""
    tau, q = 0.2, 1e7
    eta = torch.full_like(exact.pos, -q * tau)
    value = DrRL(omega=q / (q - 1), eps=0.0)(exact.pos, exact.neg, threshold=eta)
    softmax = 1 - exact.pos + tau * ((exact.neg / tau).exp().mean(1)).log()
    torch.testing.assert_close(value, softmax, rtol=0, atol=1e-6)


def test_the_slope_is_the_derivative_by_the_margin(exact) -> None:
    for loss in (DrRL(), DrRL(omega=3.0, neg_weight=7.0), DrRL(omega=1.1, eps=0.0)):
        neg = torch.cat([exact.neg, torch.full((4, 2), -torch.inf)], 1)
        eta = torch.tensor([0.2, -0.1, 0.35, 0.05], dtype=torch.float64)
        step = 1e-7
        up, down = (loss(exact.pos, neg, threshold=eta + s) for s in (step, -step))
        torch.testing.assert_close(loss.slope(neg, eta), (up - down) / (2 * step), rtol=0, atol=1e-6)


def test_nothing_above_the_margin_and_no_eps(exact) -> None:
    neg = exact.neg.requires_grad_()
    value = DrRL(eps=0.0)(exact.pos, neg, threshold=torch.full_like(exact.pos, 0.99))
    torch.testing.assert_close(value, 1 - exact.pos + 0.99)
    assert not torch.autograd.grad(value.sum(), neg)[0].any()


def test_the_rows_of_a_user_move_its_margin_together(exact) -> None:
    log = Interactions.from_pairs([0, 0, 1, 2], [0, 1, 2, 3])
    state = UserMargins(DrRL(omega=2.0, margin=0.3, margin_lr=0.5), log)
    batch = Batch(torch.tensor([0, 1, 2, 0]), torch.zeros(4, dtype=torch.int64), torch.arange(4), Layout())
    assert state.side(batch)["threshold"].tolist() == pytest.approx([0.3] * 4)
    state.observe(batch, exact.pos.float(), exact.neg.float())
    moved = [0.3 - 0.5 * s for s in (0.435848052416 + 0.299174442115, 0.455668946048, 1.0)]
    assert state.numbers.tolist() == pytest.approx(moved, abs=1e-6)
    again = UserMargins(DrRL(), log)
    again.load_state(state.state())
    assert np.array_equal(again.numbers.numpy(), state.numbers.numpy())


def test_what_is_refused(exact) -> None:
    with pytest.raises(UsageError, match="DrRL: omega must be a finite number above 1"):
        DrRL(omega=1.0)
    with pytest.raises(UsageError, match="DrRL needs threshold"):
        DrRL()(exact.pos, exact.neg)
