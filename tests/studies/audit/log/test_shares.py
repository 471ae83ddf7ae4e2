"""The estimates on planted worlds, where the truth is known, and the algebra behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.studies.audit.log.crossfit import CrossFit, cross_fit
from taurec.studies.audit.log.shares import _non_increasing, _solve, chance, shares


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("judge", ["ease", "itemknn"])
def test_planted_shares_are_found(noise: float, judge: str) -> None:
    world = planted(n_users=500, n_items=200, n_groups=4, per_user=15, noise=noise, seed=3)
    found = shares(world.log, cross_fit(world.log, judge))
    # Three standard errors of a window with about 7500 * .2 * a rows, and .01 for the least of four windows.
    assert found.false_positives.mean == pytest.approx(world.false_positive.mean(), abs=0.03 if noise else 0.005)
    assert 0.9 < found.hidden_positives.mean / world.liked_unseen < 1.35  # an upper bound, apart from chance
    assert found.known_positives == pytest.approx(world.log.user_counts.mean() / 200, abs=1e-3)
    assert found.scored == 1.0
    low, high = found.false_positives.low, found.false_positives.high
    assert low is not None
    assert high is not None
    assert low <= found.false_positives.mean <= high


@pytest.mark.parametrize("skew", [0.5, 1.0])
def test_hidden_positives_are_found_although_popular_pairs_are_logged_first(skew: float) -> None:
    world = planted(n_users=500, n_items=200, n_groups=4, per_user=15, skew=skew, noise=0.1, seed=3)
    fit = cross_fit(world.log, "ease")
    assert 0.8 < shares(world.log, fit).hidden_positives.mean / world.liked_unseen < 1.35
    one_group = replace(fit, among_peers=fit.percentile, group=np.zeros_like(fit.group))
    alone = shares(world.log, one_group).hidden_positives
    assert alone.mean / world.liked_unseen < 0.65  # what groups of peers are for


def test_both_shares_solve_the_mixture() -> None:
    # f = 5 on the first fifth, h = 5/4 beyond it: a = .3, b = .2 give g = .7 * 5 and .3 * 1.25.
    (a,), (b,) = _solve(np.array([[[3.5, 0.375, 1.0]]]), np.ones(1))
    assert a == pytest.approx(0.3)
    assert b == pytest.approx(0.2)


def exact(a: float = 0.3, b: float = 0.2, n: int = 40_000) -> tuple[Interactions, CrossFit]:
    """Rows whose percentiles follow that mixture exactly, spread over 400 users."""
    likes = round(n * (1 - a))
    percentile = np.concatenate(
        [(np.arange(likes) + 0.5) / likes * b, b + (np.arange(n - likes) + 0.5) / (n - likes) * (1 - b)]
    )
    users, items = np.tile(np.arange(400), n // 400), np.repeat(np.arange(n // 400), 400)
    log = Interactions.from_pairs(users, items, items=Vocabulary.numbered(2 * (n // 400)))
    order = np.argsort(np.random.default_rng(0).random(n))
    return log, CrossFit(
        percentile[order], percentile[order], np.zeros(log.n_items, dtype=np.int64), percentile[order], "exact", 2
    )


def test_chance_is_the_share_at_each_place() -> None:
    log, fit = exact()
    found = shares(log, fit)
    assert found.false_positives.mean == pytest.approx(0.3, abs=1e-3)
    assert found.hidden_positives.mean == pytest.approx(0.2, abs=1e-3)
    each = chance(fit, found)
    np.testing.assert_allclose(each[fit.percentile < 0.2], 0.0, atol=0.01)
    np.testing.assert_allclose(each[fit.percentile > 0.2], 1.0, atol=0.01)
    assert each.mean() == pytest.approx(0.3, abs=0.01)


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(12):
        world = planted(n_users=200, n_items=80, n_groups=4, per_user=10, noise=0.2, seed=seed)
        found = shares(world.log, cross_fit(world.log, "itemknn", seed=seed), resamples=200).false_positives
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= world.false_positive.mean() <= found.high
    assert covered >= 8  # 11.4 in the mean, less because the emptiest of four windows is taken


def test_non_increasing_against_a_slow_search() -> None:
    rng = np.random.default_rng(1)
    y = rng.random(12)
    fitted = _non_increasing(y)
    assert (np.diff(fitted) <= 1e-12).all()
    assert fitted.sum() == pytest.approx(y.sum())
    # min-max formula of isotonic regression
    slow = [min(max(np.mean(y[s : e + 1]) for e in range(k, 12)) for s in range(k + 1)) for k in range(12)]
    np.testing.assert_allclose(fitted, slow)


def test_too_little_or_too_blind_is_refused() -> None:
    log = planted(n_users=10, n_items=40, per_user=5, seed=1).log
    with pytest.raises(UsageError, match="an estimate needs 200"):
        shares(log, cross_fit(log, "itemknn"))
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(100), 8)
    log = Interactions.from_pairs(user, np.concatenate([rng.choice(60, 8, replace=False) for _ in range(100)]))
    with pytest.raises(UsageError, match="no better than chance"):
        shares(log, cross_fit(log, "itemknn"))
