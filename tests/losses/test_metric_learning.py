"""CML and MCL on minus squared distances: values worked by hand, mining, the unit ball."""

from __future__ import annotations

import math

import pytest
import torch

from taurec import planted
from taurec.errors import UsageError
from taurec.losses import CML, MCL, Hinge
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer


def distances(dtype=torch.float64):
    """Minus squared distances of two users to an item and to three others."""
    user = torch.tensor([[0.6, 0.8], [0.3, 0.4]], dtype=dtype)
    item = torch.tensor([[0.8, 0.6], [0.0, 0.5]], dtype=dtype)
    other = torch.tensor([[[1, 0], [0, 1], [-0.6, -0.8]], [[0.3, 0.3], [1, 0], [0, -1]]], dtype=dtype)
    return -(user - item).square().sum(1), -(user[:, None] - other).square().sum(2)


def eleven(pos):
    return torch.full_like(pos, 11.0)


@pytest.mark.parametrize(("margin", "golden"), [(0.5, 0.593071340765), (1.0, 1.87643322954)])
def test_cml_golden(rows, margin, golden):
    pos, neg = distances(rows.pos.dtype)
    assert CML(margin=margin)(pos, neg, n_items=eleven(pos)).mean().item() == pytest.approx(golden, **rows.tol)


def test_cml_by_hand():
    """Row 0: the item is at 0.08 and the closest other at 0.4; two of three are within 1.08."""
    pos, neg = distances()
    value = CML(margin=1.0)(pos, neg, n_items=eleven(pos))
    within = sum(d < 1.08 for d in (0.8, 0.4, 4.0))
    assert value[0].item() == pytest.approx(math.log(1 + 11 * within / 3) * (1.0 + 0.08 - 0.4), abs=1e-12)


def test_cml_with_one_negative_and_no_weight_is_the_hinge(exact):
    one = exact.neg[:, :1]
    torch.testing.assert_close(
        CML(margin=0.5, rank_weight=False)(exact.pos, one, n_items=eleven(exact.pos)), Hinge(0.5)(exact.pos, one)
    )


def test_the_hinge_on_distances_is_the_golden_value_of_the_mean_form(rows):
    pos, neg = distances(rows.pos.dtype)
    assert Hinge(0.5)(pos, neg).mean().item() == pytest.approx(0.128333333333, **rows.tol)
    assert Hinge(1.0)(pos, neg).mean().item() == pytest.approx(0.416666666667, **rows.tol)


def test_cml_learns_from_the_closest_negative_alone():
    pos, neg = distances()
    neg = neg.clone().requires_grad_()
    CML(margin=1.0)(pos, neg, n_items=eleven(pos)).sum().backward()
    assert (neg.grad != 0).sum(1).tolist() == [1, 1]
    assert neg.grad[0, 1] > 0


def small(loss, **fields):
    log = planted(n_users=40, n_items=30, seed=2).log
    return Trainer(resolve(loss=loss, **{"negatives": "uniform:4", "epochs": 3, "batch_size": 32, **fields}), log)


@pytest.mark.parametrize("backbone", ["mf", "lightgcn"])
@pytest.mark.parametrize("kernel", ["auto", "torch"])
def test_the_preset_keeps_the_tables_in_the_unit_ball(backbone, kernel):
    trainer = small("cml", backbone=backbone, kernel=kernel, lr=0.3)
    trainer.fit()
    for table in (trainer.backbone.user, trainer.backbone.item):
        assert table.norm(dim=1).max() <= 1 + 1e-6
    free = small("cml", backbone=backbone, kernel=kernel, lr=0.3, max_norm=0)
    free.fit()
    assert free.backbone.user.norm(dim=1).max() > 1.5


def g4():
    pos = torch.tensor([0.9, 0.2, -0.1, 0.5], dtype=torch.float64)
    neg = torch.tensor([[0.1, -0.3, 0.85], [0.6, 0.2, 0.0], [-0.5, -0.9, 0.3], [0.95, 0.4, 0.1]], dtype=torch.float64)
    return 2 * pos - 2, 2 * neg - 2, torch.tensor([7, 3, 7, 5])


@pytest.mark.parametrize(("margin", "golden"), [(0.1, 2.58569711702), (1.0, 2.62209724396)])
def test_mcl_golden(margin, golden):
    pos, neg, group = g4()
    value = MCL(margin=margin, alpha=1.25, beta=5.0, shift_pos=1.0, shift_neg=0.0)(pos, neg, group=group)
    assert value.item() == pytest.approx(golden, abs=1e-10)
    short = MCL(margin=margin, alpha=1.25, beta=5.0, shift_pos=1.0, shift_neg=0.0)(
        pos.float(), neg.float(), group=group
    )
    assert short.item() == pytest.approx(golden, abs=1e-5)


def test_mcl_keeps_three_positives_and_six_negatives():
    """The pair (0.5) of user 5 is kept, as a negative of 0.95 is closer; that of row 0 (0.9) too, by user 7's 0.85."""
    pos, neg, group = g4()
    pos, neg = pos.requires_grad_(), neg.requires_grad_()
    MCL(margin=0.1, shift_pos=1.0, shift_neg=0.0)(pos, neg, group=group).backward()
    assert int((pos.grad != 0).sum()) == 3
    assert int((neg.grad != 0).sum()) == 6


def test_mcl_by_hand():
    """One row: distance 2 of the pair; distances 1 and 5 of its negatives, of which 5 is beyond 2 + 1."""
    pos, neg = torch.tensor([-2.0]).double(), torch.tensor([[-1.0, -5.0]]).double()
    value = MCL(margin=1.0, alpha=2.0, beta=3.0, shift_pos=0.5, shift_neg=-0.5)(pos, neg, group=torch.tensor([0]))
    expected = math.log(1 + math.exp(2 * 2.5)) / 2 + math.log(1 + math.exp(-3 * 0.5)) / 3
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_mcl_trains_with_groups():
    trainer = small("mcl")
    found = trainer.fit()
    assert trainer.run.order.name == "user-blocks"
    assert all(math.isfinite(r.loss) for r in found.records)


@pytest.mark.parametrize("loss", ["cml", "mcl"])
def test_stopped_after_every_epoch_it_ends_with_the_same_bits(loss, tmp_path):
    whole = small(loss, patience=99).fit()
    for _ in range(3):
        found = small(loss, patience=99).fit(tmp_path / "run.safetensors", every=0.0, seconds=0.0)
    assert found.finished
    assert (found.ranker.user == whole.ranker.user).all()


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"CML needs n_items=\[B\]"):
        CML()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match="CML: margin must be a finite number above 0"):
        CML(margin=0.0)
    with pytest.raises(UsageError, match=r"MCL needs group=\[B\]"):
        MCL()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match="MCL: beta must be a finite number above 0"):
        MCL(beta=0.0)
