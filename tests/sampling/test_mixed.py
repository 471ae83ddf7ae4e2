"""In-batch and uniform negatives together, and the memory of earlier batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.sampling import CrossBatch, Mixed
from taurec.types import Batch

# user 0: items 0, 1, 2; user 1: items 1, 3; user 2: item 4. Row positions 0..5 in this order; item 5 has no pair.
TRAIN = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 3, 4])
TRAIN = Interactions.from_pairs(TRAIN.user_of, TRAIN.indices, TRAIN.users, Interactions.from_pairs([0], [5]).items)


def batch(*rows: int):
    row = torch.tensor(rows)
    return torch.from_numpy(TRAIN.user_of)[row], torch.from_numpy(TRAIN.indices.copy())[row], row


def text(absent) -> list[str]:
    return ["".join(".#"[int(x)] for x in line) for line in absent.tolist()]


def test_mixed_columns_masks_and_logq_by_hand():
    """Rows (0, item 0), (1, item 1): q_j = (2 count_j / 6 + 3 / 6) / 5."""
    drawn = Mixed(3).bind(TRAIN, 0).draw(*batch(0, 3), 0)
    columns = [0, 1, *drawn.ids.tolist()]
    own = [{0, 1, 2}, {1, 3}]
    assert text(drawn.absent) == ["".join(".#"[j in mine] for j in columns) for mine in own]
    counts = [1, 2, 1, 1, 1, 0]
    assert drawn.logq.tolist() == pytest.approx([math.log((2 * counts[j] / 6 + 3 / 6) / 5) for j in columns])
    equal = Mixed(3, "equal").bind(TRAIN, 0).draw(*batch(0, 3), 0)
    assert text(equal.absent) == ["".join(".#"[j == i] for j in columns) for i in (0, 1)]
    assert drawn.items(torch.tensor([0, 1])).tolist() == columns


def test_mixed_scores_are_those_of_its_items():
    user, item = torch.randn(2, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    drawn, positive = Mixed(3).bind(TRAIN, 0).draw(*batch(0, 3), 0), torch.tensor([0, 1])
    pos, neg = drawn.scores(user, item, positive, "torch", None)
    torch.testing.assert_close(neg, user @ item[drawn.items(positive)].T)
    torch.testing.assert_close(pos, (user * item[:2]).sum(1))


def test_mixed_columns_follow_the_stated_mixture():
    """Chi-square of all columns over shuffled batches of 3 rows and 5 uniform items."""
    bound, counts = Mixed(5).bind(TRAIN, 1), np.zeros(6)
    generator = np.random.default_rng(0)
    for epoch in range(1500):
        rows = generator.permutation(6)[:3]
        user, item, row = batch(*rows.tolist())
        drawn = bound.draw(user, item, row, epoch)
        counts += np.bincount(drawn.items(item), minlength=6)
    q = (3 * TRAIN.item_counts / 6 + 5 / 6) / 8
    assert stats.chisquare(counts, counts.sum() * q).pvalue > 1e-3


def observed(bound, rows, epoch=1):
    """A step on rows whose items have the vectors (item, epoch)."""
    user, item, row = batch(*rows)
    drawn = bound.draw(user, item, row, epoch)
    vectors = torch.stack([item.float(), torch.full((len(rows),), float(epoch))], 1)
    bound.observe(Batch(user, item, row, drawn), vectors, vectors)
    return drawn


def test_the_memory_is_a_true_ring():
    """Size 4, batches of 3: the second batch fills the last place and wraps over the two oldest."""
    bound = CrossBatch(4, 0).bind(TRAIN, 0)
    first = observed(bound, (0, 1, 2))
    assert first.absent[:, 3:].all()
    observed(bound, (3, 4, 5))
    assert bound.ids.tolist() == [3, 4, 2, 1]
    assert bound.vectors[:, 0].tolist() == [3, 4, 2, 1]
    drawn = bound.draw(*batch(0), 1)
    assert text(drawn.absent) == ["#..##"]
    assert drawn.items(torch.tensor([0])).tolist() == [0, 3, 4, 2, 1]


def test_a_batch_larger_than_the_memory_leaves_its_last_rows():
    bound = CrossBatch(4, 0).bind(TRAIN, 0)
    observed(bound, (0, 1, 2, 3, 4, 5))
    assert sorted(bound.ids.tolist()) == [1, 2, 3, 4]


def test_the_memory_is_filled_but_not_used_in_the_warmup():
    bound = CrossBatch(4, 2).bind(TRAIN, 0)
    observed(bound, (0, 1, 2), 1)
    assert bound.draw(*batch(5), 2).absent[:, 1:].all()
    assert text(bound.draw(*batch(5), 3).absent) == ["#...#"]


def test_memory_scores_and_gradients():
    """The memory's vectors are constants; the batch's items get a gradient; a later step does not change a draw."""
    bound = CrossBatch(3, 0, "equal").bind(TRAIN, 0)
    observed(bound, (1, 2, 4))
    user, item, row = batch(0, 5)
    drawn = bound.draw(user, item, row, 1)
    before = drawn.vectors.clone()
    table, users = torch.randn(6, 2, requires_grad=True), torch.randn(2, 2)
    _, neg = drawn.scores(users, table, item, "torch", None)
    torch.testing.assert_close(neg[:, 2:], users @ torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]).T)
    neg[:, 2:].sum().backward(retain_graph=True)
    assert not table.grad.any()
    neg[:, :2].sum().backward()
    assert table.grad[item].any(1).all()
    assert drawn.with_vectors(lambda v: 2 * v).vectors.tolist() == (2 * before).tolist()
    observed(bound, (3, 4, 5), 9)
    assert torch.equal(drawn.vectors, before)


def test_the_state_of_the_memory_is_complete():
    one, other = (CrossBatch(4, 0).bind(TRAIN, 0) for _ in range(2))
    observed(one, (0, 1, 2))
    other.load_state(one.state())
    for rows in ((3, 4, 5), (1, 2)):
        a, b = observed(one, rows), observed(other, rows)
        assert torch.equal(a.vectors, b.vectors)
        assert torch.equal(a.ids, b.ids)
    assert one.next == other.next == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixed(0), "n must be at least 1"),
        (lambda: CrossBatch(0), "size must be at least 1"),
        (lambda: CrossBatch(warmup=-1), "warmup must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message: str):
    with pytest.raises(UsageError, match=message):
        make()
