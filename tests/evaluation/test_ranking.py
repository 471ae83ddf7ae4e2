"""Judging a ranker: who is counted, what a constant model scores, and that every cutoff is one pass."""

from __future__ import annotations

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.metrics import DEFAULT_METRICS, METRICS, Metric
from taurec.evaluation.ranking import evaluate_ranker, hits_of
from taurec.ranker import EmbeddingRanker


def part(user, item, n_users, n_items):
    ids = [Vocabulary([f"{kind}{n}" for n in range(size)]) for kind, size in (("u", n_users), ("i", n_items))]
    return Interactions.from_pairs(user, item, *ids)


def of_scores(scores):
    """A ranker whose score matrix is exactly this one."""
    scores = np.asarray(scores, dtype=np.float32)
    return EmbeddingRanker(np.eye(len(scores), dtype=np.float32), scores.T)


def test_hand_case_counts_who_was_judged():
    ranker = of_scores([[4, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 1]])
    seen = part([0, 1], [0, 3], 4, 4)
    relevant = part([0, 0, 1, 3], [1, 3, 0, 3], 4, 4)
    result = evaluate_ranker(ranker, relevant, seen, ["mrr@3", "recall@1", "hit_rate_interactions@2"])
    # Lists: user 0 [1, 2, 3], hits at 1 and 3; user 1 [2, 1, 0], hit at 3; user 3 [3, ...], hit at 1.
    assert result.users.tolist() == [0, 1, 3]
    assert (result.n_users, result.n_left_out, result.n_cold) == (3, 1, 1)
    assert result.per_user("mrr@3").tolist() == [1, 1 / 3, 1]
    assert result.per_user("recall@1").tolist() == [1 / 2, 0, 1]
    assert result.means() == pytest.approx({"mrr@3": 7 / 9, "recall@1": 1 / 2, "hit_rate_interactions@2": 2 / 4})


def test_without_seen_nobody_is_cold_and_nothing_is_masked():
    result = evaluate_ranker(of_scores([[2, 1]]), part([0], [0], 1, 2), metrics="recall@1")
    assert (result.means(), result.n_cold) == ({"recall@1": 1.0}, 0)


def test_a_user_who_has_seen_everything_scores_zero():
    seen = part([0, 0, 0], [0, 1, 2], 1, 3)
    result = evaluate_ranker(of_scores([[3, 2, 1]]), part([0], [1], 1, 3), seen)
    assert set(result.means().values()) == {0.0}


def test_a_cutoff_beyond_the_catalogue_counts_missing_ranks_as_misses():
    result = evaluate_ranker(of_scores([[3, 2, 1]]), part([0, 0], [0, 1], 1, 3), None, "precision@10,recall@10,ndcg@10")
    assert result.means() == pytest.approx({"precision@10": 2 / 10, "recall@10": 1.0, "ndcg@10": 1.0})


def test_all_metrics_and_cutoffs_in_one_pass_equal_one_at_a_time():
    rng = np.random.default_rng(0)
    ranker = EmbeddingRanker(rng.normal(size=(80, 4)), rng.normal(size=(300, 4)))
    relevant = part(rng.integers(0, 60, 500), rng.integers(0, 300, 500), 80, 300)
    seen = part(rng.integers(0, 80, 900), rng.integers(0, 300, 900), 80, 300)
    names = [f"{name}@{k}" for name in METRICS for k in (1, 5, 20, 50)]
    together = evaluate_ranker(ranker, relevant, seen, names)
    assert [str(m) for m in together.metrics] == names
    for name in names:
        assert evaluate_ranker(ranker, relevant, seen, name).means()[name] == together.means()[name]
    assert set(evaluate_ranker(ranker, relevant, seen).means()) == set(DEFAULT_METRICS)


def test_memory_budget_does_not_change_a_figure():
    rng = np.random.default_rng(1)
    ranker = of_scores(rng.integers(0, 5, (60, 200)))
    relevant = part(rng.integers(0, 60, 300), rng.integers(0, 200, 300), 60, 200)
    small = evaluate_ranker(ranker, relevant, memory_mb=0.01)
    assert np.array_equal(small.numerator, evaluate_ranker(ranker, relevant).numerator)


def test_a_constant_model_lands_at_chance():
    n_items, n_popular, k = 20_000, 500, 1000
    rng = np.random.default_rng(2)
    # Relevant items all have low indices, as where ids follow first appearance: lower-id-first would find them all.
    item = np.concatenate([rng.choice(n_popular, 40, replace=False) for _ in range(30)])
    relevant = part(np.repeat(np.arange(30), 40), item, 30, n_items)
    constant = EmbeddingRanker(np.ones((30, 1)), np.ones((n_items, 1)))
    recall = evaluate_ranker(constant, relevant, None, f"recall@{k}").means()[f"recall@{k}"]
    # One hashed list for all: the popular items in it are hypergeometric, mean 25, deviation 4.8. Four deviations.
    assert abs(recall - k / n_items) < 4 * 4.8 / n_popular


def test_renumbering_items_changes_no_figure():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 4, (40, 150))
    user, item = rng.integers(0, 40, 200), rng.integers(0, 150, 200)
    moved = rng.permutation(150)
    place = np.argsort(moved)
    ids = np.array([f"i{n}" for n in range(150)])
    users = Vocabulary([str(n) for n in range(40)])
    first = Interactions.from_pairs(user, item, users, Vocabulary(ids))
    second = Interactions.from_pairs(user, place[item], users, Vocabulary(ids[moved]))
    a = evaluate_ranker(of_scores(scores), first)
    b = evaluate_ranker(of_scores(scores[:, moved]), second)
    assert np.array_equal(a.numerator, b.numerator)


def test_the_end_of_a_short_list_is_no_hit():
    relevant = part([0, 1], [2, 2], 2, 3)
    # With -1 taken for an index, row 1 would meet user 0's last item.
    assert hits_of(np.array([[2, -1], [-1, -1]]), np.array([0, 1]), relevant).tolist() == [
        [True, False],
        [False, False],
    ]


def test_refusals():
    ranker = of_scores([[1, 2]])
    with pytest.raises(UsageError, match="no user has a relevant item"):
        evaluate_ranker(ranker, part([], [], 1, 2))
    with pytest.raises(UsageError, match="1 users and 3 items, the ranker 1 and 2"):
        evaluate_ranker(ranker, part([0], [0], 1, 3))
    with pytest.raises(UsageError, match="did you mean 'ndcg'"):
        evaluate_ranker(ranker, part([0], [0], 1, 2), metrics="ncdg@5")
    result = evaluate_ranker(ranker, part([0], [0], 1, 2), metrics=[Metric("ndcg", 2)])
    with pytest.raises(UsageError, match="recall@5 was not evaluated; there are ndcg@2"):
        result.per_user("recall@5")
