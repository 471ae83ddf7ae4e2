"""Losses of alignment and uniformity: published values, slow loops, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from taurec.errors import UsageError
from taurec.losses import DirectAU
from taurec.losses.alignment import uniformity

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
