from __future__ import annotations

import numpy as np
import pytest

from taurec.baselines import RP3Beta, knn
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

X = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], dtype=float)
LOG = Interactions.from_pairs(*np.nonzero(X))


def dense_weights(x: np.ndarray, alpha: float, beta: float, k: int) -> np.ndarray:
    """The definition, for a log without equal weights at the k-th place."""
    users, items = x.sum(1), x.sum(0)
    w = (x / items**1.0).T ** alpha @ (x / users[:, None]) ** alpha / items**beta
    np.fill_diagonal(w, 0)
    for row in w:
        row[np.argsort(-row)[k:]] = 0
    w /= np.maximum(w.sum(1), 1e-300)[:, None]
    for column in w.T:
        column[np.argsort(-column)[k:]] = 0
    return w


def test_a_walk_by_hand() -> None:
    """Users {0, 1} and {1, 2}: from item 1 to either user with 1/2, and on to each of its items with 1/2."""
    log = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 1, 2])
    w = RP3Beta(beta=0.0, normalise=False).fit(log).weights().toarray()
    np.testing.assert_allclose(w, [[0, 0.5, 0], [0.25, 0, 0.25], [0, 0.5, 0]], rtol=1e-6)
    held_back = RP3Beta(beta=1.0, normalise=False).fit(log).weights().toarray()
    np.testing.assert_allclose(held_back, w / [1, 2, 1], rtol=1e-6)


def test_golden_weights() -> None:
    w = RP3Beta(normalise=False).fit(LOG).weights().toarray()
    np.testing.assert_allclose(w[0], [0, 0.143689404992, 0.057475761997, 0.109958992564], rtol=1e-6)
    np.testing.assert_allclose(w[1], [0.143689404992, 0, 0.143689404992, 0], rtol=1e-6)
    np.testing.assert_allclose(w[3], [0.129320464493, 0, 0.129320464493, 0], rtol=1e-6)
    half = RP3Beta(alpha=0.5, normalise=False).fit(LOG).weights().toarray()
    np.testing.assert_allclose(half[0], [0, 0.383606720196, 0.172427285991, 0.269343424413], rtol=1e-6)


@pytest.mark.parametrize("entries", [1, 50, 1 << 22])
@pytest.mark.parametrize("k", [3, 6, 50])
def test_the_definition_for_any_cut_into_blocks(entries, k, monkeypatch) -> None:
    monkeypatch.setattr(knn, "_BLOCK_ENTRIES", entries)
    x = (np.random.default_rng(0).random((900, 12)) < 0.4).astype(float)
    x[:, 0] = 1
    found = RP3Beta(alpha=0.8, beta=0.5, k=k).fit(Interactions.from_pairs(*np.nonzero(x)))
    expected = dense_weights(x, 0.8, 0.5, k)
    np.testing.assert_allclose(found.weights().toarray(), expected, rtol=1e-5)
    np.testing.assert_allclose(found.block(np.arange(9)), x[:9] @ expected, rtol=1e-5)


def test_rows_of_a_walk_sum_to_one_where_nothing_is_cut() -> None:
    np.testing.assert_allclose(RP3Beta().fit(LOG).weights().sum(axis=1), 1, rtol=1e-6)


def test_at_most_k_weights_in_rows_and_columns() -> None:
    """Forty items with one user: all weights are equal, and a hash says which of them are kept."""
    log = Interactions.from_pairs(np.zeros(40, dtype=int), np.arange(40))
    w = RP3Beta(k=5).fit(log).weights()
    assert np.diff(w.indptr).max() <= 5
    assert np.bincount(w.indices).max() <= 5
    assert w.nnz > 5


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"alpha": 0.0}, {"beta": -1.0}, {"k": 0}, {"beta": float("nan")}):
        with pytest.raises(UsageError, match="RP3Beta"):
            RP3Beta(**wrong)
