import math

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.ranker import EmbeddingRanker, ScoresRanker
from taurec.studies.audit.fairness.scores import score_spread


def test_by_hand():
    """User 0 has items 0 and 1, and 2 is held out; user 1 has item 3; user 2 has nothing."""
    users, items = Vocabulary.numbered(3), Vocabulary.numbered(5)
    train = Interactions.from_pairs([0, 0, 1], [0, 1, 3], users, items)
    known = Interactions.from_pairs([0, 0, 0, 1], [0, 1, 2, 3], users, items)
    scores = np.array([[6, 8, 99, 1, 3], [1, 2, 3, 0, 2], [7, 7, 7, 7, 7]], dtype=np.float32)
    spread = score_spread(ScoresRanker(scores), train, known)
    assert spread.users.tolist() == [0, 1]
    assert spread.negatives == 3.0  # two and four
    assert spread.per_user.tolist() == [1.0, 0.5]  # 1, 3 about 2; 1, 2, 3, 2 about 2
    assert spread.negative_mean == 2.0
    assert spread.negative_variance == 0.75
    assert spread.positive_mean == 3.5  # 7 and 0
    assert spread.positive_variance == 0.5  # 6, 8 about 7; one item has none
    assert spread.gap == 1.5
    assert spread.n_inverted == 1  # user 1: 0 is below 2
    assert spread.relative_variance == 1 / 25  # user 0 alone: 1 / (7 - 2)^2
    # items 0 to 4: counts 1 1 0 1 0, mean scores 1 2 3 1 2.5: ranks 4 4 1.5 4 1.5 and 1.5 3 5 1.5 4
    assert spread.popularity_score == pytest.approx(-5 * 1.5 / math.sqrt(7.5 * 9.5))


PARTS = split(planted(n_users=150, n_items=80, seed=5).log, seed=1)
KNOWN = PARTS.train.union(PARTS.valid).union(PARTS.test)


def tables(scale=1.0):
    draw = np.random.default_rng(2)
    user, item = draw.normal(size=(PARTS.train.n_users, 8)), draw.normal(size=(80, 8))
    return EmbeddingRanker(user * scale, item)


def test_a_slow_loop_says_the_same():
    spread = score_spread(tables(), PARTS.train, KNOWN)
    scores = tables().block(np.arange(PARTS.train.n_users)).astype(np.float64)
    for user, variance in zip(spread.users, spread.per_user, strict=True):
        others = sorted(set(range(80)) - set(KNOWN.items_of(int(user)).tolist()))
        mean = sum(scores[user, i] for i in others) / len(others)
        assert variance == pytest.approx(sum((scores[user, i] - mean) ** 2 for i in others) / len(others), rel=1e-9)


def test_scaling_changes_the_variance_and_not_the_relative_one():
    one, four = score_spread(tables(), PARTS.train, KNOWN), score_spread(tables(4.0), PARTS.train, KNOWN)
    assert four.negative_variance == pytest.approx(16 * one.negative_variance, rel=1e-6)
    assert four.relative_variance == pytest.approx(one.relative_variance, rel=1e-6)
    assert four.popularity_score == pytest.approx(one.popularity_score, abs=1e-12)


def test_blocks_change_nothing_and_a_sample_is_a_part():
    whole = score_spread(tables(), PARTS.train, KNOWN, users=0)
    small = score_spread(tables(), PARTS.train, KNOWN, users=0, memory_mb=0.01)
    np.testing.assert_allclose(small.per_user, whole.per_user, rtol=1e-5)  # float32 products of other shapes
    sample = score_spread(tables(), PARTS.train, KNOWN, users=20, seed=4)
    assert sample.n_users == 20
    np.testing.assert_allclose(sample.per_user, whole.per_user[np.isin(whole.users, sample.users)], rtol=1e-5)
    again = score_spread(tables(), PARTS.train, KNOWN, users=20, seed=4)
    assert again.document() == sample.document()
    other = score_spread(tables(), PARTS.train, KNOWN, users=20, seed=5)
    assert not np.array_equal(other.users, sample.users)


def test_an_item_that_may_not_be_recommended_is_no_negative():
    scores = np.array([[5, 1, 3, -np.inf]], dtype=np.float32)
    train = Interactions.from_pairs([0], [0], items=Vocabulary.numbered(4))
    spread = score_spread(ScoresRanker(scores), train)
    assert (spread.negatives, spread.negative_mean, spread.negative_variance) == (2, 2, 1)


def test_nobody_to_look_at():
    train = Interactions.from_pairs([0, 0], [0, 1])
    with pytest.raises(UsageError, match="no user has both"):
        score_spread(ScoresRanker(np.ones((1, 2), dtype=np.float32)), train)
