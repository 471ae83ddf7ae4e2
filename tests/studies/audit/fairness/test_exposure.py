import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.studies.audit.fairness.exposure import (
    coverage,
    entropy,
    relative_spread,
    spearman,
    tail_items,
)


def test_coverage_and_entropy_by_hand():
    assert coverage([2, 0, 0, 1, 1]) == 0.6
    assert entropy([2, 0, 0, 1, 1]) == 1.5  # 1/2 * 1 bit + 2 * 1/4 * 2 bits
    assert entropy([3, 3, 3]) == pytest.approx(math.log2(3), abs=1e-15)
    assert entropy([0, 0]) == coverage([0, 0]) == coverage([]) == 0.0


def test_entropy_of_equal_use_is_the_largest():
    x = np.random.default_rng(0).integers(0, 9, 50)
    assert entropy(x) < math.log2(50)


def test_spearman_by_hand_and_beside_scipy():
    # ranks 1 2 3 4 and 1 2 4 3: 1 - 6 * (0 + 0 + 1 + 1) / (4 * 15)
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8, abs=1e-15)
    draw = np.random.default_rng(1)
    a, b = draw.integers(0, 5, 200), draw.integers(0, 7, 200)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_spearman_without_meaning():
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([], []))
    assert spearman([1, 2, math.nan], [5, 6, 0]) == 1.0
    with pytest.raises(UsageError, match="2 and 1"):
        spearman([1, 2], [1])


def test_the_tail_is_what_the_head_leaves():
    item = [0] * 6 + [1] * 2 + [2] + [3]
    log = Interactions.from_pairs(np.arange(10), item, items=Vocabulary.numbered(5))
    assert tail_items(log).tolist() == [False, False, True, True, True]  # 6 + 2 of 10 is 80 %
    assert tail_items(log, 0.6).tolist() == [False, True, True, True, True]
    assert tail_items(log, 0.61).tolist() == [False, False, True, True, True]
    for head in (0, 1, math.nan):
        with pytest.raises(UsageError, match="between 0 and 1"):
            tail_items(log, head)


def test_relative_spread_is_largest_where_one_group_has_all():
    assert relative_spread([1, 0, 0, 0, 0]) == pytest.approx(2.0)  # sqrt(5 - 1)
    assert math.isnan(relative_spread([0, 0]))
    assert math.isnan(relative_spread([math.nan]))
