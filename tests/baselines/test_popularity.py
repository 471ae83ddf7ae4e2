from __future__ import annotations

import numpy as np
import pytest

from taurec.baselines import Popularity
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

LOG = Interactions.from_pairs([0, 0, 1, 2, 2], [0, 2, 2, 2, 3])


def test_counts_by_hand() -> None:
    model = Popularity().fit(LOG)
    np.testing.assert_array_equal(model.block(np.array([2, 0])), [[1, 0, 3, 1]] * 2)
    np.testing.assert_array_equal(model.from_history(LOG.csr()[:1]), [[1, 0, 3, 1]])
    assert model.item_vectors().shape == (4, 1)


def test_an_unfitted_model_says_so() -> None:
    with pytest.raises(UsageError, match=r"fit\(train\)"):
        Popularity().block(np.array([0]))
