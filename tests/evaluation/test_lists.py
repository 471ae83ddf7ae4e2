"""Lists of the best items: masks, short lists, ties, memory and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from taurec.baselines.popularity import Popularity
from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import NonFiniteError, UsageError
from taurec.evaluation.lists import block_rows, top_k
from taurec.evaluation.topk import tie_ranks
from taurec.kernels import topk
from taurec.ranker import EmbeddingRanker, HistoryRanker


@pytest.fixture(autouse=True, params=["scanned", "sorted"])
def way(request, monkeypatch):
    """Every test here holds for the compiled walk over tiles and for plain torch's selection."""
    monkeypatch.setattr(topk, "WORTH", 0 if request.param == "scanned" else 1 << 62)
    return request.param


class Scores:
    """A ranker of known scores that notes how many users it was asked for at once."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.scores.setflags(write=False)
        self.asked = []

    @property
    def n_users(self):
        return self.scores.shape[0]

    @property
    def n_items(self):
        return self.scores.shape[1]

    def block(self, users):
        self.asked.append(len(users))
        return self.scores[users]


def log(pairs, n_users, n_items, item_ids=None):
    users, items = (
        Vocabulary([f"u{n}" for n in range(n_users)]),
        Vocabulary(item_ids or [str(n) for n in range(n_items)]),
    )
    user, item = (list(x) for x in zip(*pairs, strict=True)) if pairs else ([], [])
    return Interactions.from_pairs(user, item, users, items)


THREE = Scores([[3, 2, 1, 0], [0, 1, 2, 3], [1, 3, 0, 2]])


def test_hand_case():
    found = top_k(THREE, [2, 0], 3)
    assert found.items.tolist() == [[1, 3, 0], [0, 1, 2]]
    assert found.scores.tolist() == [[3, 2, 1], [3, 2, 1]]
    assert (found.items.dtype, found.scores.dtype) == (np.int64, np.float32)


def test_seen_items_are_left_out_of_the_user_they_belong_to():
    seen = log([(0, 0), (0, 2), (2, 1)], 3, 4)
    assert top_k(THREE, [0, 1, 2, 0], 2, seen=seen).items.tolist() == [[1, 3], [3, 2], [3, 0], [1, 3]]
    assert THREE.scores[0].tolist() == [3, 2, 1, 0]


def test_only_and_without():
    assert top_k(THREE, [0, 1], 3, only=[1, 2]).items.tolist() == [[1, 2, -1], [2, 1, -1]]
    assert top_k(THREE, [0, 1], 3, without=[0, 3]).items.tolist() == [[1, 2, -1], [2, 1, -1]]
    assert top_k(THREE, [0], 2, only=[0, 1], without=[0], seen=log([(0, 1)], 3, 4)).items.tolist() == [[-1, -1]]
    assert top_k(THREE, [0], 1, only=[]).items.tolist() == [[-1]]


def test_lists_are_short_when_candidates_run_out():
    seen = log([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)], 3, 4)
    found = top_k(THREE, [0, 1, 2], 6, seen=seen)
    assert found.items.tolist() == [[3] + [-1] * 5, [-1] * 6, [1, 3, 0, 2, -1, -1]]
    assert np.array_equal(found.scores == -np.inf, found.items == -1)


def test_an_item_of_score_minus_infinity_is_never_recommended():
    assert top_k(Scores([[-np.inf, 1, -np.inf]]), [0], 3).items.tolist() == [[1, -1, -1]]


def test_no_users():
    assert top_k(THREE, [], 2).items.shape == (0, 2)


@pytest.mark.parametrize("n_items", [60, 3000])
def test_equals_full_sort_with_masks_and_ties(n_items):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, (40, n_items)).astype(np.float32)
    seen = log([(int(u), int(i)) for u, i in rng.integers(0, (40, n_items), (n_items * 5, 2))], 40, n_items)
    without = rng.choice(n_items, 5, replace=False)
    found = top_k(Scores(scores), np.arange(40), 10, seen=seen, without=without)
    place = tie_ranks(seen.items)
    for user in range(40):
        allowed = np.setdiff1d(np.arange(n_items), np.concatenate([seen.items_of(user), without]))
        best = allowed[np.lexsort((place[allowed], -scores[user, allowed]))][:10]
        assert found.items[user, : len(best)].tolist() == best.tolist()
        assert (found.items[user, len(best) :] == -1).all()


def test_embeddings_equal_their_own_scores():
    rng = np.random.default_rng(3)
    # Small integers: every dot product is exact in float32, so both paths see the same scores and ties.
    ranker = EmbeddingRanker(rng.integers(-4, 5, (50, 8)).astype("f4"), rng.integers(-4, 5, (3000, 8)).astype("f4"))
    users = rng.permutation(50)
    fast, plain = top_k(ranker, users, 20), top_k(Scores(ranker.block(np.arange(50))), users, 20)
    assert np.array_equal(fast.items, plain.items)
    assert np.array_equal(fast.scores, plain.scores)


@pytest.mark.parametrize("n_users", [1, 2, 3, 5, 7, 17])
def test_a_user_gets_the_same_bits_alone_and_among_others(n_users):
    rng = np.random.default_rng(7)
    ranker = EmbeddingRanker(rng.normal(size=(300, 64)), rng.normal(size=(3001, 64)))
    few, all_of_them = top_k(ranker, np.arange(n_users), 20), top_k(ranker, np.arange(300), 20)
    assert np.array_equal(few.scores, all_of_them.scores[:n_users])
    assert np.array_equal(few.items, all_of_them.items[:n_users])


def test_lists_do_not_depend_on_the_numbering_of_items():
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 3, (20, 400)).astype(np.float32)
    ids = np.array([f"id-{n}" for n in range(400)])
    moved = rng.permutation(400)
    first = top_k(Scores(scores), np.arange(20), 15, item_ids=ids.tolist())
    second = top_k(Scores(scores[:, moved]), np.arange(20), 15, item_ids=ids[moved].tolist())
    assert np.array_equal(ids[first.items], ids[moved][second.items])


def test_the_tie_rule_takes_the_ids_of_the_seen_log_or_the_indices():
    flat = Scores(np.zeros((1, 200)))
    ids = [f"x{n}" for n in range(200)]
    by_seen = top_k(flat, [0], 200, seen=log([], 1, 200, ids)).items
    assert np.array_equal(by_seen, top_k(flat, [0], 200, item_ids=Vocabulary(ids)).items)
    assert np.array_equal(by_seen, top_k(flat, [0], 200, item_ids=Vocabulary(ids).ids).items)
    assert np.array_equal(
        np.argsort(tie_ranks(Vocabulary([str(n) for n in range(200)])))[None], top_k(flat, [0], 200).items
    )


@pytest.mark.parametrize("memory_mb", [0.05, 0.5, 4])
def test_blocks_stay_within_the_budget_and_do_not_change_the_lists(memory_mb):
    ranker = Scores(np.random.default_rng(5).integers(0, 50, (300, 2000)))
    found = top_k(ranker, np.arange(300), 10, memory_mb=memory_mb)
    assert sum(ranker.asked) == 300
    assert max(ranker.asked) == 1 or max(ranker.asked) * 2000 * 8 <= memory_mb * 2**20
    assert np.array_equal(found.items, top_k(ranker, np.arange(300), 10, memory_mb=1000).items)


def test_block_rows_by_hand():
    assert block_rows(100_000, 20, 256, 6) == 256 * 2**20 // (6 * 100_000 + 1536 * 21)
    assert block_rows(10**9, 20, 256, 8) == 1
    assert block_rows(10, 20, 256, 8) == 1024


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("n_items", [10, 3000])
def test_a_score_that_is_not_finite_names_user_and_item(bad, n_items):
    scores = np.random.default_rng(6).random((30, n_items)).astype(np.float32)
    scores[23, 7] = bad
    with pytest.raises(NonFiniteError, match=f"user index 23 and item index 7 is {bad}"):
        top_k(Scores(scores), np.arange(10, 30), 5)
    assert (top_k(Scores(scores), np.arange(30), 5, without=[7]).items >= 0).all()


@pytest.mark.parametrize("n_items", [20, 1024, 2500])
def test_both_ways_and_any_block_give_the_same_bits(way, monkeypatch, n_items):
    rng = np.random.default_rng(n_items)
    ranker = EmbeddingRanker(rng.normal(size=(700, 24)).astype("f4"), rng.normal(size=(n_items, 24)).astype("f4"))
    drawn = {(int(u), int(i)) for u, i in rng.integers(0, (700, n_items), (4000, 2))}
    seen = log(list(drawn), 700, n_items)
    given = {"seen": seen, "without": [3, 5], "k": 10}
    whole = top_k(ranker, np.arange(700), **given)
    few = top_k(ranker, [650, 7], **given)
    assert np.array_equal(few.scores, whole.scores[[650, 7]])
    assert np.array_equal(few.items, whole.items[[650, 7]])
    monkeypatch.setattr(topk, "WORTH", 0)
    other = top_k(ranker, np.arange(700), **given)
    assert np.array_equal(other.scores, whole.scores)
    assert np.array_equal(other.items, whole.items)


def test_embeddings_with_nan_are_refused():
    ranker = EmbeddingRanker(np.ones((2, 2), "f4"), np.array([[1, 1], [np.nan, 1], [0, 1]], "f4"))
    with pytest.raises(NonFiniteError, match=r"item index 1 is nan in a model .* smaller learning rate"):
        top_k(ranker, [1], 2)


def test_scores_that_are_not_finite_name_their_model_and_learning_rates_are_for_trained_ones():
    model = Popularity().fit(log([(0, 0), (1, 1)], 2, 3))
    model._counts[2] = np.inf
    for ranker in (model, HistoryRanker(model, csr_array(np.eye(2, 3)))):
        with pytest.raises(NonFiniteError, match="item index 2 is inf in Popularity; scores must be finite") as error:
            top_k(ranker, [1], 2)
        assert "learning rate" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"k": 0}, "k must be a whole number of at least 1, got 0"),
        ({"k": -2}, "got -2"),
        ({"k": 2.5}, "got 2.5"),
        ({"k": True}, "got True"),
        ({"users": [3]}, r"user index 3 is outside 0\.\.2"),
        ({"users": [-1]}, r"user index -1 is outside"),
        ({"users": ["a"]}, "user indices must be whole numbers"),
        ({"only": [4]}, r"item index 4 is outside 0\.\.3"),
        ({"without": [0.5]}, "item indices must be whole numbers"),
        ({"item_ids": ["a", "b"]}, "got 2 item ids for 4 items"),
        ({"seen": log([(0, 0)], 3, 5)}, "the seen interactions have 3 users and 5 items, the ranker 3 and 4"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UsageError, match=message):
        top_k(**{"ranker": THREE, "users": [0], "k": 1, **call})
