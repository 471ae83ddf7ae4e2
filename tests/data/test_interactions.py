"""Interactions: hand-worked logs, then laws on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary

Rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 3), st.integers(1, 3)), min_size=0, max_size=40
)


def build(rows: list[tuple[int, int, int, int]]) -> Interactions:
    u, i, t, w = (np.array([r[k] for r in rows], dtype=np.int64) for k in range(4))
    users, items = (Vocabulary([str(k) for k in range(n)]) for n in (6, 7))
    return Interactions.from_pairs(u, i, users, items, t, w)


def test_pairs_are_sorted_and_merged() -> None:
    log = Interactions.from_pairs([1, 0, 1, 1], [2, 0, 0, 2], time=[9.0, 1.0, 4.0, 3.0], weight=[1.0, 1.0, 1.0, 0.5])
    assert log.indptr.tolist() == [0, 1, 3]
    assert log.indices.tolist() == [0, 0, 2]
    assert log.time is not None
    assert log.weight is not None
    assert log.time.tolist() == [1.0, 4.0, 3.0]
    assert log.weight.tolist() == [1.0, 1.0, 1.5]
    assert (log.merged, log.exact) == (1, 0)
    assert log.items_of(1).tolist() == [0, 2]
    assert log.user_counts.tolist() == [1, 2]
    assert log.item_counts.tolist() == [2, 0, 1]


def test_exact_repeats_are_told_from_others() -> None:
    log = Interactions.from_pairs([0, 0, 0, 0], [1, 1, 1, 1], time=[5.0, 3.0, 5.0, 5.0])
    assert (log.merged, log.exact) == (3, 2)
    plain = Interactions.from_pairs([0, 0, 0], [1, 1, 1])
    assert (plain.merged, plain.exact) == (2, 2)


@settings(deadline=None, max_examples=60)
@given(Rows)
def test_laws_of_merging(rows: list[tuple[int, int, int, int]]) -> None:
    log = build(rows)
    expected: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for u, i, t, w in rows:
        expected.setdefault((u, i), []).append((t, w))
    found = list(zip(log.user_of.tolist(), log.indices.tolist(), strict=True))
    assert found == sorted(expected)
    assert log.merged == len(rows) - len(expected)
    assert log.exact == len(rows) - len(set(rows))
    assert log.time is not None
    assert log.weight is not None
    assert log.time.tolist() == [min(t for t, _ in expected[pair]) for pair in found]
    assert log.weight.tolist() == [sum(w for _, w in expected[pair]) for pair in found]


@settings(deadline=None, max_examples=60)
@given(Rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, int, int, int]], random) -> None:  # type: ignore[no-untyped-def]
    other = list(rows)
    random.shuffle(other)
    a, b = build(rows), build(other)
    for x, y in ((a.indptr, b.indptr), (a.indices, b.indices), (a.time, b.time), (a.weight, b.weight)):
        np.testing.assert_array_equal(x, y)
    assert (a.merged, a.exact) == (b.merged, b.exact)


@settings(deadline=None, max_examples=60)
@given(Rows)
def test_contains_agrees_with_a_set(rows: list[tuple[int, int, int, int]]) -> None:
    log = build(rows)
    u, i = np.divmod(np.arange(42), 7)
    pairs = {(a, b) for a, b, _, _ in rows}
    assert log.contains(u, i).tolist() == [(a, b) in pairs for a, b in zip(u.tolist(), i.tolist(), strict=True)]
    assert log.csr().sum() == len(pairs)


def test_arrays_cannot_be_changed() -> None:
    log = Interactions.from_pairs([0], [0], time=[1.0])
    for array in (log.indptr, log.indices, log.time):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_index_outside_its_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="outside its vocabulary"):
        Interactions.from_pairs([0], [2], Vocabulary(["u"]), Vocabulary(["a", "b"]))
    with pytest.raises(ValueError, match="outside its vocabulary"):
        Interactions.from_pairs([-1], [0])
    with pytest.raises(IndexError, match=r"outside 0\.\.0"):
        Interactions.from_pairs([0], [0]).items_of(-1)


def test_take_and_union_undo_each_other() -> None:
    log = Interactions.from_pairs([0, 0, 1, 2], [0, 2, 1, 2])
    left, right = log.take([0, 3]), log.take(np.array([False, True, True, False]))
    assert left.users is log.users
    whole = left.union(right)
    assert whole.indptr.tolist() == log.indptr.tolist()
    assert whole.indices.tolist() == log.indices.tolist()
    with pytest.raises(ValueError, match="different logs"):
        left.union(Interactions.from_pairs([0], [0]))


def test_compact_and_core() -> None:
    # Item 3 has one user; without it user 2 has one item left; without that user item 2 has one left.
    log = Interactions.from_pairs([0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 2, 3])
    core = log.k_core(2)
    assert core.users.ids.to_list() == ["0", "1"]
    assert core.items.ids.to_list() == ["0", "1"]
    assert core.indices.tolist() == [0, 1, 0, 1]
    assert len(log.k_core(4)) == 0


@settings(deadline=None, max_examples=60)
@given(Rows, st.integers(1, 3))
def test_laws_of_the_core(rows: list[tuple[int, int, int, int]], k: int) -> None:
    core = build(rows).k_core(k)
    assert (core.user_counts >= k).all()
    assert (core.item_counts >= k).all()


def test_empty_log() -> None:
    log = Interactions.from_pairs([], [])
    assert (len(log), log.n_users, log.n_items) == (0, 0, 0)
    assert len(log.compact()) == 0
    assert log.contains([], []).tolist() == []
