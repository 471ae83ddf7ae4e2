"""Every L2 form against its definition, on vectors small enough for the head."""

from __future__ import annotations

import math

import pytest
import torch

from taurec.kernels.sums import fixed_sum
from taurec.sampling import InBatchNegatives, PerRowNegatives
from taurec.training.penalty import l2_penalty
from taurec.types import Batch, Embeddings

USER = torch.tensor([[1.0, 2.0], [3.0, 0.0]])  # squared lengths 5, 9
ITEM = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])  # 1, 4, 2
EMBEDDINGS = Embeddings(USER, ITEM, USER, ITEM)


def batch(ids: list[list[int]] | None) -> Batch:
    negatives = InBatchNegatives() if ids is None else PerRowNegatives(ids=torch.tensor(ids))
    return Batch(torch.tensor([0, 0, 1]), torch.tensor([1, 2, 1]), torch.arange(3), negatives)


U, P, N = 5 + 5 + 9, 4 + 2 + 4, 1 + 1 + 4 + 2 + 2 + 2  # gathered sums for the ids below
IDS = [[0, 0], [1, 2], [2, 2]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("gathered", (U + P + N) / 2 / 3),
        ("sum", (U + P + N) / 2),
        ("tables", (5 + 9 + 1 + 4 + 2) / 2),
        ("unsquared", math.sqrt(U) / 3 + math.sqrt(P) / 3 + math.sqrt(N) / 6),
        ("adam", 0.0),
    ],
)
def test_per_row_negatives_count_as_often_as_they_occur(mode, expected: float) -> None:
    assert float(l2_penalty(mode, "ego", EMBEDDINGS, batch(IDS))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("mode", "expected"), [("gathered", (U + P) / 2 / 3), ("sum", (U + P) / 2)])
def test_in_batch_negatives_add_no_term(mode, expected: float) -> None:
    assert float(l2_penalty(mode, "ego", EMBEDDINGS, batch(None))) == pytest.approx(expected, rel=1e-6)


def test_where_it_is_taken() -> None:
    embeddings = Embeddings(2 * USER, 2 * ITEM, USER, ITEM, (torch.cat([USER, ITEM]), torch.cat([3 * USER, 3 * ITEM])))
    ego = float(l2_penalty("sum", "ego", embeddings, batch(IDS)))
    assert float(l2_penalty("sum", "final", embeddings, batch(IDS))) == pytest.approx(4 * ego)
    assert float(l2_penalty("sum", "hops", embeddings, batch(IDS))) == pytest.approx((1 + 9) * ego)


def test_the_gradient_is_that_of_gathered_rows() -> None:
    user, item = USER.clone().requires_grad_(), ITEM.clone().requires_grad_()
    l2_penalty("gathered", "ego", Embeddings(user, item, user, item), batch(IDS)).backward()
    assert user.grad is not None
    assert item.grad is not None
    torch.testing.assert_close(user.grad, USER * torch.tensor([[2.0], [1.0]]) / 3)
    # Item 0 occurs twice as negative; 1 twice as positive and once as negative; 2 once and three times.
    torch.testing.assert_close(item.grad, ITEM * torch.tensor([[2.0], [3.0], [4.0]]) / 3)


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 300_000])
def test_fixed_sum_adds_everything_once(n: int) -> None:
    assert float(fixed_sum(torch.ones(n))) == n
