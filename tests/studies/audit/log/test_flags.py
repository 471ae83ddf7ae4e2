"""Bursts, bots and alike ids on logs made by hand: each sign fires where it must, and not beside it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from taurec.data.interactions import Interactions
from taurec.data.lookalikes import alike_groups
from taurec.data.planted import planted
from taurec.studies.audit.log.crossfit import cross_fit
from taurec.studies.audit.log.flags import bots, bursts, upper_limit

HOUR = 3600.0


def people(n_users: int = 12, n_items: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Everybody takes every item, one an hour, at irregular minutes."""
    user, item = (a.ravel() for a in np.meshgrid(np.arange(n_users), np.arange(n_items), indexing="ij"))
    return user, item, item * HOUR + (user * 7 + item * item * 13) % 50 * 60.0


def log_of(user: np.ndarray, item: np.ndarray, time: np.ndarray | None = None) -> Interactions:
    return Interactions.from_pairs(user, item, time=time)


def test_the_limit_by_hand() -> None:
    # median 3, |x - 3| = 2 1 0 1 97 with median 1, so 3 + 3.5 * 1.4826
    assert upper_limit(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(3 + 3.5 * 1.4826)
    assert upper_limit(np.array([2.0, 2.0])) == pytest.approx(2.35)
    assert upper_limit(np.array([])) == np.inf


def test_a_burst_is_found_and_its_rows_are_named() -> None:
    user, item, time = people()
    fast = (user == 4) & (item >= 10)
    time[fast] = 1e6 + item[fast]
    found = bursts(log_of(user, item, time))
    assert found.users == 1
    np.testing.assert_array_equal(found.rows, fast)


@pytest.mark.parametrize(
    "change",
    [
        lambda user, item, time: time,  # nobody is fast
        lambda user, item, time: item * 2.0 + user * HOUR,  # everybody is: one sitting each
        lambda user, item, time: np.where((user == 4) & (item >= 22), 1e6 + item, time),  # eight rows are too few
        lambda user, item, time: np.where(user == 4, 1e6 + item * 4.0, time),  # always so fast: the user's own rate
    ],
)
def test_no_burst(change) -> None:  # type: ignore[no-untyped-def]
    user, item, time = people()
    assert bursts(log_of(user, item, change(user, item, time))).users == 0


def test_bursts_need_times() -> None:
    user, item, time = people()
    assert bursts(log_of(user, item)).skipped == "the log has no times"
    assert bursts(log_of(user, item, time * 0)).skipped == "all times are equal"


def world(extra: dict[int, np.ndarray], n_items: int = 100) -> Interactions:
    """Sixty people with 25 popular items each, and more users with the given items."""
    rng = np.random.default_rng(0)
    weight = 1.0 / np.arange(1, n_items + 1)
    rows = [(u, i) for u in range(60) for i in rng.choice(n_items, 25, replace=False, p=weight / weight.sum())]
    rows += [(60 + u, int(i)) for u, items in extra.items() for i in items]
    user, item = np.array(rows).T
    return Interactions.from_pairs(user, item)


def test_activity_and_the_catalogue_make_a_bot_together() -> None:
    base = planted(n_users=60, n_items=120, per_user=20, seed=1).log
    user, item = np.concatenate([base.user_of, np.full(110, 60)]), np.concatenate([base.indices, np.arange(110)])
    found = bots(Interactions.from_pairs(user, item))
    assert found.of(60) == ["activity", "catalogue"]
    assert found.users.nonzero()[0].tolist() == [60]


def test_much_of_a_small_catalogue_alone_does_not() -> None:
    log = log_of(*people(n_items=60)[:2])
    found = bots(log)
    assert found.signs["catalogue"].all()
    assert not found.users.any()


def test_who_chooses_unpopular_items_evenly_is_found() -> None:
    log = world({0: np.arange(1, 100, 4)})
    found = bots(log)
    assert found.signs["uniform"].nonzero()[0].tolist() == [60]
    assert not found.users.any()  # alone it is no proof: somebody may like what is rare
    assert not bots(world({0: np.arange(1, 100, 8)})).signs["uniform"].any()  # twelve rows are too few


def test_nobody_is_uniform_where_nothing_is_popular() -> None:
    assert not bots(planted(n_users=60, n_items=120, per_user=25, seed=1).log).users.any()


@pytest.mark.parametrize(("gap", "expected"), [(300.0, True), (0.0, False)])
def test_a_clock_is_regular_and_one_instant_is_not(gap: float, expected: bool) -> None:
    user, item, time = people()
    found = bots(log_of(user, item, np.where(user == 3, item * gap, time)))
    assert found.signs["regular"].tolist() == [n == 3 and expected for n in range(12)]


def test_a_late_row_makes_a_clock_a_person() -> None:
    user, item, time = people()
    found = bots(log_of(user, item, np.where(user == 3, item * 300.0 + (item > 20) * 9e4, time)))
    assert not found.signs["regular"].any()


def test_rows_like_chance_need_a_judge() -> None:
    base = planted(n_users=80, n_items=120, per_user=20, seed=2).log
    user = np.concatenate([base.user_of, np.full(40, 80)])
    item = np.concatenate([base.indices, np.arange(0, 120, 3)])
    log = Interactions.from_pairs(user, item)
    assert "chance" in bots(log).skipped
    found = bots(log, cross_fit(log, "itemknn"))
    assert found.signs["chance"].nonzero()[0].tolist() == [80]
    assert found.users.nonzero()[0].tolist() == [80]


def test_groups_of_alike_ids_are_named_once() -> None:
    ids = pl.Series(["7", "Tea", "007", "tea", "x", "te a", "7.0"])
    assert alike_groups(ids) == [("number", [0, 2, 6]), ("blanks", [3, 5]), ("case", [1, 3])]
    assert alike_groups(pl.Series(["a", "b", "10", "1"])) == []
