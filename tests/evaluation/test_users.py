"""Users without training rows: ranked from what is known before the part, else by popularity; the others as before."""

from __future__ import annotations

import numpy as np
import pytest

from taurec import Recommender
from taurec.baselines import Popularity
from taurec.data.interactions import Interactions
from taurec.data.split import Split
from taurec.data.vocabulary import Vocabulary
from taurec.evaluation.lists import top_k
from taurec.evaluation.ranking import evaluate_ranker
from taurec.evaluation.users import HISTORY, POPULARITY, USER, UserScorer
from taurec.ranker import EmbeddingRanker, HistoryRanker

USERS, ITEMS = Vocabulary(["warm", "later", "last", "new-items"]), Vocabulary(["a", "b", "c", "d", "new"])


def rows(*pairs):
    user, item = zip(*pairs, strict=True) if pairs else ((), ())
    return Interactions.from_pairs(np.array(user, int), np.array(item, int), USERS, ITEMS)


PARTS = Split(
    rows((0, 0), (0, 1)),
    rows((0, 2), (1, 0), (3, 4)),
    rows((0, 3), (1, 1), (2, 0), (3, 1)),
    "time",
)
"""Item d has no training row, and new only one in the validation part; three users have no training row."""
RANKER = EmbeddingRanker(
    np.array([[1, 0], [0, 9], [0, 9], [0, 9]], "f4"),
    np.array([[2, 0], [0, 2], [1, 0], [0, 1], [9, 9]], "f4"),
)
"""The vectors of users without training rows are arbitrary, as those of a trained model."""


def test_sources_by_part():
    on_valid, on_test = (UserScorer.of_part(RANKER, PARTS, part).source.tolist() for part in ("valid", "test"))
    assert on_valid == [USER, POPULARITY, POPULARITY, POPULARITY]
    # The validation row of new-items is of an item without training rows, which says nothing.
    assert on_test == [USER, HISTORY, POPULARITY, POPULARITY]


def test_scores_by_hand():
    scores = UserScorer.of_part(RANKER, PARTS, "test").block(np.arange(4))
    assert scores[0].tolist() == [2, 0, 1, 0, 9]
    assert scores[1].tolist() == [2, 0, 1, 0, 9]  # item a alone, of unit length: (1, 0)
    assert scores[2].tolist() == scores[3].tolist() == [1, 1, 0, 0, 0]  # training rows alone


def test_an_untrained_item_of_a_history_is_left_out():
    known = rows((1, 0), (1, 4))
    scores = UserScorer.of_log(RANKER, PARTS.train, known).block(np.array([1]))
    assert scores.tolist() == [[2, 0, 1, 0, 9]]


def test_evaluation_by_hand_has_warm_and_cold_apart():
    scorer = UserScorer.of_part(RANKER, PARTS, "test")
    found = evaluate_ranker(scorer, PARTS.test, PARTS.known("test"), "recall@1,mrr@2")
    # warm: [new, d], d is to be found. later: [new, c, b, d] without b. last: a and b are equally popular.
    assert found.per_user("mrr@2")[:2].tolist() == [0.5, 0.0]
    assert found.sources() == {"user": 1, "history": 1, "popularity": 2}
    assert (found.n_cold, found.n_left_out) == (3, 0)
    apart = found.warm_and_cold()
    assert (apart["warm"].n_users, apart["cold"].n_users) == (1, 3)
    assert apart["warm"].means()["mrr@2"] == 0.5
    assert apart["cold"].means()["mrr@2"] == found.per_user("mrr@2")[1:].mean()
    assert apart["cold"].sources() == {"user": 0, "history": 1, "popularity": 2}


def test_without_cold_users_nothing_is_apart():
    seen = rows((0, 0), (1, 1), (2, 2), (3, 3))
    found = evaluate_ranker(UserScorer.of_log(RANKER, seen), PARTS.test, seen, "recall@1")
    assert (found.n_cold, found.warm_and_cold()) == (0, {})
    assert evaluate_ranker(RANKER, PARTS.test, PARTS.train, "recall@1").warm_and_cold() == {}


def random_log(n_users, n_items, n_pairs, users, seed):
    rng = np.random.default_rng(seed)
    names = Vocabulary.numbered(n_users), Vocabulary.numbered(n_items)
    return Interactions.from_pairs(rng.choice(users, n_pairs), rng.integers(0, n_items, n_pairs), *names)


@pytest.mark.parametrize("kernel", ["auto", "torch", "numba"])
def test_the_lists_of_users_with_training_rows_keep_their_bits(kernel):
    """Also where the other users are so many that the kernel would be another one without them."""
    n_users, n_items, warm = 3000, 1500, np.arange(0, 3000, 3)
    rng = np.random.default_rng(1)
    train, later = random_log(n_users, n_items, 9000, warm, 2), random_log(n_users, n_items, 4000, np.arange(2500), 3)
    tables = (rng.normal(size=(n, 64)).astype("f4") for n in (n_users, n_items))
    ranker, known = EmbeddingRanker(*tables), train.union(later)
    scorer, everybody = UserScorer.of_log(ranker, train, known), rng.permutation(n_users)
    alone, all_of_them = (top_k(one, everybody, 9, seen=known, kernel=kernel) for one in (ranker, scorer))
    trained = train.user_counts[everybody] > 0
    assert np.array_equal(alone.items[trained], all_of_them.items[trained])
    assert np.array_equal(alone.scores[trained], all_of_them.scores[trained])
    history = scorer.source[everybody] == HISTORY
    folded = top_k(HistoryRanker(ranker, known.csr()), everybody, 9, seen=known)
    # Some items of a history may have no training row here.
    whole = history & np.array([(train.item_counts[known.items_of(u)] > 0).all() for u in everybody])
    assert whole.sum() > 500
    assert np.array_equal(folded.items[whole], all_of_them.items[whole])
    popular = top_k(Popularity().fit(train), everybody, 9, seen=known)
    rest = scorer.source[everybody] == POPULARITY
    assert rest.sum() > 300
    assert np.array_equal(popular.items[rest], all_of_them.items[rest])


@pytest.fixture(scope="module")
def by_time() -> Recommender:
    """Popularity is last in the world of this log: users like items of their parity; late users come at the end."""
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(60), 10)
    item = np.concatenate([rng.choice(np.arange(u % 2, 40, 2), 10, replace=False) for u in range(60)])
    time = user * 100.0 + np.tile(np.arange(10), 60)
    log = Interactions.from_pairs(user, item, time=time)
    return Recommender("mf", "sl", split="time", epochs=15, negatives="uniform:16", batch_size=64, lr=0.05).fit(log)


def test_a_recommender_split_by_time(by_time):
    found = by_time.evaluate("test", ["recall@10"])
    assert found.sources() == {"user": 0, "history": 0, "popularity": 6}
    assert by_time.best.metrics["ndcg@20"] == by_time.evaluate("valid", ["ndcg@20"]).means()["ndcg@20"]
    popular = Popularity().fit(by_time.split.train)
    parts = by_time.split
    expected = evaluate_ranker(popular, parts.test, parts.known("test"), ["recall@10"])
    assert np.array_equal(found.numerator, expected.numerator)


def test_recommendations_use_all_rows_of_the_log_and_say_so(by_time):
    lists = by_time.recommend(["0", "59"], k=5)
    assert lists.source == ["user"] * 5 + ["history"] * 5
    assert lists.to_frame()["from"].to_list() == lists.source
    had = by_time.items.decode(by_time.split.test.items_of(59))
    alone = by_time.recommend_from_history(had, k=5)
    assert lists.item[5:] == alone.item
    assert lists.score[5:].tolist() == alone.score.tolist()
    assert alone.source == ["history"] * 5
    assert [int(item) % 2 for item in lists.item[5:]] == [1] * 5


def test_a_history_of_untrained_items_alone_gives_popular_items():
    log = Interactions.from_pairs([0, 0, 1, 1, 2], [0, 1, 0, 2, 3])
    parts = Split(log.take([0, 1, 2, 3]), log.take([]), log.take([4]), "time")
    model = Recommender(model="ease").fit(parts)
    lists = model.recommend_from_history([["3"], ["0", "3"]], k=2)
    assert lists.source == ["popularity"] * 2 + ["history"] * 2
    assert lists.item[0] == "0"
    assert model.recommend("2", k=1).source == ["popularity"]


@pytest.mark.parametrize("model", ["popularity", "itemknn", "ease", "ials"])
def test_closed_forms_fold_in(model):
    made = Recommender(model=model).fit("planted")
    assert made.ranker.folds_in
    train, known = made.split.train, made.split.train
    folded = UserScorer.of_histories(made.ranker, train, known).block(np.arange(train.n_users))
    np.testing.assert_allclose(folded, made.ranker.block(np.arange(train.n_users)), rtol=1e-4, atol=1e-5)


def test_two_tables_do_not_fold_in():
    assert not RANKER.folds_in
