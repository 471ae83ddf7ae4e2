from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from taurec import draw
from taurec.baselines import ItemKNN, knn
from taurec.data.interactions import Interactions
from taurec.errors import UsageError

# Users of the items: 0: {0, 1}, 1: {0, 1, 2}, 2: {2, 3}.
LOG = Interactions.from_pairs([0, 0, 1, 1, 2, 2, 3], [0, 1, 0, 1, 1, 2, 2])


def dense_scores(x: np.ndarray, k: int, shrink: float) -> np.ndarray:
    """The definition, item by item, for a log without equal similarities at the k-th place."""
    n = x.shape[1]
    s = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                s[i, j] = (x[:, i] @ x[:, j]) / (sqrt(x[:, i].sum() * x[:, j].sum()) + shrink + 1e-300)
        order = np.argsort(-s[i])
        assert k >= n - 1 or s[i, order[k - 1]] > s[i, order[k]]
        s[i, order[k:]] = 0
    return x @ s.T


def test_cosine_by_hand() -> None:
    s01, s12 = 2 / sqrt(2 * 3), 1 / sqrt(3 * 2)
    model = ItemKNN(k=2).fit(LOG)
    expected = [[s01, s01, s12], [s01, s01, s12], [0 + s01, s12, s12], [0, s12, 0]]
    np.testing.assert_allclose(model.block(np.arange(4)), expected, rtol=1e-6)


def test_the_neighbours_are_those_of_the_scored_item() -> None:
    """With k=1 item 1 looks at item 0 alone; items 0 and 2 at item 1."""
    s01, s12 = 2 / sqrt(6), 1 / sqrt(6)
    scores = ItemKNN(k=1).fit(LOG).block(np.array([2]))  # has items 1 and 2
    np.testing.assert_allclose(scores, [[s01, 0, s12]], rtol=1e-6)


def test_shrink_by_hand() -> None:
    scores = ItemKNN(k=2, shrink=3.0).fit(LOG).block(np.array([3]))
    np.testing.assert_allclose(scores, [[0, 1 / (sqrt(6) + 3), 0]], rtol=1e-6)


@pytest.mark.parametrize("entries", [1, 50, 1 << 22])
def test_the_definition_for_any_cut_into_blocks(entries, monkeypatch) -> None:
    monkeypatch.setattr(knn, "_BLOCK_ENTRIES", entries)
    x = (np.random.default_rng(0).random((900, 12)) < 0.4).astype(float)
    log = Interactions.from_pairs(*np.nonzero(x))
    for k in (3, 11, 50):
        found = ItemKNN(k=k, shrink=1.5).fit(log).block(np.arange(900))
        np.testing.assert_allclose(found, dense_scores(x, k, 1.5), rtol=1e-5)


def test_ties_at_the_last_place_are_broken_by_hash() -> None:
    """Forty items with the same single user: each keeps the 5 of 39 equal ones with the lowest draws."""
    log = Interactions.from_pairs(np.zeros(40, dtype=int), np.arange(40))
    kept = ItemKNN(k=5).fit(log).weights().toarray() > 0
    order = np.argsort(draw.bits(draw.key(0, "itemknn ties"), np.arange(40)))
    for i in range(40):
        assert set(np.flatnonzero(kept[:, i])) == set(order[order != i][:5])


def test_item_vectors_have_the_similarity_as_their_cosine() -> None:
    v = ItemKNN().fit(LOG).item_vectors().toarray()
    assert v[0] @ v[1] / np.linalg.norm(v[0]) / np.linalg.norm(v[1]) == pytest.approx(2 / sqrt(6))


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"k": 0}, {"shrink": -1.0}):
        with pytest.raises(UsageError, match="ItemKNN"):
            ItemKNN(**wrong)
