import math

import numpy as np
import pytest

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.evaluation.metrics import Metric
from taurec.evaluation.ranking import evaluate_ranker, top_k
from taurec.evaluation.significance import Interval
from taurec.ranker import EmbeddingRanker, ScoresRanker
from taurec.studies.audit.fairness.groups import Groups, attribute_groups, popularity_groups
from taurec.studies.audit.fairness.measures import fairness

D = 1 / math.log2(3)  # the discount of rank 2


@pytest.fixture(scope="module")
def by_hand():
    """Item 0 has 13 of 16 training interactions, items 1 to 3 one each, item 4 none; two users are judged.

    User 0 has 0 and 2, went for 1 and 4, and gets 3, 4. User 1 has 1, went for 0 and 2, and gets 0, 3.
    """
    users, items = Vocabulary.numbered(14), Vocabulary.numbered(5)
    train = Interactions.from_pairs([0, *range(2, 14), 1, 0, 2], [0] * 13 + [1, 2, 3], users, items)
    test = Interactions.from_pairs([0, 0, 1, 1], [1, 4, 0, 2], users, items)
    scores = np.zeros((14, 5), dtype=np.float32)
    scores[0] = [9, 1, 9, 3, 2]
    scores[1] = [5, 9, 1, 4, 2]
    return fairness(
        ScoresRanker(scores),
        test,
        train,
        k=2,
        items=popularity_groups(train, 2),
        users=[attribute_groups(train, "land", ["0", "1", "2"], ["fi", "no", "se"])],
    )


def test_contributions(by_hand):
    rare, popular = by_hand.items
    assert (rare.items, popular.items) == (4, 1)
    assert (rare.train_share, popular.train_share) == (3 / 16, 13 / 16)
    assert (rare.test_share, popular.test_share) == (0.75, 0.25)
    assert (rare.recall.mean, popular.recall.mean) == (0.25, 0.25)
    assert by_hand.recall.mean == 0.5
    assert rare.ndcg.mean == pytest.approx(D / (1 + D) / 2, abs=1e-15)
    assert popular.ndcg.mean == pytest.approx(1 / (1 + D) / 2, abs=1e-15)
    assert by_hand.ndcg.mean == pytest.approx(0.5, abs=1e-15)


def test_exposure(by_hand):
    rare, popular = by_hand.items
    assert by_hand.exposure.tolist() == [1, 0, 0, 2, 1]
    assert (rare.exposure, popular.exposure) == (0.75, 0.25)
    assert rare.discounted_exposure == pytest.approx((1 + 2 * D) / (2 + 2 * D), abs=1e-15)
    assert popular.discounted_exposure == pytest.approx(1 / (2 + 2 * D), abs=1e-15)
    assert by_hand.coverage == 0.6
    assert by_hand.gini == 0.5  # (0*1 + 2*1 + 4*2) / (5 * 4), after -4*0 and -2*0
    assert by_hand.entropy == 1.5
    assert by_hand.popularity_exposure == 0  # ranks 5 3 3 3 1 and 3.5 1.5 1.5 5 3.5


def test_popularity_of_the_lists(by_hand):
    assert by_hand.user_popularity.tolist() == [0.5, 7]
    assert by_hand.average_popularity == 3.75
    assert by_hand.user_tail_share.tolist() == [1, 0.5]
    assert by_hand.tail_share == 0.75
    assert by_hand.test_tail_share == 0.75


def test_equal_opportunity_and_parity(by_hand):
    rare, popular = by_hand.items
    assert (rare.found, popular.found) == (1 / 3, 1.0)
    assert by_hand.reo == pytest.approx(0.5)  # (1/3) / (2/3)
    assert (rare.listed, popular.listed) == (3 / 6, 1 / 1)  # user 0 has item 0 already
    assert by_hand.rsp == pytest.approx(1 / 3)  # (1/4) / (3/4)


def test_users(by_hand):
    (division,) = by_hand.users
    assert [g.users for g in division.groups] == [1, 1, 0]
    assert division.groups[0].recall == Interval(0.5, None, None)
    assert math.isnan(division.groups[2].ndcg.mean)
    assert division.worst is division.groups[0]  # D / (1 + D) is below 1 / (1 + D)
    assert division.gap.mean == pytest.approx((1 - D) / (1 + D), abs=1e-15)
    assert division.gap.low is None
    assert not division.apart  # one user a group: no interval
    assert division.n_without == 0


def test_the_document_is_plain(by_hand):
    import json

    content = json.loads(json.dumps(by_hand.document()))
    assert content["recall@2"]["mean"] == 0.5
    measures = ["coverage", "gini", "entropy", "average_popularity", "tail_share", "test_tail_share"]
    measures += ["popularity_exposure", "reo", "rsp"]
    assert list(content)[2:] == ["recall@2", "ndcg@2", *measures, "item_groups", "user_groups"]
    assert content["user_groups"][0]["worst"] == "fi"
    assert [g["exposure"] for g in content["item_groups"]] == [0.75, 0.25]


PARTS = split(planted(n_users=150, n_items=80, seed=5).log, seed=1)
SEEN = PARTS.train.union(PARTS.valid)


def noise(seed=0, levels=None):
    """A ranker of random scores; few levels make ties."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(PARTS.train.n_users, PARTS.train.n_items))
    return ScoresRanker((scores if levels is None else np.floor(scores * levels)).astype(np.float32))


@pytest.mark.parametrize("k", [1, 5, 20, 200])
@pytest.mark.parametrize("levels", [None, 1])
def test_contributions_add_up(k, levels):
    found = fairness(noise(levels=levels), PARTS.test, PARTS.train, SEEN, k, resamples=2)
    means = evaluate_ranker(noise(levels=levels), PARTS.test, SEEN, f"recall@{k},ndcg@{k}").means()
    assert sum(g.recall.mean for g in found.items) == pytest.approx(means[f"recall@{k}"], abs=1e-12)
    assert sum(g.ndcg.mean for g in found.items) == pytest.approx(means[f"ndcg@{k}"], abs=1e-12)
    assert found.recall.mean == means[f"recall@{k}"]
    assert found.ndcg.mean == means[f"ndcg@{k}"]
    for share in ("train_share", "test_share", "exposure", "discounted_exposure"):
        assert sum(getattr(g, share) for g in found.items) == pytest.approx(1, abs=1e-12), share


def test_groups_of_users_add_up():
    found = fairness(noise(), PARTS.test, PARTS.train, SEEN, 10, resamples=2)
    (division,) = found.users
    assert sum(g.users for g in division.groups) == found.n_users
    assert sum(g.users * g.ndcg.mean for g in division.served) / found.n_users == pytest.approx(
        found.ndcg.mean, abs=1e-12
    )


def test_a_slow_loop_says_the_same():
    k, groups = 7, popularity_groups(PARTS.train, 4)
    found = fairness(noise(3), PARTS.test, PARTS.train, SEEN, k, items=groups, resamples=2)
    users = [u for u in range(PARTS.test.n_users) if PARTS.test.user_counts[u]]
    lists = top_k(noise(3), users, k, seen=SEEN, item_ids=SEEN.items).items.tolist()
    for g, group in enumerate(found.items):
        recall = ndcg = exposure = discounted = 0.0
        candidates = hits = relevant = 0
        for user, row in zip(users, lists, strict=True):
            wanted = set(PARTS.test.items_of(user).tolist())
            ideal = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(wanted)) + 1))
            relevant += sum(groups.of[i] == g for i in wanted)
            candidates += sum(groups.of[i] == g for i in set(range(80)) - set(SEEN.items_of(user).tolist()))
            for rank, item in enumerate(row, start=1):
                if groups.of[item] != g:
                    continue
                exposure += 1
                discounted += 1 / math.log2(rank + 1)
                hits += item in wanted
                recall += (item in wanted) / len(wanted)
                ndcg += (item in wanted) / math.log2(rank + 1) / ideal
        n = len(users)
        all_discounted = n * sum(1 / math.log2(r + 1) for r in range(1, k + 1))
        assert group.recall.mean == pytest.approx(recall / n, abs=1e-12)
        assert group.ndcg.mean == pytest.approx(ndcg / n, abs=1e-12)
        assert group.exposure == pytest.approx(exposure / (n * k), abs=1e-12)
        assert group.discounted_exposure == pytest.approx(discounted / all_discounted, abs=1e-12)
        assert group.found == pytest.approx(hits / relevant, abs=1e-12)
        assert group.listed == pytest.approx(exposure / candidates, abs=1e-12)


def test_intervals_of_contributions_by_a_slow_loop():
    """Users drawn again and again by the same draws, each group's hits counted anew."""
    k, seed, groups = 5, 3, popularity_groups(PARTS.train, 2)
    found = fairness(noise(3), PARTS.test, PARTS.train, SEEN, k, items=groups, seed=seed, resamples=40)
    users = [u for u in range(PARTS.test.n_users) if PARTS.test.user_counts[u]]
    lists = top_k(noise(3), users, k, seen=SEEN, item_ids=SEEN.items).items.tolist()
    recall = []
    for user, row in zip(users, lists, strict=True):
        wanted = set(PARTS.test.items_of(user).tolist())
        recall.append(sum(item in wanted and groups.of[item] == 1 for item in row) / len(wanted))
    drawn = draw.integers(draw.key(seed, "bootstrap"), np.arange(40), len(users), columns=len(users))
    low, high = np.quantile([np.mean([recall[n] for n in one]) for one in drawn], [0.025, 0.975])
    assert found.items[1].recall.low == pytest.approx(low, abs=1e-12)
    assert found.items[1].recall.high == pytest.approx(high, abs=1e-12)
    assert low < found.items[1].recall.mean < high


def test_popularity_alone_is_the_least_fair_list():
    popular = ScoresRanker(np.tile(PARTS.train.item_counts.astype(np.float32), (PARTS.train.n_users, 1)))
    by_popularity = fairness(popular, PARTS.test, PARTS.train, SEEN, 10, resamples=2)
    at_random = fairness(noise(), PARTS.test, PARTS.train, SEEN, 10, resamples=2)
    assert by_popularity.tail_share < at_random.tail_share
    assert by_popularity.gini > at_random.gini
    assert by_popularity.coverage < at_random.coverage
    assert by_popularity.popularity_exposure > 0.5 > at_random.popularity_exposure
    assert by_popularity.average_popularity > at_random.average_popularity


def test_a_gap_that_is_there_is_told_and_one_that_is_not_is_not():
    """Half of the users get their held-out items first, the others get them last; then all get them first."""
    scores = np.zeros((PARTS.train.n_users, PARTS.train.n_items), dtype=np.float32)
    scores[PARTS.test.user_of, PARTS.test.indices] = 1
    lucky = np.arange(PARTS.train.n_users) % 2
    groups = Groups("luck", lucky, ("out", "in"), np.bincount(lucky, weights=PARTS.train.user_counts).astype(np.int64))
    unfair = fairness(
        ScoresRanker(scores * np.where(lucky, 1, -1)[:, None].astype(np.float32)),
        PARTS.test, PARTS.train, SEEN, 5, users=[groups],
    )  # fmt: skip
    (division,) = unfair.users
    assert division.worst is division.groups[0]
    assert division.apart
    assert division.gap == Interval(1.0, 1.0, 1.0)
    (equal,) = fairness(ScoresRanker(scores), PARTS.test, PARTS.train, SEEN, 5, users=[groups]).users
    assert equal.gap.mean < 1e-12
    assert not equal.apart


def test_short_lists_and_the_same_bits_twice():
    first, second = (fairness(noise(), PARTS.test, PARTS.train, SEEN, 500, resamples=50) for _ in range(2))
    assert first.document() == second.document()
    assert first.exposure.max() <= first.n_users
    assert Metric("recall", 500).k == first.k
    assert first.recall.mean == 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fairness(noise(), PARTS.test.take([]), PARTS.train), "no user has a held-out item"),
        (
            lambda: fairness(noise(), Interactions.from_pairs([0], [1]), PARTS.train),
            "other users or items than the training pairs",
        ),
        (
            lambda: fairness(EmbeddingRanker(np.ones((3, 1)), np.ones((2, 1))), PARTS.test, PARTS.train),
            "the ranker has 2 items and 3 users",
        ),
        (lambda: fairness(noise(), PARTS.test, PARTS.train, k=0), "k must be a whole number of at least 1"),
    ],
)
def test_wrong_requests(call, said):
    with pytest.raises(UsageError, match=said):
        call()
