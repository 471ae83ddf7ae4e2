from __future__ import annotations

import math

import pytest
import torch

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.losses import BCE, GBCE
from taurec.losses.gbce import CatalogueSize
from taurec.sampling import Layout
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch


def n_items(n: float, like: torch.Tensor) -> torch.Tensor:
    return torch.full_like(like, n)


def test_golden(rows):
    value = GBCE(calibration=0.75)(rows.pos, rows.neg, n_items=n_items(11, rows.pos)).mean().item()
    assert value == pytest.approx(0.666392777, abs=max(rows.tol["abs"], 1e-9))


def test_by_hand(exact):
    a = 3 / 10
    beta = a * (0.75 * (1 - 1 / a) + 1 / a)  # 0.475, as the paper writes it
    pair = math.log(1 + math.exp(-0.2))
    others = sum(math.log(1 + math.exp(x)) for x in (0.6, 0.2, 0.0))
    value = GBCE(calibration=0.75)(exact.pos, exact.neg, n_items=n_items(11, exact.pos))[1].item()
    assert value == pytest.approx((beta * pair + others) / 4, abs=1e-14)
    assert value == pytest.approx((math.log((1 + math.exp(-0.2)) ** beta) + others) / 4, abs=1e-14)


def test_without_calibration_or_with_all_items_it_is_binary_cross_entropy(exact):
    bce = BCE(neg_weight=None)(exact.pos, exact.neg) / 4
    none = GBCE(calibration=0.0)(exact.pos, exact.neg, n_items=n_items(1000, exact.pos))
    every = GBCE(calibration=1.0)(exact.pos, exact.neg, n_items=n_items(4, exact.pos))
    more = GBCE(calibration=1.0)(exact.pos, exact.neg, n_items=n_items(2, exact.pos))  # drawn with repetition
    for value in (none, every, more):
        torch.testing.assert_close(value, bce, rtol=0, atol=1e-14)


def test_calibrated_scores_are_those_of_all_negatives():
    """A share x of pairs at one score s: sampled with calibration 1, s is best where it is with all I - 1 negatives.

    The pair meets M negatives of I - 1; in expectation one of them at the score s has the frequency M / (I - 1) q.
    """
    items, m, q = 101, 10, 0.03
    s = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimum = math.log(1 / ((items - 1) * q))  # softplus(-s) + (I - 1) q softplus(s) at its least
    with torch.no_grad():
        s += optimum
    none = torch.full((1, m), -40.0, dtype=torch.float64)  # the other negatives have no pull
    sampled = GBCE(calibration=1.0)
    own = sampled(s, none, n_items=torch.tensor([float(items)]).double()) * (1 + m)
    expected = own + m * q * torch.nn.functional.softplus(s)
    (slope,) = torch.autograd.grad(expected.sum(), s)
    assert slope.item() == pytest.approx(0, abs=1e-12)


def test_training_supplies_the_number_of_items():
    log = planted(n_users=30, n_items=17, seed=0).log
    rows = Batch(*(torch.zeros(3, dtype=torch.int64),) * 3, Layout())
    assert CatalogueSize(log).side(rows)["n_items"].tolist() == [17.0] * 3
    for kernel, negatives in (("torch", "uniform:4"), ("auto", "full"), ("auto", "in-batch")):
        run = resolve(loss="gbce", negatives=negatives, kernel=kernel, epochs=2, settings={"backbone": {"dim": 8}})
        assert all(math.isfinite(r.loss) for r in Trainer(run, log).fit().records)


def test_refusals(exact):
    with pytest.raises(UsageError, match="GBCE: calibration must be"):
        GBCE(calibration=1.5)
    with pytest.raises(UsageError, match="GBCE needs n_items"):
        GBCE()(exact.pos, exact.neg)
