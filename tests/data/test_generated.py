from __future__ import annotations

import numpy as np
import pytest

from taurec.data.generated import generated
from taurec.data.interactions import Interactions
from taurec.errors import UsageError


def test_it_is_a_log_like_any_other_and_skewed_as_stated() -> None:
    log = generated(2000, 1000, 40_000, skew=2.0, seed=3)
    again = Interactions.from_pairs(log.user_of, log.indices, log.users, log.items)
    assert np.array_equal(again.indptr, log.indptr)
    assert np.array_equal(again.indices, log.indices)
    assert 39_000 < len(log) < 40_000  # few pairs are drawn twice
    # the first tenth of the items has sqrt(.1) of the draws; the popular ones lose a little to repeats
    assert log.item_counts[:100].sum() / len(log) == pytest.approx(0.1**0.5, abs=0.02)
    assert not np.array_equal(generated(2000, 1000, 40_000, seed=4).indices[:100], log.indices[:100])


def test_the_draws_do_not_depend_on_how_they_are_cut(monkeypatch) -> None:
    whole = generated(50, 40, 500)
    monkeypatch.setattr("taurec.data.generated._BLOCK", 7)
    assert np.array_equal(generated(50, 40, 500).indices, whole.indices)


@pytest.mark.parametrize("sizes", [(0, 5, 5), (5, 0, 5), (5, 5, 0)])
def test_sizes_that_make_no_log(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        generated(*sizes)


def test_a_skew_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match=r"skew=0\.5"):
        generated(5, 5, 5, skew=0.5)
