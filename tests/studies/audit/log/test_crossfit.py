"""Places: worked by hand where the judge knows one thing, uniform for random rows, never from the row itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.studies.audit.log.crossfit import _deal, cross_fit


def test_places_by_hand() -> None:
    # Items 0..4 with 10, 8, 6, 4 and 18 rows of others; user 0 has items 2 and 4, one a fold.
    counts = [10, 8, 6, 4, 18]
    rows = [(1 + n, i) for i, c in enumerate(counts) for n in range(c)]
    user, item = np.array([*rows, (0, 2), (0, 4)]).T
    log = Interactions.from_pairs(user, item)
    fit = cross_fit(log, "popularity", folds=2, seed=3)
    fold = _deal(log, 2, 3)
    for row in np.flatnonzero(log.user_of == 0):
        train = log.take(fold != fold[row])
        assert train.item_counts.all()
        own = train.item_counts[log.indices[row]]
        others = [train.item_counts[i] for i in (0, 1, 3)]
        above, equal = sum(c > own for c in others), sum(c == own for c in others)
        assert fit.middle[row] == pytest.approx((above + (equal + 1) / 2) / (len(others) + 1))
        assert above / (len(others) + 1) <= fit.percentile[row] <= (above + equal + 1) / (len(others) + 1)


def test_each_row_is_judged_by_models_that_have_not_seen_it() -> None:
    # One pair joins two separate halves: only a model that has seen it could expect it.
    user, item = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(20), indexing="ij"))
    keep = ((user < 10) == (item < 10)) & ((user + item) % 3 > 0)
    log = Interactions.from_pairs(np.append(user[keep], 0), np.append(item[keep], 15))
    fit = cross_fit(log, "itemknn")
    odd = (log.user_of == 0) & (log.indices == 15)
    assert fit.middle[odd][0] > 0.4
    assert np.median(fit.middle[~odd]) < 0.3


def test_random_rows_have_uniform_places() -> None:
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(250), 8)
    log = Interactions.from_pairs(user, np.concatenate([rng.choice(70, 8, replace=False) for _ in range(250)]))
    for judge in ("itemknn", "popularity"):  # popularity has many ties, which V breaks evenly
        assert kstest(cross_fit(log, judge).percentile, "uniform").pvalue > 0.01


def test_what_nobody_else_has_is_not_judged() -> None:
    log = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 1])
    scored = cross_fit(log, "popularity", folds=3).scored
    pairs = list(zip(log.user_of.tolist(), log.indices.tolist(), strict=True))
    assert not scored[pairs.index((0, 2))]  # the item occurs once
    assert not scored[pairs.index((2, 1))]  # the user occurs once


def test_folds_are_even_within_users() -> None:
    log = planted(n_users=20, n_items=60, per_user=11, n_groups=3, seed=1).log
    fold = _deal(log, 4, 0)
    table = np.zeros((20, 4), int)
    np.add.at(table, (log.user_of, fold), 1)
    assert set(np.unique(table)) == {2, 3}
    assert table.sum(axis=0).std() < 5
    assert not np.array_equal(fold, _deal(log, 4, 1))


def test_wrong_requests() -> None:
    log = Interactions.from_pairs([0, 0, 1], [0, 1, 0])
    with pytest.raises(UsageError, match="folds must be at least 2"):
        cross_fit(log, folds=1)
    with pytest.raises(UsageError, match="a log of 3 pairs cannot be divided"):
        cross_fit(log)
    with pytest.raises(UsageError, match="did you mean 'ease'"):
        cross_fit(log, "eas", folds=2)
