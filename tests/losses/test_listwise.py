"""CEL: values worked by hand, per row and per user, and its place between the two."""

from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import CEL, CELPerUser

GOLDEN = [0.577074224676, 0.661153125949, 0.650212605596, 0.640948369528]


def q(x, tau=1.0, threshold=0.0):
    return 1 / (1 + math.exp((threshold - x) / tau))


def test_golden(rows):
    value = CEL()(rows.pos, rows.neg)
    assert value.tolist() == pytest.approx(GOLDEN, **rows.tol)
    sharp = CEL(tau=0.2, threshold=0.5)(rows.pos, rows.neg).mean()
    assert sharp.item() == pytest.approx(0.698261795537, **rows.tol)


def test_golden_gradient(exact):
    pos = exact.pos.clone().requires_grad_()
    CEL()(pos, exact.neg).mean().backward()
    expected = [-0.0240990555052, -0.0316734854801, -0.0378787949341, -0.0278051712215]
    assert pos.grad.tolist() == pytest.approx(expected, abs=1e-12)


def test_by_hand(exact):
    others = sum(q(x, 0.2, 0.5) for x in (0.6, 0.2, 0.0))
    expected = 1 - 2 * q(0.2, 0.2, 0.5) / (1 + q(0.2, 0.2, 0.5) + others)
    assert CEL(tau=0.2, threshold=0.5)(exact.pos, exact.neg)[1].item() == pytest.approx(expected, abs=1e-14)


def test_golden_per_user(rows):
    """Users 7 (rows 0 and 2), 3 and 5; the mean over rows is the mean over users."""
    value = CELPerUser()(rows.pos, rows.neg, group=rows.group)
    assert value.mean().item() == pytest.approx(0.63728607721, **rows.tol)
    per_user = {7: 0.609756736152, 3: GOLDEN[1], 5: GOLDEN[3]}
    shares = [per_user[u] * 4 / (3 * (2 if u == 7 else 1)) for u in rows.group.tolist()]
    assert value.tolist() == pytest.approx(shares, **rows.tol)


def test_all_rows_of_one_user_are_one_set(rows):
    """The form of the paper: one set for the whole batch."""
    value = CELPerUser()(rows.pos, rows.neg, group=torch.zeros(4, dtype=torch.int64))
    assert value.tolist() == pytest.approx([0.631252623345] * 4, **rows.tol)


def test_without_groups_it_is_the_row_form(exact):
    value = CELPerUser(tau=0.3)(exact.pos, exact.neg, group=torch.arange(4))
    torch.testing.assert_close(value, CEL(tau=0.3)(exact.pos, exact.neg), rtol=0, atol=1e-14)


def test_it_is_one_minus_the_f1_of_certain_scores():
    """Scores far from the threshold: 1 pair found, 2 of 3 negatives taken for positives."""
    value = CEL(tau=1e-3)(torch.tensor([0.9]), torch.tensor([[0.9, 0.8, -0.9]]))
    precision, recall = 1 / 3, 1.0
    assert value.item() == pytest.approx(1 - 2 * precision * recall / (precision + recall), abs=1e-6)


def test_a_row_without_negatives_is_no_part_of_its_user(exact):
    neg = exact.neg.clone()
    neg[0] = -math.inf
    value = CELPerUser()(exact.pos, neg, group=exact.group)
    assert value[0] == 0
    torch.testing.assert_close(value[1:], CEL()(exact.pos, exact.neg)[1:], rtol=0, atol=1e-14)


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"CELPerUser needs group=\[B\]"):
        CELPerUser()(exact.pos, exact.neg)
    for build in (CEL, CELPerUser):
        with pytest.raises(UsageError, match="tau must be a finite number above 0"):
            build(tau=0.0)
        with pytest.raises(UsageError, match="threshold must be a finite number"):
            build(threshold=math.inf)
