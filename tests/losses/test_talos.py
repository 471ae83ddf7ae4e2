"""Talos and its thresholds: values of the authors' formula, limits, and the quantile that is learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import SL, Talos
from taurec.losses.talos import QuantileThresholds, quantile_slope
from taurec.sampling import Layout
from taurec.types import Batch


def thresholds(like: torch.Tensor) -> torch.Tensor:
    return torch.tensor([0.5, 0.1, 0.2, 0.8], dtype=like.dtype)


def test_golden(rows) -> None:
    pos, neg = rows.pos.requires_grad_(), rows.neg.requires_grad_()
    value = Talos(tau=0.2)(pos, neg, threshold=thresholds(pos))
    assert value.tolist() == pytest.approx([0.0730201637613, 1.37369536236, 1.16778079709, 1.44604686668], **rows.tol)
    assert value.mean().item() == pytest.approx(1.01513579747, **rows.tol)
    dpos, dneg = torch.autograd.grad(value.mean(), [pos, neg])
    assert dpos.tolist() == pytest.approx(
        [-0.501640424859, -0.593776015651, -0.718053146015, -0.718053146015], **rows.tol
    )
    assert dneg[0].tolist() == pytest.approx([0.0941475671043, 0.0298549582881, 0.433834010225], **rows.tol)
    zero = Talos(tau=0.2)(pos, neg, threshold=torch.zeros_like(pos))
    assert zero.mean().item() == pytest.approx(0.962938027494, **rows.tol)


def test_it_is_sl_of_log_sigmoid_scores(exact) -> None:
    at = thresholds(exact.pos)
    expected = SL(0.2)(F.logsigmoid(exact.pos - at), F.logsigmoid(exact.neg - at[:, None]))
    torch.testing.assert_close(Talos(0.2)(exact.pos, exact.neg, threshold=at), expected, rtol=0, atol=1e-13)


def test_limits(exact) -> None:
    high, low = torch.full_like(exact.pos, 40.0), torch.full_like(exact.pos, -40.0)
    torch.testing.assert_close(
        Talos(0.2)(exact.pos, exact.neg, threshold=high), SL(0.2)(exact.pos, exact.neg), rtol=0, atol=1e-13
    )
    value = Talos(0.2)(exact.pos.requires_grad_(), exact.neg, threshold=low)
    assert value.tolist() == pytest.approx([math.log(3)] * 4, abs=1e-13)
    assert torch.autograd.grad(value.sum(), exact.pos)[0].abs().max() < 1e-15


def test_a_shift_of_scores_and_thresholds_changes_nothing(exact) -> None:
    at = thresholds(exact.pos)
    moved = Talos(0.2)(exact.pos + 3, exact.neg + 3, threshold=at + 3)
    torch.testing.assert_close(moved, Talos(0.2)(exact.pos, exact.neg, threshold=at), rtol=0, atol=1e-13)


OWN, OTHERS = [0.9, 0.4], [0.1, -0.3, 0.85]


def q(b: float) -> float:
    """Q(b) of a user with two positives and three drawn negatives of 50 items, K = 5."""
    rho = lambda x: 0.9 * max(0.0, x) + 0.1 * max(0.0, -x)  # noqa: E731
    return (sum(rho(s - b) for s in OWN) + 16 * sum(rho(s - b) for s in OTHERS)) / 50


@pytest.mark.parametrize(("at", "slope"), [(0.5, -0.24), (0.87, 0.08)])
def test_the_mean_slope_over_the_rows_of_a_user_is_that_of_q(at: float, slope: float) -> None:
    assert q(0.5) == pytest.approx(0.1466, abs=1e-12)
    assert (q(at + 1e-6) - q(at - 1e-6)) / 2e-6 == pytest.approx(slope, abs=1e-9)
    pos, neg = torch.tensor(OWN, dtype=torch.float64), torch.tensor([OTHERS, [*OTHERS]], dtype=torch.float64)
    neg = torch.cat([neg, torch.full((2, 2), -torch.inf)], 1)
    found = quantile_slope(pos, neg, torch.full_like(pos, at), torch.tensor([2, 2]), 50, 5)
    assert found.mean().item() == pytest.approx(slope, abs=1e-12)


def test_a_row_without_negatives_moves_nothing() -> None:
    one = torch.ones(1)
    assert quantile_slope(one, torch.full((1, 3), -torch.inf), one * 0, torch.tensor([2]), 50, 5).tolist() == [0.0]


LOG = Interactions.from_pairs([0, 0, 1], [3, 7, 39])


def rows_of(user: list[int], item: list[int]) -> Batch:
    return Batch(torch.tensor(user), torch.tensor(item), torch.arange(len(user)), Layout())


def test_adam_is_that_of_torch() -> None:
    state, parameter = QuantileThresholds(Talos(threshold_lr=0.01), LOG), torch.nn.Parameter(torch.zeros(2))
    adam = torch.optim.Adam([parameter], lr=0.01)
    for step in range(5):
        gradient = torch.randn(2, generator=torch.Generator().manual_seed(step)) * (step != 2)
        parameter.grad = gradient.clone()
        adam.step()
        state._adam(gradient)
    torch.testing.assert_close(state.numbers, parameter.data, rtol=1e-5, atol=1e-8)


def test_the_threshold_finds_the_score_at_rank_k() -> None:
    """Fixed scores 0 to 39 hundredths: with K = 4 the 4th largest is .36, and Q is flat down to the 5th, .35."""
    state = QuantileThresholds(Talos(k=4, threshold_lr=2e-3), LOG)
    scores = torch.arange(40) / 100
    others = torch.tensor([i for i in range(40) if i not in (3, 7)])
    batch = rows_of([0, 0], [3, 7])
    for _ in range(1500):
        state.observe(batch, scores[[3, 7]], scores[others].repeat(2, 1))
    assert 0.345 < float(state.numbers[0]) < 0.365
    assert float(state.numbers[1]) == 0.0
    again = QuantileThresholds(Talos(k=4, threshold_lr=2e-3), LOG)
    again.load_state(state.state())
    for one in (state, again):
        one.observe(batch, scores[[3, 7]], scores[others].repeat(2, 1))
    assert np.array_equal(state.numbers.numpy(), again.numbers.numpy())


def test_thresholds_may_stay_at_zero() -> None:
    state = QuantileThresholds(Talos(learn=False), LOG)
    state.observe(rows_of([0], [3]), torch.ones(1), torch.zeros(1, 3))
    assert state.side(rows_of([1, 0], [39, 3]))["threshold"].tolist() == [0.0, 0.0]


def test_what_is_refused(exact) -> None:
    with pytest.raises(UsageError, match="Talos: tau must be a finite number above 0"):
        Talos(tau=0.0)
    with pytest.raises(UsageError, match="Talos: k must be a finite number of at least 1"):
        Talos(k=0)
    with pytest.raises(UsageError, match="Talos needs threshold"):
        Talos()(exact.pos, exact.neg)
