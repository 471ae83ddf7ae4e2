"""Losses of alignment and uniformity: published values, slow loops, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import MAWU, DirectAU
from taurec.losses.alignment import PairAngles, released_uniformity, uniformity
from taurec.losses.angle import cosine_plus_angle
from taurec.sampling import Layout
from taurec.types import Batch

USER = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=torch.float64)
ITEM = torch.tensor([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)


def test_golden() -> None:
    assert DirectAU(gamma=0.0)(USER, ITEM).item() == pytest.approx(0.4, abs=1e-14)
    assert uniformity(USER).item() == pytest.approx(-1.499774983941234, abs=1e-14)
    assert uniformity(ITEM).item() == pytest.approx(-1.499774983941234, abs=1e-14)
    assert DirectAU(gamma=1.0)(USER, ITEM).item() == pytest.approx(-1.099774983941234, abs=1e-14)


def test_by_a_slow_loop() -> None:
    """Squared distances of the users: 2, 0.8 and 0.4; of the items: 0.4, 2 and 0.4 swapped in place."""
    by_hand = math.log((math.exp(-2 * 2.0) + math.exp(-2 * 0.8) + math.exp(-2 * 0.4)) / 3)
    assert uniformity(USER).item() == pytest.approx(by_hand, abs=1e-14)
    x = F.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)
    terms = [math.exp(-2 * float((x[a] - x[b]).square().sum())) for a in range(9) for b in range(a)]
    assert uniformity(x).item() == pytest.approx(math.log(sum(terms) / len(terms)), abs=1e-12)


def test_alignment_is_two_minus_twice_the_cosine() -> None:
    cosine = (USER * ITEM).sum(1)
    torch.testing.assert_close(DirectAU(gamma=0.0)(USER, ITEM), (2 - 2 * cosine).mean())


def test_a_vector_that_comes_twice_counts_twice() -> None:
    """Two equal rows are at distance 0: the pair adds exp(0) to the mean."""
    twice = USER[[0, 1, 1]]
    assert uniformity(twice).item() == pytest.approx(math.log((2 * math.exp(-4.0) + 1) / 3), abs=1e-14)


def test_a_single_pair_has_no_uniformity() -> None:
    assert DirectAU(gamma=5.0)(USER[:1], ITEM[:1]).item() == pytest.approx(0.4, abs=1e-14)


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="DirectAU: gamma must be a finite number of at least 0"):
        DirectAU(gamma=-1.0)
    with pytest.raises(UsageError, match=r"user and item must be \[B, D\].*got shapes \(3, 2\) and \(2, 2\)"):
        DirectAU()(USER, ITEM[:2])
    with pytest.raises(UsageError, match="user must hold floating-point vectors"):
        DirectAU()(USER.long(), ITEM)


ANGLE = 1 - torch.sigmoid(torch.tensor([0.3, 0.9, 1.0], dtype=torch.float64))
"""1 - sigmoid(m_u + m_i) with m_u = .2, .5, 0 and m_i = .1, .4, 1."""


def test_mawu_golden() -> None:
    """The authors round a cosine of 1 to 1 - 1e-7 before the angle is added; that is 1e-8 of the mean."""
    none = MAWU(gamma_user=0.0, gamma_item=0.0)
    assert none(USER, ITEM, angle=ANGLE).item() == pytest.approx(-0.601733328139, abs=1e-7)
    assert released_uniformity(USER).item() == pytest.approx(-2.44641061667, abs=1e-11)
    assert released_uniformity(ITEM).item() == pytest.approx(-2.44641061667, abs=1e-11)
    of_code, plain = MAWU(1.0, 0.1, released=True), MAWU(1.0, 0.1)
    assert of_code(USER, ITEM, angle=ANGLE).item() == pytest.approx(-3.29278500648, abs=1e-7)
    assert plain(USER, ITEM, angle=ANGLE).item() == pytest.approx(-2.25148581047, abs=1e-7)


def test_mawu_by_hand() -> None:
    theta = (USER * ITEM).sum(1).clamp(max=1 - 1e-7).acos()
    by_hand = -(theta + ANGLE).clamp(max=math.pi).cos().mean() + 0.7 * uniformity(USER) + 0.3 * uniformity(ITEM)
    assert MAWU(0.7, 0.3)(USER, ITEM, angle=ANGLE).item() == pytest.approx(by_hand.item(), abs=1e-7)


def test_without_margins_its_alignment_is_half_of_that_of_directau() -> None:
    """|u - i|^2 = 2 - 2 cos, so its alignment is DirectAU's halved, minus 1."""
    zero = torch.zeros(3, dtype=torch.float64)
    found = MAWU(0.5, 0.5)(USER, ITEM, angle=zero)
    torch.testing.assert_close(found, DirectAU(2.0)(USER, ITEM) / 2 - 1, atol=1e-7, rtol=0)


def test_the_angle_ends_at_pi() -> None:
    cosine = torch.tensor([-0.99, -0.5, 0.999], dtype=torch.float64, requires_grad=True)
    turned = cosine_plus_angle(cosine, torch.full((3,), 0.9, dtype=torch.float64), "MAWU")
    assert turned.tolist() == pytest.approx([-1.0, math.cos(math.acos(-0.5) + 0.9), math.cos(math.acos(0.999) + 0.9)])
    (slope,) = torch.autograd.grad(turned.sum(), cosine)
    assert slope[0] == 0
    assert (slope[1:] > 0).all()
    dense = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    grown = cosine_plus_angle(dense, torch.full_like(dense, 0.9), "MAWU").diff()
    assert (grown >= 0).all()


def test_the_margins_are_those_of_user_and_item_and_stay_in_range() -> None:
    state = PairAngles(Interactions.from_pairs([0, 1, 2], [0, 1, 1]), seed=4)
    state.user.data[:, 0] = torch.tensor([0.2, 0.5, 2.0])
    state.item.data[:, 0] = torch.tensor([0.1, -0.4])
    user, item = torch.tensor([0, 1]), torch.tensor([0, 0])
    batch = Batch(user, item, torch.arange(2), Layout())
    expected = [1 - 1 / (1 + math.exp(-m)) for m in (0.3, 0.6)]
    assert state.side(batch)["angle"].tolist() == pytest.approx(expected, abs=1e-6)
    state.observe(batch, None, None)
    assert state.user[:, 0].tolist() == pytest.approx([0.2, 0.5, 1.0])
    assert state.item[:, 0].tolist() == pytest.approx([0.1, 0.0])
    again = PairAngles(Interactions.from_pairs([0], [0]), seed=4)
    assert torch.equal(again.user, PairAngles(Interactions.from_pairs([0], [0]), seed=4).user)
