"""Scores of every layout against the definition, written as loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from taurec.losses.reduction import RowReduce
from taurec.sampling import (
    CatalogueNegatives,
    InBatchNegatives,
    Layout,
    PerRowNegatives,
    SharedNegatives,
)
from taurec.scoring import batch_scores, reduced_scores

B, N, I, D = 5, 4, 9, 3


@pytest.fixture
def tables() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    user = torch.randn(B, D, generator=g, dtype=torch.float64)
    item = torch.randn(I, D, generator=g, dtype=torch.float64)
    return user, item, torch.randint(I, (B,), generator=g)


def layouts(positive: torch.Tensor) -> dict[str, tuple[Layout, list[list[int]]]]:
    """Each layout with the item ids it stands for, row by row."""
    g = torch.Generator().manual_seed(1)
    ids = torch.randint(I, (B, N), generator=g)
    return {
        "per_row": (PerRowNegatives(ids=ids), ids.tolist()),
        "shared": (SharedNegatives(ids=ids[0]), [ids[0].tolist()] * B),
        "in_batch": (InBatchNegatives(), [positive.tolist()] * B),
        "full": (CatalogueNegatives(), [list(range(I))] * B),
    }


def score(u: list[float], v: list[float], kind: str) -> float:
    dot = sum(a * b for a, b in zip(u, v, strict=True))
    if kind == "cosine":
        return dot / math.dist(u, [0] * D) / math.dist(v, [0] * D)
    return -(math.dist(u, v) ** 2) if kind == "neg_sq_dist" else dot


@pytest.mark.parametrize("kind", ["cosine", "dot", "neg_sq_dist"])
@pytest.mark.parametrize("layout", ["per_row", "shared", "in_batch", "full"])
def test_scores_are_what_the_ids_say(tables, layout: str, kind: str) -> None:
    user, item, positive = tables
    negatives, ids = layouts(positive)[layout]
    pos, neg = batch_scores(user, item, positive, negatives, kind)
    u, v = user.tolist(), item.tolist()
    for b in range(B):
        assert float(pos[b]) == pytest.approx(score(u[b], v[positive[b]], kind), abs=1e-12)
        for n, i in enumerate(ids[b]):
            assert float(neg[b, n]) == pytest.approx(score(u[b], v[i], kind), abs=1e-12)


@pytest.mark.parametrize("layout", ["per_row", "shared", "in_batch", "full"])
def test_absent_negatives_score_minus_infinity_and_have_no_gradient(tables, layout: str) -> None:
    user, item, positive = (t.clone() for t in tables)
    user.requires_grad_(), item.requires_grad_()
    negatives, ids = layouts(positive)[layout]
    absent = torch.zeros(B, len(ids[0]), dtype=torch.bool)
    absent[2] = True
    masked = replace(negatives, absent=absent)
    _, neg = batch_scores(user, item, positive, masked, "dot")
    assert torch.isneginf(neg[2]).all()
    torch.logsumexp(neg[[0, 1, 3, 4]], 1).sum().backward()
    assert user.grad is not None
    assert (user.grad[2] == 0).all()
    assert torch.isfinite(item.grad).all()


@pytest.mark.parametrize("kind", ["cosine", "dot", "neg_sq_dist"])
@pytest.mark.parametrize("pairwise", [False, True])
def test_reduced_scores_are_the_reduction_of_all_scores(tables, kind: str, pairwise: bool) -> None:
    user, item, positive = tables
    absent = torch.sparse_coo_tensor([[0, 1], [3, 2]], [True, True], (B, I), check_invariants=True).coalesce()
    how = RowReduce("logsumexp", "softplus", pairwise, tau=0.3)
    for negatives in (CatalogueNegatives(absent=absent), SharedNegatives(ids=torch.tensor([1, 8, 1, 0]))):
        pos, neg = batch_scores(user, item, positive, negatives, kind)
        got = reduced_scores(user, item, positive, negatives, how, kind)
        for value, expected in zip(got, (pos, *how(pos, neg)), strict=True):
            assert value.tolist() == pytest.approx(expected.tolist(), abs=1e-12)
