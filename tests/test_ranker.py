from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from taurec.ranker import EmbeddingRanker, Ranker, unit_rows

USER = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
ITEM = np.array([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]], dtype=np.float32)


def test_scores_are_dot_products() -> None:
    ranker = EmbeddingRanker(USER, ITEM)
    assert isinstance(ranker, Ranker)
    assert ranker.block(np.array([1])).tolist() == [[8.0, 2.0, 0.0]]


def test_a_history_is_the_mean_of_unit_vectors() -> None:
    history = csr_array(np.array([[1.0, 1.0, 0.0]]))
    # Mean of (.6, .8) and (0, 1) is (.3, .9); times the items: .9 + 3.6, .9, .3.
    scores = EmbeddingRanker(USER, ITEM).from_history(history)
    np.testing.assert_allclose(scores, [[4.5, 0.9, 0.3]], rtol=1e-6)


def test_an_empty_history_scores_zero() -> None:
    assert EmbeddingRanker(USER, ITEM).from_history(csr_array((1, 3))).tolist() == [[0.0, 0.0, 0.0]]


def test_state_round_trip() -> None:
    ranker = EmbeddingRanker(USER, ITEM)
    again = EmbeddingRanker.from_state(ranker.state())
    assert np.array_equal(again.user, ranker.user)
    assert np.array_equal(again.item, ranker.item)


def test_zero_rows_stay_zero() -> None:
    assert unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)).round(6).tolist() == [
        [0.0, 0.0],
        [np.float32(0.6), np.float32(0.8)],
    ]
