"""Layouts that a batch shares, on a log of three users and five items worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling import CatalogueNegatives, Full, InBatch, InBatchNegatives, Shared, Uniform

# user 0: items 0, 1, 2; user 1: items 1, 3; user 2: item 4. Row positions 0..5 in this order.
TRAIN = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 3, 4])


def batch(*rows: int):
    row = torch.tensor(rows)
    return torch.from_numpy(TRAIN.user_of)[row], torch.from_numpy(TRAIN.indices.copy())[row], row


def masks(source, *rows: int) -> list[str]:
    absent = source.bind(TRAIN, 0).draw(*batch(*rows), 0).absent
    return ["".join(".#"[int(x)] for x in line) for line in absent.to_dense().tolist()]


def test_in_batch_masks_by_hand():
    """Rows (0, item 0), (0, item 1), (1, item 1), (1, item 3), (2, item 4): item 1 occurs twice, and
    user 0 also likes item 2, which is in no row."""
    rows = (0, 1, 3, 4, 5)
    assert masks(InBatch("diagonal"), *rows) == ["#....", ".#...", "..#..", "...#.", "....#"]
    assert masks(InBatch("equal"), *rows) == ["#....", ".##..", ".##..", "...#.", "....#"]
    assert masks(InBatch("known"), *rows) == ["###..", "###..", ".###.", ".###.", "....#"]
    assert InBatch() == InBatch("known")


def test_in_batch_masks_positives_that_the_user_has_outside_the_batch():
    """User 0 is in the batch with item 0 only, but likes item 1, the other row's."""
    assert masks(InBatch(), 0, 3) == ["##", ".#"]


def test_in_batch_logq_is_the_share_of_each_item():
    got = InBatch().bind(TRAIN, 0).draw(*batch(0, 1, 3), 0)
    assert got.logq.tolist() == pytest.approx([math.log(1 / 6), math.log(2 / 6), math.log(2 / 6)])
    assert isinstance(got, InBatchNegatives)
    assert got.drawn() is None


def test_in_batch_logq_is_how_often_a_shuffled_column_holds_the_item():
    rows = np.random.default_rng(0).integers(0, 6, 6000)
    got = InBatch("diagonal").bind(TRAIN, 0).draw(*batch(*rows[:1000].tolist()), 0)
    share = dict(zip(TRAIN.indices[rows[:1000]].tolist(), got.logq.exp().tolist(), strict=True))
    counts = np.bincount(TRAIN.indices[rows], minlength=5)
    assert stats.chisquare(counts, 6000 * np.array([share[j] for j in range(5)]), sum_check=False).pvalue > 1e-3


def test_full_masks_by_hand():
    rows = (1, 3, 5)
    assert masks(Full(), *rows) == [".#...", ".#...", "....#"]
    assert masks(Full(exclude_positive=True, exclude_known=True), *rows) == ["###..", ".#.#.", "....#"]
    assert masks(Full(exclude_positive=False, exclude_known=True), *rows) == ["#.#..", "...#.", "....."]
    nothing = Full(exclude_positive=False).bind(TRAIN, 0).draw(*batch(*rows), 0)
    assert isinstance(nothing, CatalogueNegatives)
    assert (nothing.drawn(), nothing.absent, nothing.logq) == (None, None, None)


def test_full_without_the_positive_is_cross_entropy():
    """softplus(lse of the others - positive) over the layout's columns."""
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5)))
    user, item, row = batch(1, 3, 5)
    absent = Full().bind(TRAIN, 0).draw(user, item, row, 0).absent
    rest = torch.logsumexp(scores.masked_fill(absent.to_dense(), -torch.inf), 1)
    pos = scores.gather(1, item[:, None])[:, 0]
    expected = torch.nn.functional.cross_entropy(scores, item, reduction="none")
    assert torch.allclose(torch.nn.functional.softplus(rest - pos), expected, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.75])
def test_shared_follows_the_stated_distribution(alpha):
    counts = sum(
        torch.bincount(Shared(400, alpha).bind(TRAIN, 0).draw(*batch(0, 3), epoch).ids, minlength=5).numpy()
        for epoch in range(50)
    )
    weights = TRAIN.item_counts.astype(float) ** alpha
    assert stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-3
    got = Shared(400, alpha).bind(TRAIN, 0).draw(*batch(0, 3), 0)
    assert got.logq.numpy() == pytest.approx(np.log(weights / weights.sum())[got.ids.numpy()], rel=1e-5)


def test_shared_masks_known_positives_of_each_row():
    got = Shared(30, exclude=True).bind(TRAIN, 0).draw(*batch(0, 3, 5), 0)
    have = [{0, 1, 2}, {1, 3}, {4}]
    assert got.absent.tolist() == [[j in items for j in got.ids.tolist()] for items in have]
    assert Shared(30).bind(TRAIN, 0).draw(*batch(0, 3, 5), 0).absent is None


def test_shared_depends_on_the_rows_of_the_batch_not_on_their_order():
    bound = Shared(20).bind(TRAIN, 3)
    ids = bound.draw(*batch(1, 4, 2), 0).ids
    assert torch.equal(ids, bound.draw(*batch(4, 2, 1), 0).ids)
    assert not torch.equal(ids, bound.draw(*batch(4, 2), 0).ids)
    assert not torch.equal(ids, bound.draw(*batch(1, 4, 2), 1).ids)
    assert not torch.equal(ids, Shared(20).bind(TRAIN, 4).draw(*batch(1, 4, 2), 0).ids)


def test_shared_words_are_not_those_of_per_row_draws():
    per_row = Uniform(20).bind(TRAIN, 0).draw(*batch(1), 0).ids[0]
    assert not torch.equal(per_row, Shared(20).bind(TRAIN, 0).draw(*batch(1), 0).ids)


def test_a_pair_outside_the_log_has_a_finite_logq_and_no_negative_in_itself():
    bound = InBatch().bind(Interactions.from_pairs([0, 0], [0, 2]), 0)
    got = bound.draw(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), 0)
    assert got.logq.tolist() == pytest.approx([math.log(1 / 2)])
    assert got.absent.tolist() == [[True]]


def test_refuses_what_cannot_be_drawn():
    with pytest.raises(UsageError, match="at least 1"):
        Shared(0)
    with pytest.raises(UsageError, match="alpha"):
        Shared(alpha=-1.0)
    with pytest.raises(UsageError, match="no items"):
        Shared().bind(Interactions.from_pairs([], []), 0)
