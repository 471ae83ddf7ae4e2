"""Intervals and paired tests: exact small cases, coverage, and that draws hang on the seed alone."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest

from taurec.errors import UsageError
from taurec.evaluation.metrics import Metric
from taurec.evaluation.ranking import Evaluation
from taurec.evaluation.significance import (
    bootstrap,
    bootstrap_all,
    bootstrap_difference,
    bootstrap_means,
    chance_of_best,
    compare_paired,
    holm,
    over_seeds,
)

RECALL, PRECISION = Metric("recall", 20), Metric("precision_min_rel", 20)


def evaluation(*columns, users=None, denominators=None):
    numerator = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
    denominator = np.ones_like(numerator) if denominators is None else np.stack(denominators, axis=1).astype(float)
    metrics = (RECALL, PRECISION)[: len(columns)]
    return Evaluation(metrics, np.arange(len(numerator)) if users is None else users, numerator, denominator, 0, 0)


def test_interval_of_equal_values_is_a_point():
    interval = bootstrap(evaluation([0.25] * 9), "recall@20")
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)


def test_one_user_has_no_interval():
    interval = bootstrap(evaluation([0.5]), RECALL)
    assert (interval.mean, interval.low, interval.high) == (0.5, None, None)
    paired = compare_paired(evaluation([0.5]), evaluation([0.1]), RECALL)
    assert (paired.difference.low, paired.difference.high, paired.p_value) == (None, None, 1.0)


def test_interval_of_two_users_by_hand():
    # Means 0, 1/2, 1 have probabilities 1/4, 1/2, 1/4, so the middle 95 % runs from 0 to 1 and the middle 40 % is 1/2.
    two = evaluation([0.0, 1.0])
    assert (bootstrap(two, RECALL).low, bootstrap(two, RECALL).high) == (0.0, 1.0)
    inner = bootstrap(two, RECALL, level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_width_is_that_of_the_standard_error():
    values = np.random.default_rng(0).exponential(size=3000)
    interval = bootstrap(evaluation(values), RECALL, resamples=2000)
    error = values.std() / np.sqrt(len(values))
    # A percentile of 2,000 resamples has a relative error of some 3 %; 10 % is three of those.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert interval.low < values.mean() < interval.high


def test_coverage_of_skewed_values_is_near_the_level():
    rng = np.random.default_rng(1)
    # 300 repeats: the count of misses at 5 % has mean 15 and deviation 3.8; skew adds a little. Four deviations.
    inside = 0
    for repeat in range(300):
        interval = bootstrap(evaluation(rng.exponential(size=120)), RECALL, resamples=200, seed=repeat)
        inside += interval.low <= 1.0 <= interval.high
    assert abs(inside / 300 - 0.95) < 4 * 3.8 / 300


def test_ratio_of_sums_resamples_both_terms():
    numerator, denominator = np.array([1.0, 0.0, 4.0, 2.0]), np.array([1.0, 2.0, 8.0, 3.0])
    found = bootstrap(evaluation([0] * 4, numerator, denominators=[[1] * 4, denominator]), PRECISION, resamples=20_000)
    samples = [list(s) for s in product(range(4), repeat=4)]
    exact = [numerator[s].sum() / denominator[s].sum() for s in samples]
    assert found.mean == pytest.approx(7 / 14)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(exact, [0.025, 0.975])), abs=0.02)


def test_draws_hang_on_the_seed_alone():
    values = np.random.default_rng(2).random(200)
    alone, twice = evaluation(values), evaluation(values, values)
    assert bootstrap(alone, RECALL, seed=3) == bootstrap(alone, RECALL, seed=3)
    assert bootstrap(alone, RECALL, seed=3) != bootstrap(alone, RECALL, seed=4)
    together = bootstrap_all(twice, seed=3)
    for metric in ("recall@20", "precision_min_rel@20"):
        one = bootstrap(alone, RECALL, seed=3)
        assert (together[metric].low, together[metric].high) == pytest.approx((one.low, one.high), abs=1e-12)


def test_blocks_of_resamples_do_not_change_the_interval(monkeypatch):
    values = evaluation(np.random.default_rng(3).random(500))
    whole = bootstrap(values, RECALL)
    p_whole = compare_paired(values, evaluation(np.full(500, 0.5)), RECALL)
    monkeypatch.setattr("taurec.evaluation.significance.BLOCK_DRAWS", 7 * 500)
    parts = bootstrap(values, RECALL)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    assert compare_paired(values, evaluation(np.full(500, 0.5)), RECALL).p_value == p_whole.p_value


def test_difference_of_two_groups_of_users():
    """The two sides vary by themselves: a constant one adds nothing, two alike give the root of 2 of one's width."""
    drawn = np.random.default_rng(5).normal(size=400)
    spread, other, constant = evaluation(drawn[:200]), evaluation(drawn[200:]), evaluation(np.full(90, 0.25))
    one, two = bootstrap(spread, "recall@20"), bootstrap(other, "recall@20")
    against = bootstrap_difference(spread, constant, "recall@20")
    assert against.mean == pytest.approx(one.mean - 0.25, abs=1e-12)
    assert (against.low, against.high) == pytest.approx((one.low - 0.25, one.high - 0.25), abs=1e-12)
    both = bootstrap_difference(spread, other, "recall@20")
    assert both.mean == pytest.approx(one.mean - two.mean, abs=1e-12)
    assert both.high - both.low == pytest.approx(np.hypot(one.high - one.low, two.high - two.low), rel=0.1)
    itself, one = (
        find(resamples=4000)
        for find in (partial(bootstrap_difference, spread, spread, RECALL), partial(bootstrap, spread, RECALL))
    )
    assert itself.high - itself.low == pytest.approx(2**0.5 * (one.high - one.low), rel=0.1)
    assert bootstrap_difference(spread, evaluation([1.0]), "recall@20").low is None


def test_means_of_columns_are_resampled_together():
    values = np.random.default_rng(6).random((50, 2))
    for found, column in zip(bootstrap_means(values), values.T, strict=True):
        alone = bootstrap(evaluation(column), "recall@20")
        assert (found.mean, found.low, found.high) == pytest.approx((alone.mean, alone.low, alone.high), abs=1e-12)


def test_sign_flip_approaches_the_exact_probability():
    a, b = np.array([5.0, 3, 4, 6, 2, 5, 1, 4]), np.array([4.0, 3.5, 2, 5, 2.5, 2, 0.5, 4])
    d = a - b
    exact = np.mean([abs(np.dot(signs, d)) >= abs(d.sum()) - 1e-12 for signs in product((-1, 1), repeat=8)])
    found = compare_paired(evaluation(a), evaluation(b), RECALL, resamples=20_000)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert found.difference.mean == pytest.approx(d.mean())


def test_equal_runs_do_not_differ():
    same = evaluation(np.random.default_rng(4).random(50))
    paired = compare_paired(same, same, RECALL)
    assert (paired.p_value, paired.difference.mean, paired.difference.low, paired.difference.high) == (1.0, 0, 0, 0)


def test_a_small_consistent_gain_is_seen_although_the_intervals_overlap():
    rng = np.random.default_rng(5)
    base = rng.random(400)
    a, b = evaluation(base + 0.01 + 0.02 * rng.normal(size=400)), evaluation(base)
    paired = compare_paired(a, b, RECALL)
    assert bootstrap(a, RECALL).low < bootstrap(b, RECALL).high
    assert paired.p_value == 1 / 1001
    assert 0 < paired.difference.low < 0.01 < paired.difference.high
    back = compare_paired(b, a, RECALL)
    assert (back.p_value, back.difference.mean) == (paired.p_value, -paired.difference.mean)


def test_p_values_of_exchangeable_runs_are_uniform():
    rng = np.random.default_rng(6)
    p = [
        compare_paired(evaluation(rng.random(40)), evaluation(rng.random(40)), RECALL, resamples=99, seed=s).p_value
        for s in range(400)
    ]
    # Share at or below 0.05 and 0.5: deviations 0.011 and 0.025; four of each.
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < 0.044
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) < 0.1


def test_ratio_metrics_are_exchanged_by_user():
    hits_a, hits_b, size = np.array([3.0, 2, 5]), np.array([1.0, 2, 4]), np.array([5.0, 2, 8])
    a = evaluation([0] * 3, hits_a, denominators=[[1] * 3, size])
    b = evaluation([0] * 3, hits_b, denominators=[[1] * 3, size])
    paired = compare_paired(a, b, PRECISION, resamples=4000)
    assert paired.difference.mean == pytest.approx(3 / 15)
    # Of the 8 exchanges those with both 2 and 1 of one sign reach it: probability 1/2; deviation .008.
    assert paired.p_value == pytest.approx(0.5, abs=0.032)


def test_an_exchange_moves_both_terms():
    top, bottom = np.array([[5.0, 3], [3, 1], [1, 0], [0, 0]]), np.array([[7.0, 10], [9, 9], [6, 5], [8, 6]])
    a, b = (evaluation([0] * 4, top[:, j], denominators=[[1] * 4, bottom[:, j]]) for j in (0, 1))
    rows = np.arange(4)
    exchanged = []
    for side in product((0, 1), repeat=4):
        one, other = np.array(side), 1 - np.array(side)
        ratios = [top[rows, j].sum() / bottom[rows, j].sum() for j in (one, other)]
        exchanged.append(ratios[0] - ratios[1])
    exact = np.mean(np.abs(exchanged) >= abs(exchanged[0]) - 1e-12)
    assert exact == 0.25
    # Deviation of the estimate .007; four of them.
    assert compare_paired(a, b, PRECISION, resamples=4000).p_value == pytest.approx(exact, abs=0.028)


def test_runs_on_other_users_are_refused():
    with pytest.raises(UsageError, match="a paired test needs the same users"):
        compare_paired(evaluation([1, 2]), evaluation([1, 2], users=np.array([0, 2])), RECALL)


def test_refused_settings():
    with pytest.raises(UsageError, match="level of an interval"):
        bootstrap(evaluation([1, 2]), RECALL, level=95)
    with pytest.raises(UsageError, match="resamples must be at least 1"):
        bootstrap(evaluation([1, 2]), RECALL, resamples=0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_over_seeds_by_hand():
    spread = over_seeds([0.1, 0.2, 0.6])
    assert (spread.mean, spread.n) == (pytest.approx(0.3), 3)
    assert spread.std == pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert over_seeds([0.4]).std is None
    with pytest.raises(UsageError, match="at least one seed"):
        over_seeds([])


def test_chance_of_best_by_hand():
    """Two users, one for each run: draws (1,1) and (2,2) have a winner, (1,2) and (2,1) a tie, so a half each."""
    two = {"a": evaluation([1.0, 0.0]), "b": evaluation([0.0, 1.0]), "c": evaluation([-1.0, -1.0])}
    found = chance_of_best(two, RECALL, resamples=4000)
    assert found["a"] == pytest.approx(0.5, abs=0.03)
    assert found["a"] + found["b"] == pytest.approx(1.0)
    assert found["c"] == 0.0
    with pytest.raises(UsageError, match="different users"):
        chance_of_best({"a": evaluation([1.0]), "b": evaluation([1.0], users=np.array([7]))}, RECALL)
