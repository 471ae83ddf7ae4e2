"""Statistics of a log, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.data.interactions import Interactions
from taurec.data.statistics import gini, statistics, top_share
from taurec.data.vocabulary import Vocabulary


def test_by_hand() -> None:
    # Three users with 3, 1 and 0 items; four items with 2, 1, 1 and 0 users.
    users, items = Vocabulary(list("abc")), Vocabulary(list("wxyz"))
    s = statistics(Interactions.from_pairs([0, 0, 0, 1], [0, 1, 2, 0], users, items, time=[4.0, 2.0, 9.0, 3.0]))
    assert (s.users, s.items, s.pairs) == (3, 4, 4)
    assert s.density == pytest.approx(4 / 12)
    assert s.per_user == {0.0: 0, 0.25: 0, 0.5: 1, 0.75: 1, 0.9: 1, 0.99: 1, 1.0: 3}
    assert s.per_item[0.5] == 1
    assert s.gini == pytest.approx((-3 * 0 - 1 * 1 + 1 * 1 + 3 * 2) / (4 * 4))
    assert s.top_1_percent == pytest.approx(2 / 4)
    assert (s.first, s.last) == (2.0, 9.0)


def test_empty_log_has_no_times_and_divides_by_nothing() -> None:
    s = statistics(Interactions.from_pairs([], []))
    assert (s.density, s.gini, s.first, s.per_user) == (0.0, 0.0, None, {})


def test_top_share_takes_at_least_one_and_no_more_than_asked() -> None:
    assert top_share([1] * 10, 0.1) == pytest.approx(0.1)
    assert top_share([5, 1], 0.01) == pytest.approx(5 / 6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_gini_is_the_mean_difference(counts: list[int]) -> None:
    n, total = len(counts), sum(counts)
    mean_difference = sum(abs(a - b) for a in counts for b in counts) / (2 * n * total) if total else 0.0
    assert gini(counts) == pytest.approx(mean_difference)
