"""Metrics: values worked by hand, laws, and refusals. Independent libraries are in test_oracles.py."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from taurec.errors import UsageError
from taurec.evaluation.metrics import ALIASES, DEFAULT_METRICS, METRICS, Metric, describe, parse, parse_all

K = 20


def hits_at(*ranks, k=K):
    row = np.zeros((1, k), dtype=bool)
    row[0, [r - 1 for r in ranks]] = True
    return row


IDEAL_3 = 1 + 1 / log2(3) + 1 / log2(4)
# One user with 3 relevant items and hits at ranks 1 and 5 of a list of 20.
BY_HAND = {
    "recall": 2 / 3,
    "ndcg": (1 + 1 / log2(6)) / IDEAL_3,
    "precision": 2 / 20,
    "hit_rate": 1.0,
    "mrr": 1.0,
    "map": (1 / 1 + 2 / 5) / 3,
    "ndcg_full_k": (1 + 1 / log2(6)) / sum(1 / log2(r + 1) for r in range(1, 21)),
    "ndcg_clipped_log": (1 + 1 / log2(5)) / (1 + 1 + 1 / log2(3)),
    "ndcg_retrieved": (1 + 1 / log2(6)) / (1 + 1 / log2(3)),
    "precision_min_rel": 2 / 3,
    "hit_rate_interactions": 2 / 3,
    "mrr_mean_hits": (1 + 1 / 5) / 2,
    "recall_min_rel": 2 / 3,
}


@pytest.mark.parametrize("name", METRICS)
def test_hand_value(name):
    assert Metric(name, K).mean(hits_at(1, 5), [3]) == pytest.approx(BY_HAND[name], abs=1e-12)


def test_one_list_in_the_dialects_of_five_libraries():
    rounded = {name: round(Metric(name, K).mean(hits_at(1, 5), [3]), 3) for name in METRICS}
    assert rounded["ndcg"] == 0.651
    assert rounded["ndcg_clipped_log"] == 0.544
    assert rounded["ndcg_full_k"] == 0.197
    assert rounded["ndcg_retrieved"] == 0.850
    assert (rounded["precision"], rounded["precision_min_rel"]) == (0.1, 0.667)


def test_hits_late_in_the_list():
    hits = hits_at(2, 3, k=3)
    assert Metric("mrr", 3).mean(hits, [2]) == pytest.approx(1 / 2)
    assert Metric("map", 3).mean(hits, [2]) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert Metric("mrr_mean_hits", 3).mean(hits, [2]) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert Metric("ndcg", 3).mean(hits, [9]) == pytest.approx((1 / log2(3) + 1 / log2(4)) / IDEAL_3)


def test_ratios_of_sums_weigh_users_by_their_items():
    hits = np.array([[True, True], [False, True]])
    n_relevant = [2, 8]
    assert Metric("precision_min_rel", 2).mean(hits, n_relevant) == pytest.approx(3 / (2 + 2))
    assert Metric("hit_rate_interactions", 2).mean(hits, n_relevant) == pytest.approx(3 / (2 + 8))
    assert Metric("recall", 2).mean(hits, n_relevant) == pytest.approx((2 / 2 + 1 / 8) / 2)
    assert Metric("recall_min_rel", 2).mean(hits, n_relevant) == pytest.approx((2 / 2 + 1 / 2) / 2)


def test_a_cutoff_judges_the_first_ranks_only():
    assert Metric("recall", 4).mean(hits_at(1, 5), [3]) == pytest.approx(1 / 3)
    assert Metric("map", 4).mean(hits_at(1, 5), [3]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", METRICS)
def test_no_hits_is_zero_and_all_hits_is_one(name):
    assert Metric(name, 5).mean(np.zeros((2, 5), bool), [1, 7]) == 0.0
    best = Metric(name, 5).mean(np.ones((2, 5), bool), [5, 5])
    expected = np.mean([1 / r for r in range(1, 6)]) if name == "mrr_mean_hits" else 1.0
    assert best == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_bounds(name):
    rng = np.random.default_rng(0)
    hits = rng.random((500, K)) < rng.random((500, 1))
    n_relevant = hits.sum(1) + rng.integers(0, 30, 500)
    values = Metric(name, K).values(hits, n_relevant)
    assert np.array_equal(np.isnan(values), n_relevant == 0)
    assert np.nanmin(values) >= 0.0
    assert np.nanmax(values) <= 1.0 + 1e-12


@pytest.mark.parametrize("name", ["ndcg", "ndcg_full_k", "map", "mrr", "mrr_mean_hits"])
def test_falls_strictly_as_the_only_hit_moves_down(name):
    values = Metric(name, K).values(np.eye(K, dtype=bool), np.full(K, 4))
    assert (np.diff(values) < 0).all()


def test_ndcg_falls_strictly_as_the_last_of_several_hits_moves_down():
    hits = np.zeros((K - 3, K), dtype=bool)
    hits[:, [0, 2]] = True
    hits[np.arange(K - 3), np.arange(3, K)] = True
    assert (np.diff(Metric("ndcg", K).values(hits, np.full(K - 3, 3))) < 0).all()


@pytest.mark.parametrize("name", METRICS)
def test_a_user_without_relevant_items_is_nan_and_not_in_the_mean(name):
    hits = np.vstack([hits_at(1, 5), hits_at()])
    metric = Metric(name, K)
    assert np.isnan(metric.values(hits, [3, 0])[1])
    assert metric.mean(hits, [3, 0]) == metric.mean(hits[:1], [3])
    assert np.isnan(metric.mean(hits[1:], [0]))


def test_names_are_values():
    assert parse("ndcg@20") == Metric("ndcg", 20)
    assert str(parse(" Recall@5 ")) == "recall@5"
    assert {parse("hr@10"), parse("hit@10"), parse("hit_rate@10")} == {Metric("hit_rate", 10)}
    assert parse(Metric("map", 3)) == Metric("map", 3)
    assert all(str(parse(text)) == text for text in DEFAULT_METRICS)


def test_every_name_has_a_description_and_aliases_lead_to_names():
    assert set(describe()) == set(METRICS) == set(BY_HAND)
    assert all(len(text) > 20 for text in describe().values())
    assert set(ALIASES.values()) <= set(METRICS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndgc@20", "did you mean 'ndcg'"),
        ("recal@20", "did you mean 'recall'"),
        ("auc@5", "accepted: .*recall"),
        ("recall", "no cutoff.*recall@20"),
        ("recall@", "the cutoff ''"),
        ("recall@many", "the cutoff 'many'"),
        ("recall@2.5", "whole number"),
        ("recall@0", "at least 1, got recall@0"),
        ("recall@-3", "at least 1"),
    ],
)
def test_refused_names(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_lists_of_names():
    assert [str(m) for m in parse_all(["hr@5", "ndcg@2", "hit@5"])] == ["hit_rate@5", "ndcg@2"]
    with pytest.raises(UsageError, match="list of metrics is empty"):
        parse_all([])
    with pytest.raises(UsageError, match="list of metrics is empty"):
        parse_all(" , ")
    with pytest.raises(UsageError, match="recall@11 looks at 11 items but there are only 10"):
        parse_all("recall@11", n_items=10)


def test_repeated_items_are_refused():
    with pytest.raises(UsageError, match="row 1 has 2 hits but 1 relevant items; a list must not repeat"):
        Metric("ndcg", 3).values([[True, False, False], [True, True, False]], [1, 1])


def test_lists_that_are_too_narrow_are_refused():
    with pytest.raises(UsageError, match=r"needs hits of shape \[U, >= 20\]"):
        Metric("ndcg", 20).values(np.zeros((2, 10), bool), [1, 1])


def total_hits(hits, n_relevant):
    return hits.sum()


def test_a_function_that_is_no_metric_is_refused_with_what_to_return() -> None:
    with pytest.raises(
        UsageError, match=r"total_hits@2 gave values of shape \[\] for 1 users; return one value per user"
    ):
        Metric.of(total_hits, 2).mean([[True, False]], [1])
    with pytest.raises(UsageError, match=r"Metric\.of\(function, 20\)"):
        parse(total_hits)
