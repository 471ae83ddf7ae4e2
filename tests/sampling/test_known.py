"""Sets of known positives: membership and rank among the rest, against plain Python sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.kernels.draws import reference as module
from taurec.sampling.known import Known


def log(pairs, n_users, n_items) -> Interactions:
    names = [Vocabulary([f"{kind}{k}" for k in range(n)]) for kind, n in (("u", n_users), ("i", n_items))]
    user, item = zip(*pairs, strict=True) if pairs else ((), ())
    return Interactions.from_pairs(user, item, *names)


TOY = [(0, 0), (0, 2), (0, 3), (2, 4)]  # user 1 has nothing


def test_membership_by_hand():
    known = Known(log(TOY, 3, 5))
    user = np.array([0, 1, 2, 0])
    ids = np.array([[0, 1, 4], [0, 2, 4], [4, 4, 0], [3, 3, 2]])
    expected = [[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert known.among(user, ids).astype(int).tolist() == expected
    assert known.among(user[:2], np.array([4, 3])).astype(int).tolist() == [[0, 1], [0, 0]]
    assert known.cells(user[:2]).tolist() == [0, 2, 3]


def test_rank_among_the_rest_by_hand():
    known = Known(log(TOY, 3, 5))
    assert known.free(np.array([0, 0]), np.array([0, 1])).tolist() == [1, 4]
    assert known.free(np.full(5, 1), np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert known.free(np.full(4, 2), np.arange(4)).tolist() == [0, 1, 2, 3]


@settings(deadline=None)
@given(st.data())
def test_agrees_with_sets(data):
    n_users, n_items = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 7))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))))
    known, have = Known(log(pairs, n_users, n_items)), set(pairs)
    users = data.draw(st.lists(st.integers(0, n_users - 1), max_size=6))
    ids = np.array(data.draw(st.lists(st.integers(0, n_items - 1), min_size=1, max_size=6)))
    expected = [[(u, j) in have for j in ids.tolist()] for u in users]
    user = np.array(users, dtype=np.int64)
    assert known.among(user, ids).tolist() == expected
    assert known.among(user, np.tile(ids, (len(users), 1))).tolist() == expected
    for u in set(users):
        rest = [j for j in range(n_items) if (u, j) not in have]
        assert known.free(np.full(len(rest), u), np.arange(len(rest))).tolist() == rest


@pytest.mark.parametrize("cells", [1, 40, 10_000])
def test_blocks_of_rows_do_not_show(monkeypatch, cells):
    rng = np.random.default_rng(0)
    train = Interactions.from_pairs(rng.integers(0, 30, 200), rng.integers(0, 20, 200))
    user, ids = rng.integers(0, train.n_users, 50), rng.integers(0, train.n_items, (50, 8))
    monkeypatch.setattr(module, "CELLS", cells)
    assert (Known(train).among(user, ids) == train.contains(user[:, None], ids)).all()
