from __future__ import annotations

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BPR, SL, ScoreLoss
from taurec.sampling import PerRowNegatives
from taurec.training.objective import Objective
from taurec.types import Batch, Embeddings

E = Embeddings(*(torch.ones(2, 2) for _ in range(4)))


def batch(n: int, weight: torch.Tensor | None = None, logq: torch.Tensor | None = None) -> Batch:
    zeros = torch.zeros(n, dtype=torch.int64)
    return Batch(zeros, zeros, torch.arange(n), PerRowNegatives(ids=torch.zeros(n, 2).long(), logq=logq), weight)


POS = torch.tensor([1.0, 0.0, 2.0])
NEG = torch.tensor([[0.0, 1.0], [1.0, 1.0], [-torch.inf, -torch.inf]])


def test_the_mean_leaves_out_rows_without_a_negative_and_counts_them() -> None:
    scalar, left_out = Objective(BPR())(POS, NEG, batch(3), E)
    assert float(scalar) == pytest.approx(float(BPR()(POS[:2], NEG[:2]).mean()))
    assert int(left_out) == 1


def test_weights_are_a_weighted_mean() -> None:
    scalar, _ = Objective(BPR())(POS[:2], NEG[:2], batch(2, torch.tensor([3.0, 1.0])), E)
    rows = BPR()(POS[:2], NEG[:2])
    assert float(scalar) == pytest.approx(float((3 * rows[0] + rows[1]) / 4))


def test_a_batch_without_any_negative_is_zero_not_nan() -> None:
    scalar, left_out = Objective(SL())(POS[2:], NEG[2:], batch(1), E)
    assert (float(scalar), int(left_out)) == (0.0, 1)


def test_the_penalty_is_added_with_its_strength() -> None:
    plain, _ = Objective(BPR())(POS[:2], NEG[:2], batch(2), E)
    # Gathered squares: users 2 + 2, positives 2 + 2, negatives 4 x 2; halved, over 2 rows.
    with_l2, _ = Objective(BPR(), l2=0.1)(POS[:2], NEG[:2], batch(2), E)
    assert float(with_l2 - plain) == pytest.approx(0.1 * 16 / 2 / 2)


def test_logq_reaches_the_loss_or_is_refused() -> None:
    logq = torch.log(torch.tensor([[0.5, 0.25], [0.5, 0.25]]))
    corrected, _ = Objective(SL(1.0), logq=True)(POS[:2], NEG[:2], batch(2, logq=logq), E)
    assert float(corrected) == pytest.approx(float(SL(1.0)(POS[:2], NEG[:2], logq=logq).mean()))
    assert float(corrected) != pytest.approx(float(SL(1.0)(POS[:2], NEG[:2]).mean()))
    with pytest.raises(UsageError, match="have no logq, and shape"):
        Objective(SL(1.0), logq=True)(POS[:2], NEG[:2], batch(2), E)
    with pytest.raises(UsageError, match="BPR has no form"):
        Objective(BPR(), logq=True)


def test_a_side_input_nobody_supplies_is_refused_at_once() -> None:
    class Strange(ScoreLoss):
        needs = frozenset({"threshold"})

    with pytest.raises(UsageError, match="Strange needs threshold"):
        Objective(Strange())
