"""WARP, LambdaRank and LambdaLoss@K: values worked by hand, ranks, limits."""

from __future__ import annotations

import math

import pytest
import torch

from taurec import planted
from taurec.errors import UsageError
from taurec.losses import BPR, WARP, LambdaLossAtK, LambdaRank
from taurec.losses.ranking import ranks
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer


def eleven(rows):
    return torch.full_like(rows.pos, 11.0)


def test_warp_golden(rows):
    value = WARP(margin=0.5)(rows.pos, rows.neg, n_items=eleven(rows))
    assert value.tolist() == pytest.approx([0.825, 2.63607142857143, 0.292896825396825, 2.78251984126984], **rows.tol)
    near = WARP(margin=0.1)(rows.pos, rows.neg, n_items=eleven(rows))
    assert near.mean().item() == pytest.approx(1.0209375, **rows.tol)


def test_warp_by_hand(exact):
    """Row 0: the third draw is the first above 0.4, so the weight is 1 + 1/2 + 1/3; row 1: the first is."""
    value = WARP(margin=0.5)(exact.pos, exact.neg, n_items=eleven(exact))
    assert value[0].item() == pytest.approx((1 + 1 / 2 + 1 / 3) * (0.5 - 0.9 + 0.85), abs=1e-12)
    assert value[1].item() == pytest.approx(sum(1 / k for k in range(1, 11)) * (0.5 - 0.2 + 0.6), abs=1e-12)


def test_warp_counts_no_absent_negative_and_is_0_without_a_violator():
    hole = torch.tensor([[-math.inf, 0.0, -math.inf, 0.9]])
    value = WARP(margin=0.5)(torch.tensor([1.0]), hole, n_items=torch.tensor([5.0]))
    assert value.item() == pytest.approx(1.5 * 0.4)  # the second draw: Phi(4 / 2)
    assert WARP(margin=0.5)(torch.tensor([9.0]), hole, n_items=torch.tensor([5.0])).item() == 0


def test_warp_looks_at_one_negative():
    neg = torch.tensor([[0.0, 0.7, 0.9]], requires_grad=True)
    WARP(margin=0.5)(torch.tensor([1.0]), neg, n_items=torch.tensor([7.0])).sum().backward()
    assert neg.grad.tolist() == [[0.0, pytest.approx(1 + 1 / 2 + 1 / 3), 0.0]]


def test_the_catalogue_size_comes_from_training():
    log = planted(n_users=40, n_items=30, seed=2).log
    trainer = Trainer(resolve(loss="warp", negatives="uniform:4", epochs=2, batch_size=32), log)
    assert all(math.isfinite(r.loss) for r in trainer.fit().records)
    assert trainer.step.loss_state.n_items == 30


def test_lambda_golden(rows):
    def mean(loss):
        return loss(rows.pos, rows.neg).mean().item()

    assert mean(LambdaRank()) == pytest.approx(0.53583248341, **rows.tol)
    assert mean(LambdaLossAtK(k=20)) == pytest.approx(0.553166134129, **rows.tol)
    assert mean(LambdaLossAtK(k=2)) == pytest.approx(0.776213757479, **rows.tol)


def test_lambda_by_hand(exact):
    """Row 3: pair 0.5 at rank 2, negatives 0.95, 0.4, 0.1 at ranks 1, 3, 4."""

    def d(rank):
        return math.log2(1 + rank)

    pairs = [(1, 0.95), (3, 0.4), (4, 0.1)]
    logistic = [math.log1p(math.exp(s - 0.5)) for _, s in pairs]
    rank = sum(abs(1 / d(2) - 1 / d(r)) * x for (r, _), x in zip(pairs, logistic, strict=True))
    assert LambdaRank()(exact.pos, exact.neg)[3].item() == pytest.approx(rank, abs=1e-14)
    loss = 0.0
    for (r, _), x in zip(pairs, logistic, strict=True):
        gap, last = abs(r - 2), max(r, 2)
        loss += (1 / d(gap) - 1 / d(gap + 1)) * (1 / (1 - 1 / d(last)) if last > 2 else 1) * x
    assert LambdaLossAtK(k=2)(exact.pos, exact.neg)[3].item() == pytest.approx(loss, abs=1e-14)


def test_ranks_agree_with_a_slow_count():
    generator = torch.Generator().manual_seed(0)
    pos, neg = (torch.randint(0, 9, shape, generator=generator) / 8 for shape in ((200,), (200, 12)))
    of_pos, of_neg = ranks(pos, neg)
    for b in range(200):
        assert of_pos[b, 0] == 1 + int((neg[b] > pos[b]).sum())
        for n in range(12):
            assert of_neg[b, n] == 1 + int((neg[b] > neg[b, n]).sum()) + int(pos[b] >= neg[b, n])
    assert (of_pos != of_neg).all()  # so that no gap is 0


def test_with_one_negative_it_is_bpr_times_a_number(exact):
    one = exact.neg[:, :1]
    bpr = BPR()(exact.pos, one)
    torch.testing.assert_close(LambdaRank()(exact.pos, one), bpr * (1 - 1 / math.log2(3)))
    torch.testing.assert_close(LambdaLossAtK(k=1)(exact.pos, one), bpr)  # mu undoes delta


@pytest.mark.parametrize("loss", [LambdaRank(tau=0.2), LambdaLossAtK(k=2, tau=0.2)], ids=str)
def test_a_shift_changes_nothing_and_tau_is_a_unit(loss, exact):
    value = loss(exact.pos, exact.neg)
    torch.testing.assert_close(loss(exact.pos + 3, exact.neg + 3), value, rtol=0, atol=1e-12)
    whole = type(loss)(**{**vars(loss), "tau": 1.0})
    torch.testing.assert_close(whole(exact.pos / 0.2, exact.neg / 0.2), value)


def test_refusals(exact):
    with pytest.raises(UsageError, match=r"WARP needs n_items=\[B\]"):
        WARP()(exact.pos, exact.neg)
    with pytest.raises(UsageError, match="WARP: margin must be a finite number above 0"):
        WARP(margin=0.0)
    for build in (LambdaRank, LambdaLossAtK):
        with pytest.raises(UsageError, match="tau must be a finite number above 0"):
            build(tau=0.0)
    with pytest.raises(UsageError, match="k must be a finite number of at least 1"):
        LambdaLossAtK(k=0)
