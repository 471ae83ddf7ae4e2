"""Laws of a whole recommender: fit, save, load, recommend, fold in and evaluate on a planted log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.recommender import Recommendations, Recommender
from taurec.run import Run
from taurec.testing.laws import Exceptions, Laws, require, require_refused

K = 5


class RecommenderCase:
    """A way to make a recommender; it is fitted once for all laws.

    Args:
        make: returns a new unfitted recommender.
    """

    def __init__(self, make: Callable[[], Recommender]) -> None:
        self.make = make
        self.log: Interactions = planted(n_users=60, n_items=40, seed=1).log

    @cached_property
    def fitted(self) -> Recommender:
        """The recommender fitted to the planted log."""
        return self.make().fit(self.log)


def check_recommender(make: Callable[[], Recommender], *, exceptions: Exceptions = ()) -> None:
    """Check that a recommender can be fitted, saved, loaded, asked and evaluated.

    It is fitted to a planted log of 60 users and 40 items; set ``epochs`` low.

    Args:
        make: returns a new unfitted recommender, for example ``lambda: Recommender("mf", "sl", epochs=2)``.
        exceptions: pairs (law, reason) for laws that it breaks on purpose; an exception that is not needed is an error.
    Raises: AssertionError naming every broken law.

    >>> check_recommender(lambda: Recommender(model="ease"))
    """
    RECOMMENDER_LAWS.check(RecommenderCase(make), exceptions)


RECOMMENDER_LAWS: Laws[RecommenderCase] = Laws("recommender")
law = RECOMMENDER_LAWS.law


@law("fitted twice, it has the same scores to the bit")
def _same_scores(case: RecommenderCase) -> None:
    users = np.arange(case.log.n_users)
    again = case.make().fit(case.log)
    np.testing.assert_array_equal(again.ranker.block(users), case.fitted.ranker.block(users))


@law("its run can be written and read back")
def _run_round_trip(case: RecommenderCase) -> None:
    run = case.fitted.run
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        file.write_text(run.to_json(), encoding="utf-8")
        require(Run.from_json(file).to_json() == run.to_json(), "the run read back is another one")


@law("before it is fitted, it says that fit comes first")
def _before_fitting(case: RecommenderCase) -> None:
    model = case.make()
    require_refused(lambda: model.recommend("0"), "not fitted yet; call fit")
    require_refused(model.evaluate, "not fitted yet; call fit")


@law("saved and loaded, it gives the same scores, lists and metrics")
def _saved_and_loaded(case: RecommenderCase) -> None:
    model, users = case.fitted, np.arange(case.log.n_users)
    with tempfile.TemporaryDirectory() as folder:
        loaded = Recommender.load(model.save(Path(folder) / "model"))
    np.testing.assert_array_equal(loaded.ranker.block(users), model.ranker.block(users))
    require(loaded.run.to_json() == model.run.to_json(), "the run of the loaded model is another one")
    require(loaded.recommend(k=K).item == model.recommend(k=K).item, "the loaded model recommends other items")
    require(loaded.evaluate().means() == model.evaluate().means(), "the loaded model has other metrics")


@law("a list has distinct unseen items, best first")
def _lists(case: RecommenderCase) -> None:
    found = case.fitted.recommend(k=K)
    users = case.log.users.ids.to_list()
    seen = [set(case.log.items.decode(case.log.items_of(n))) for n in range(len(users))]
    for user, had in zip(users, seen, strict=True):
        items = _list_of(found, user)
        require(len(items) == min(K, case.log.n_items - len(had)), f"the list of user {user} has {len(items)} items")
        require(not had & set(items), f"the list of user {user} has an item that the user knows")


@law("only and without choose the candidates")
def _candidates(case: RecommenderCase) -> None:
    user, items = "0", case.log.items.ids.to_list()
    half = items[: len(items) // 2]
    chosen = case.fitted.recommend(user, k=len(items), only=half, filter_seen=False)
    require(set(chosen.item) == set(half), "the list is not of the items given as only")
    rest = case.fitted.recommend(user, k=len(items), without=half, filter_seen=False)
    require(set(rest.item) == set(items) - set(half), "the list is not of the items beside those given as without")


@law("an unknown user or item is refused")
def _unknown_ids(case: RecommenderCase) -> None:
    require_refused(lambda: case.fitted.recommend("nobody"), "unknown user 'nobody'")
    require_refused(lambda: case.fitted.recommend_from_history(["nothing"]), "unknown item 'nothing'")


@law("a history gives a list without the items of the history")
def _histories(case: RecommenderCase) -> None:
    history = case.log.items.ids.to_list()[:3]
    found = case.fitted.recommend_from_history([history, history[:1]], k=K)
    for person, given in (("0", history), ("1", history[:1])):
        items = _list_of(found, person)
        require(len(items) == K, f"the list has {len(items)} items, expected {K}")
        require(not set(given) & set(items), "the list has an item of the history")
    again = case.fitted.recommend_from_history(history, k=K)
    require(again.item == _list_of(found, "0"), "a history has another list alone than among others")


@law("its metrics are between 0 and 1 on validation and test, also for users known by their history alone")
def _metrics(case: RecommenderCase) -> None:
    names = ["recall@5", "ndcg@5", "hit_rate@5"]
    for part in ("valid", "test"):
        for evaluation in (case.fitted.evaluate(part, names), case.fitted.evaluate_from_history(part, names)):
            means = evaluation.means()
            require(list(means) == names, f"asked for {names}, got {list(means)}")
            require(all(0 <= value <= 1 for value in means.values()), f"a metric is outside 0..1: {means}")


def _list_of(found: Recommendations, user: str) -> list[str]:
    """The items of one user's list, after a look at its ranks, scores and repeats."""
    rows = [n for n, name in enumerate(found.user) if name == user]
    items = [found.item[n] for n in rows]
    scores = found.score[rows]
    require(found.rank[rows].tolist() == list(range(1, len(rows) + 1)), f"ranks of user {user} are not 1, 2, ...")
    require(np.isfinite(scores).all(), f"a score of user {user} is not finite")
    require((np.diff(scores) <= 0).all(), f"the list of user {user} is not sorted by score")
    require(len(set(items)) == len(items), f"the list of user {user} repeats an item")
    return items
