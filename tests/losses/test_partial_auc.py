"""LLPAUC: the published value, a row by hand, and the numbers that are learned with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taurec import planted
from taurec.errors import UsageError
from taurec.losses import LLPAUC
from taurec.losses.partial_auc import START
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer


def scalars(pos, values=START):
    return torch.tensor(values, dtype=pos.dtype).expand(len(pos), -1)


def test_golden(rows):
    value = LLPAUC(alpha=0.7, beta=0.1)(rows.pos, rows.neg, scalars=scalars(rows.pos)).mean().item()
    assert value == pytest.approx(9.093586905150094, **rows.tol)


def test_by_hand(exact):
    a, b, g, s_pos, s_neg, theta_a, theta_b = values = (0.8, 0.2, -0.3, 0.4, 0.6, 0.7, 0.1)

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    def r(x):
        return math.log1p(math.exp(5 * x)) / 5

    p = sigmoid(0.2)
    of_pos = r(-((p - a) ** 2) + 2 * (1 + g) * p - s_pos) / 0.5
    others = [r((q - b) ** 2 + 2 * (1 + g) * q - s_neg) for q in map(sigmoid, (0.6, 0.2, 0.0))]
    expected = -s_pos - of_pos + s_neg + sum(others) / 3 / 0.3 - g**2 - theta_b * (b - 1 - g) + theta_a * (a + g)
    value = LLPAUC(alpha=0.5, beta=0.3)(exact.pos, exact.neg, scalars=scalars(exact.pos, values))
    assert value[1].item() == pytest.approx(expected, abs=1e-7)  # the numbers of the row are float32 at first


def trainer(**fields):
    log = planted(n_users=40, n_items=30, seed=2).log
    run = resolve(loss="llpauc", negatives="uniform:4", epochs=3, batch_size=32, patience=99, **fields)
    return Trainer(run, log)


def test_training_learns_the_numbers_within_their_ranges():
    one = trainer(lr=0.5)
    one.fit()
    a, b, g, s_pos, s_neg, theta_a, theta_b = one.step.loss_state.scalars.tolist()
    assert 0 <= a <= 1
    assert 0 <= b <= 1
    assert -1 <= s_pos <= 4
    assert 0 <= s_neg <= 5
    assert min(theta_a, theta_b) >= 0
    assert max(-a, b - 1) <= g <= 1
    assert one.step.loss_state.scalars.tolist() != list(START)


@pytest.mark.parametrize("ascent", [True, False])
def test_two_numbers_are_maximised_over(ascent, exact):
    """The gradient of g and s_pos changes its sign, and no value changes."""
    state = LLPAUC(ascent=ascent).state(planted(n_users=40, n_items=30, seed=2).log, seed=0)

    class Four:
        user = torch.arange(4)

    given = state.side(Four())["scalars"]
    assert given.tolist() == [list(START)] * 4
    LLPAUC()(exact.pos, exact.neg, scalars=given).sum().backward()
    plain = scalars(exact.pos).clone().requires_grad_()
    LLPAUC()(exact.pos, exact.neg, scalars=plain).sum().backward()
    turned = torch.tensor([1.0, 1, -1, -1, 1, 1, 1] if ascent else [1.0] * 7)
    torch.testing.assert_close(state.scalars.grad, plain.grad.sum(0).float() * turned)


def test_stopped_after_every_epoch_it_ends_with_the_same_bits(tmp_path):
    one = trainer()
    whole = one.fit()
    for _ in range(3):
        part = trainer()
        found = part.fit(tmp_path / "run.safetensors", every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert torch.equal(part.step.loss_state.scalars, one.step.loss_state.scalars)


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"needs scalars=\[B, 7\].*got nothing"):
        LLPAUC()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match=r"alpha is a share of at most 1, got 1\.5"):
        LLPAUC(alpha=1.5)
    with pytest.raises(UsageError, match="beta must be a finite number above 0"):
        LLPAUC(beta=0.0)
