"""Accuracy and exposure by groups of items and of users, from one pass over the top-K lists of a model.

Notation: n users u with R_u > 0 held-out items; a list has the ranks r = 1..K; hit_ur is 1 where rank r holds a
held-out item of u; d_r = 1 / log2(r + 1); ideal_u = sum of d_r over r = 1..min(K, R_u).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.statistics import gini
from taurec.errors import UsageError
from taurec.evaluation.metrics import Metric, ratio
from taurec.evaluation.ranking import USERS_AT_ONCE, Evaluation, hits_of, top_k
from taurec.evaluation.significance import Interval, bootstrap_all, bootstrap_difference, bootstrap_means
from taurec.ranker import Ranker
from taurec.studies.audit.fairness.exposure import coverage, entropy, relative_spread, spearman, tail_items
from taurec.studies.audit.fairness.groups import Groups, activity_groups, popularity_groups
from taurec.studies.audit.fairness.served import ItemGroup, UserDivision, UserGroup

Values = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fairness:
    """Accuracy and exposure of one model, in total and by group.

    Attributes:
        k: length of the lists.
        n_users: users with held-out items, over whose lists everything here is.
        recall, ndcg: of all of them, with 95 % bootstrap intervals.
        items: groups of items, least popular first.
        users: divisions of the users.
        coverage: share of the catalogue that is in at least one list.
        gini: inequality of the exposure counts of all I items, 0 (equal) to 1 - 1/I
            (:func:`taurec.data.statistics.gini`).
        entropy: of the exposure shares, in bits, 0 to log2(I).
        average_popularity: ARP, mean over users of the mean training count of a list's items, in interactions.
        tail_share: APLT, mean over users of the share of a list's items in the long tail.
        test_tail_share: mean over users of the share of their held-out items in the long tail: what APLT would be
            if lists had the tail share of the items that users did choose.
        popularity_exposure: Spearman's correlation over the catalogue between training count and exposure count.
        reo: population standard deviation over mean of the groups' ``found``; groups without held-out items left out.
        rsp: the same of ``listed``; groups without candidates left out.
        exposure: [I] in how many lists each item is.
        evaluated: [n] indices of the users.
        user_tail_share, user_popularity: [n] the terms of APLT and ARP; NaN for an empty list.
    """

    k: int
    n_users: int
    recall: Interval
    ndcg: Interval
    items: tuple[ItemGroup, ...]
    users: tuple[UserDivision, ...]
    coverage: float
    gini: float
    entropy: float
    average_popularity: float
    tail_share: float
    test_tail_share: float
    popularity_exposure: float
    reo: float
    rsp: float
    exposure: Index = field(repr=False)
    evaluated: Index = field(repr=False)
    user_tail_share: Values = field(repr=False)
    user_popularity: Values = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Everything but the arrays, as plain values."""
        plain = {name: getattr(self, name) for name in GLOBAL}
        return {
            "k": self.k,
            "users": self.n_users,
            f"recall@{self.k}": asdict(self.recall),
            f"ndcg@{self.k}": asdict(self.ndcg),
            **plain,
            "item_groups": [asdict(g) for g in self.items],
            "user_groups": [
                {
                    "by": division.what,
                    "groups": [asdict(g) for g in division.groups],
                    "users_without": division.n_without,
                    "worst": division.worst.name if division.worst else None,
                    "gap": asdict(division.gap),
                    "apart": division.apart,
                }
                for division in self.users
            ],
        }


GLOBAL = (
    "coverage", "gini", "entropy", "average_popularity", "tail_share", "test_tail_share", "popularity_exposure",
    "reo", "rsp",
)  # fmt: skip
"""The measures of a whole model, in the order they are shown."""
UNKNOWN = Interval(float("nan"), None, None)


def fairness(
    ranker: Ranker,
    relevant: Interactions,
    train: Interactions,
    seen: Interactions | None = None,
    k: int = 20,
    *,
    items: Groups | None = None,
    users: Sequence[Groups] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Fairness:
    """Measure a model's lists by group.

    Args:
        ranker: the model.
        relevant: held-out pairs; users without any are left out.
        train: what popularity and activity are counted in.
        seen: pairs whose items are left out of a user's candidates; ``train`` if not given.
        k: length of the lists.
        items: groups of items; ten by popularity if not given. Items in no group belong to the totals only.
        users: divisions of the users; five groups by activity if not given.
        seed, resamples: of the bootstrap.
    Raises: UsageError where no user has a held-out item, or groups are of another log.
    Source: contributions as in the evaluation of SGL (Wu et al., SIGIR 2021), by Recall@K there and in the BSL
        authors' code; ARP and APLT: Abdollahpouri et al., FLAIRS 2019; REO and RSP: Zhu, Wang and Caverlee, SIGIR
        2020, the standard deviation with n in the divisor as in Elliot.

    >>> from taurec.ranker import EmbeddingRanker
    >>> train = Interactions.from_pairs([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 2, 3])
    >>> test = Interactions.from_pairs([0, 1], [2, 3], train.users, train.items)
    >>> ranker = EmbeddingRanker(np.ones((3, 1), "f4"), np.array([[4], [1], [3], [2]], "f4"))
    >>> found = fairness(ranker, test, train, k=1, items=popularity_groups(train, 2))
    >>> found.recall.mean, [g.recall.mean for g in found.items], found.coverage
    (1.0, [1.0, 0.0], 0.5)
    """
    items = popularity_groups(train) if items is None else items
    users = (activity_groups(train),) if users is None else tuple(users)
    seen = train if seen is None else seen
    _same_log(ranker, relevant, train, items, users)
    in_tail = tail_items(train)
    tally = _Tally(items, train.item_counts, in_tail, k)
    who = np.flatnonzero(relevant.user_counts)
    if not len(who):
        raise UsageError("no user has a held-out item; hold some interactions out to measure fairness on")
    for start in range(0, len(who), USERS_AT_ONCE):
        part = who[start : start + USERS_AT_ONCE]
        lists = top_k(ranker, part, k, seen=seen, item_ids=relevant.items).items
        tally.add(lists, hits_of(lists, part, relevant), relevant.user_counts[part])
    metrics = (Metric("recall", k), Metric("ndcg", k))
    evaluation = Evaluation(
        metrics, who, *tally.terms(), relevant.n_users - len(who), int((seen.user_counts[who] == 0).sum())
    )
    total = bootstrap_all(evaluation, seed=seed, resamples=resamples)
    tail, popularity = np.concatenate(tally.tail), np.concatenate(tally.popularity)
    groups = _item_groups(tally, items, relevant, seen, who, seed, resamples)
    return Fairness(
        k=k,
        n_users=len(who),
        recall=total[f"recall@{k}"],
        ndcg=total[f"ndcg@{k}"],
        items=groups,
        users=tuple(_division(evaluation, groups_of, seed, resamples) for groups_of in users),
        coverage=coverage(tally.exposure),
        gini=gini(tally.exposure),
        entropy=entropy(tally.exposure),
        average_popularity=_mean(popularity),
        tail_share=_mean(tail),
        test_tail_share=_relevant_share(relevant, who, in_tail),
        popularity_exposure=spearman(train.item_counts, tally.exposure),
        reo=relative_spread([g.found for g in groups]),
        rsp=relative_spread([g.listed for g in groups]),
        exposure=tally.exposure,
        evaluated=who,
        user_tail_share=tail,
        user_popularity=popularity,
    )


class _Tally:
    """Sums over blocks of lists; nothing of size users x items."""

    def __init__(self, groups: Groups, popularity: Index, in_tail: NDArray[np.bool_], k: int):
        self.k, self.n_groups = k, len(groups.names)
        self._of, self._popularity, self._in_tail = groups.of, popularity, in_tail
        self._discount = 1.0 / np.log2(np.arange(2.0, k + 2.0))
        self.exposure = np.zeros(len(popularity), dtype=np.int64)
        self.slots, self.discounted = np.zeros(self.n_groups), np.zeros(self.n_groups)
        self.all_discounted = 0.0
        self.hits = np.zeros(self.n_groups)
        self.recall: list[Values] = []
        self.ndcg: list[Values] = []
        self.tail: list[Values] = []
        self.popularity: list[Values] = []
        self._terms: list[tuple[NDArray[np.bool_], Index]] = []

    def add(self, lists: Index, hits: NDArray[np.bool_], n_relevant: Index) -> None:
        """Lists [u, k] of users, which of their slots are hits, and how many relevant items each user has."""
        self._terms.append((hits, n_relevant))
        filled = lists >= 0
        at = np.where(filled, lists, 0)
        length = filled.sum(1)
        self.popularity.append(ratio((self._popularity[at] * filled).sum(1), length))
        self.tail.append(ratio((self._in_tail[at] & filled).sum(1), length))
        self.exposure += np.bincount(lists[filled], minlength=len(self.exposure))
        rank_weight = np.broadcast_to(self._discount, lists.shape)
        self.all_discounted += float(rank_weight[filled].sum())
        group = np.where(filled, self._of[at], -1)
        self.slots += self._by_group(group, group >= 0)
        self.discounted += self._by_group(group, group >= 0, rank_weight)
        ideal = np.cumsum(self._discount)[np.minimum(n_relevant, self.k) - 1]
        in_group = hits & (group >= 0)
        self.hits += self._by_group(group, in_group)
        self.recall.append(self._by_user(group, in_group, np.ones(lists.shape)) / n_relevant[:, None])
        self.ndcg.append(self._by_user(group, in_group, rank_weight) / ideal[:, None])

    def terms(self) -> tuple[Values, Values]:
        """Numerators and denominators [n, 2] of recall@k and ndcg@k."""
        columns = [
            [Metric(name, self.k).terms(hits, counts) for hits, counts in self._terms] for name in ("recall", "ndcg")
        ]
        both = [[np.concatenate([t[side] for t in parts]) for parts in columns] for side in (0, 1)]
        return np.stack(both[0], axis=1), np.stack(both[1], axis=1)

    def _by_group(self, group: Index, where: NDArray[np.bool_], weight: Values | None = None) -> Values:
        counted = np.bincount(group[where], weights=None if weight is None else weight[where], minlength=self.n_groups)
        return counted.astype(np.float64)

    def _by_user(self, group: Index, where: NDArray[np.bool_], weight: Values) -> Values:
        """[u, G] the weights of each user's list positions in each group."""
        cell = np.arange(len(group))[:, None] * self.n_groups + group
        counted = np.bincount(cell[where], weights=weight[where], minlength=len(group) * self.n_groups)
        return counted.reshape(len(group), self.n_groups).astype(np.float64)


def _item_groups(
    tally: _Tally,
    groups: Groups,
    relevant: Interactions,
    seen: Interactions,
    who: Index,
    seed: int,
    resamples: int,
) -> tuple[ItemGroup, ...]:
    n, n_groups = len(who), len(groups.names)
    held = groups.of[relevant.indices]
    inside = held >= 0
    relevant_in = np.bincount(held[inside], minlength=n_groups)
    share = np.bincount(held[inside], weights=1.0 / relevant.user_counts[relevant.user_of[inside]], minlength=n_groups)
    judged = np.zeros(relevant.n_users, dtype=bool)
    judged[who] = True
    known = groups.of[seen.indices[judged[seen.user_of]]]
    candidates = groups.sizes * n - np.bincount(known[known >= 0], minlength=n_groups)
    found, listed = ratio(tally.hits, relevant_in), ratio(tally.slots, candidates)
    exposure = ratio(tally.slots, tally.exposure.sum())
    discounted = ratio(tally.discounted, tally.all_discounted)
    parts = np.concatenate([np.concatenate(tally.recall), np.concatenate(tally.ndcg)], axis=1)
    contributions = bootstrap_means(parts, seed=seed, resamples=resamples)
    return tuple(
        ItemGroup(
            name,
            int(groups.sizes[g]),
            float(groups.shares[g]),
            float(share[g] / n),
            contributions[g],
            contributions[n_groups + g],
            float(exposure[g]),
            float(discounted[g]),
            float(found[g]),
            float(listed[g]),
        )
        for g, name in enumerate(groups.names)
    )


def _division(evaluation: Evaluation, groups: Groups, seed: int, resamples: int) -> UserDivision:
    of = groups.of[evaluation.users]
    parts = [evaluation.part(of == g) for g in range(len(groups.names))]
    made = []
    for part, name in zip(parts, groups.names, strict=True):
        found: Mapping[str, Interval] = {str(m): UNKNOWN for m in evaluation.metrics}
        if part.n_users:
            found = bootstrap_all(part, seed=seed, resamples=resamples)
        recall, ndcg = found.values()
        made.append(UserGroup(name, part.n_users, recall, ndcg))
    division = UserDivision(groups.what, tuple(made), UNKNOWN, int((of < 0).sum()))
    if division.worst is None or division.best is None:
        return division
    best, worst = (parts[made.index(group)] for group in (division.best, division.worst))
    gap = bootstrap_difference(best, worst, evaluation.metrics[1], seed=seed, resamples=resamples)
    return replace(division, gap=gap)


def _relevant_share(relevant: Interactions, who: Index, marked: NDArray[np.bool_]) -> float:
    """Mean over users of the share of their relevant items that are marked."""
    of = np.bincount(relevant.user_of, weights=marked[relevant.indices], minlength=relevant.n_users)
    return float((of[who] / relevant.user_counts[who]).mean())


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _same_log(
    ranker: Ranker, relevant: Interactions, train: Interactions, items: Groups, users: Sequence[Groups]
) -> None:
    if relevant.users != train.users or relevant.items != train.items:
        raise UsageError("the held-out pairs have other users or items than the training pairs; cut both from one log")
    if len(items.of) != ranker.n_items or any(len(g.of) != ranker.n_users for g in users):
        sizes = f"{len(items.of)} items and {', '.join(str(len(g.of)) for g in users) or 'no'} users"
        raise UsageError(
            f"the groups are of {sizes}, the ranker has {ranker.n_items} items and {ranker.n_users} users; "
            "make the groups from the log the model was fitted to"
        )
