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
from taurec.ranker import BlockScorer
from taurec.studies.audit.fairness.exposure import coverage, entropy, known_mean, relative_spread, spearman, tail_items
from taurec.studies.audit.fairness.groups import Groups, activity_groups, popularity_groups

Values = NDArray[np.float64]
Index = NDArray[np.int64]


UNKNOWN = Interval(float("nan"), None, None)


@dataclass(frozen=True)
class ItemGroup:
    """Accuracy and exposure of a group of items, in the notation above.

    Attributes:
        name: the group.
        items: its members.
        train_share: its share of the training interactions.
        test_share: (1/n) sum_u (held-out items of u in the group) / R_u: its contribution to a recall of 1.
        recall: (1/n) sum_u (hits of u in the group) / R_u; over the groups it adds up to recall@K. With its 95 %
            bootstrap interval over users.
        ndcg: (1/n) sum_u (sum of d_r over hits in the group) / ideal_u; it adds up to ndcg@K. With its interval.
        exposure: its share of all list positions.
        discounted_exposure: the same with position r counted as d_r.
        found: hits in the group over held-out items in the group, all users together: P(in list | group, relevant).
        listed: list positions of the group over candidates in the group, all users together: P(in list | group).
    """

    name: str
    items: int
    train_share: float
    test_share: float
    recall: Interval
    ndcg: Interval
    exposure: float
    discounted_exposure: float
    found: float
    listed: float


@dataclass(frozen=True)
class UserGroup:
    """Accuracy for a group of users.

    ``recall`` and ``ndcg`` are means over its ``users`` evaluated members, with 95 % bootstrap intervals; NaN for a
    group without any.
    """

    name: str
    users: int
    recall: Interval
    ndcg: Interval


@dataclass(frozen=True)
class UserDivision:
    """The groups of users by one property.

    Attributes:
        what: what divides them.
        groups: in the order of the division.
        gap: NDCG of the best group minus that of the worst, with its 95 % bootstrap interval, in which each of the
            two is resampled alone. The two are extremes of all groups, so by chance alone it is above 0. NaN
            where fewer than two groups have users.
        n_without: evaluated users in no group.
    """

    what: str
    groups: tuple[UserGroup, ...]
    gap: Interval
    n_without: int = 0

    @property
    def served(self) -> list[UserGroup]:
        """The groups with an evaluated user, the worst by NDCG first."""
        return sorted((g for g in self.groups if g.users), key=lambda g: g.ndcg.mean)

    @property
    def worst(self) -> UserGroup | None:
        """The group with the lowest mean NDCG; None where fewer than two groups have users."""
        return self.served[0] if len(self.served) > 1 else None

    @property
    def best(self) -> UserGroup | None:
        """The group with the highest mean NDCG; None where fewer than two groups have users."""
        return self.served[-1] if len(self.served) > 1 else None

    @property
    def apart(self) -> bool:
        """Whether the intervals of the worst and the best group do not overlap: a conservative sign of a real gap."""
        if not (self.best and self.worst) or self.best.ndcg.low is None or self.worst.ndcg.high is None:
            return False
        return self.worst.ndcg.high < self.best.ndcg.low

    def document(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "by": self.what,
            "groups": [asdict(g) for g in self.groups],
            "users_without": self.n_without,
            "worst": self.worst.name if self.worst else None,
            "gap": asdict(self.gap),
            "apart": self.apart,
        }


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
        return {
            "k": self.k,
            "users": self.n_users,
            f"recall@{self.k}": asdict(self.recall),
            f"ndcg@{self.k}": asdict(self.ndcg),
            **{name: value for name, value in vars(self).items() if isinstance(value, float)},
            "item_groups": [asdict(g) for g in self.items],
            "user_groups": [division.document() for division in self.users],
        }


def fairness(
    ranker: BlockScorer,
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
    who = np.flatnonzero(relevant.user_counts)
    if not len(who):
        raise UsageError("no user has a held-out item; hold some interactions out to measure fairness on")
    in_tail, draws = tail_items(train), {"seed": seed, "resamples": resamples}
    tally = _Tally(items, train.item_counts, in_tail, k)
    for start in range(0, len(who), USERS_AT_ONCE):
        part = who[start : start + USERS_AT_ONCE]
        lists = top_k(ranker, part, k, seen=seen, item_ids=relevant.items).items
        tally.add(lists, hits_of(lists, part, relevant), relevant.user_counts[part])
    of_users = (np.concatenate(blocks) for blocks in zip(*tally.users, strict=True))
    tail, popularity, recall, ndcg, numerator, denominator = of_users
    n_cold = int((seen.user_counts[who] == 0).sum())
    metrics = (Metric("recall", k), Metric("ndcg", k))
    evaluation = Evaluation(metrics, who, numerator, denominator, relevant.n_users - len(who), n_cold)
    total = bootstrap_all(evaluation, **draws)
    contributions = bootstrap_means(np.concatenate([recall, ndcg], axis=1), **draws)
    groups = tally.item_groups(contributions, relevant, seen, who)
    wanted_tail = np.bincount(relevant.user_of, weights=in_tail[relevant.indices], minlength=relevant.n_users)[who]
    return Fairness(
        k=k,
        n_users=len(who),
        recall=total[f"recall@{k}"],
        ndcg=total[f"ndcg@{k}"],
        items=groups,
        users=tuple(_division(evaluation, division, draws) for division in users),
        coverage=coverage(tally.exposure),
        gini=gini(tally.exposure),
        entropy=entropy(tally.exposure),
        average_popularity=known_mean(popularity),
        tail_share=known_mean(tail),
        test_tail_share=float((wanted_tail / relevant.user_counts[who]).mean()),
        popularity_exposure=spearman(train.item_counts, tally.exposure),
        reo=relative_spread([g.found for g in groups]),
        rsp=relative_spread([g.listed for g in groups]),
        exposure=tally.exposure,
        evaluated=who,
        user_tail_share=tail,
        user_popularity=popularity,
    )


class _Tally:
    """Sums over blocks of lists, from which the measures follow; no array has the size users x items."""

    def __init__(self, groups: Groups, popularity: Index, in_tail: NDArray[np.bool_], k: int):
        self.groups, self.popularity, self.in_tail, self.k = groups, popularity, in_tail, k
        self.discount = 1.0 / np.log2(np.arange(2.0, k + 2.0))
        self.exposure = np.zeros(len(popularity), dtype=np.int64)
        self.slots, self.discounted, self.hits = np.zeros((3, len(groups.names)))
        self.all_discounted = 0.0
        self.users: list[tuple[Values, ...]] = []

    def add(self, lists: Index, hits: NDArray[np.bool_], n_relevant: Index) -> None:
        """Add lists [u, k] of users, with the mask of their hits and the number of relevant items of each user."""
        n_groups, filled = len(self.slots), lists >= 0
        at, length = np.where(filled, lists, 0), filled.sum(1)
        group = np.where(filled, self.groups.of[at], -1)
        inside, hit = group >= 0, hits & (group >= 0)
        rank_weight = np.broadcast_to(self.discount, lists.shape)
        self.exposure += np.bincount(lists[filled], minlength=len(self.exposure))
        self.all_discounted += float(rank_weight[filled].sum())
        self.slots += np.bincount(group[inside], minlength=n_groups)
        self.discounted += np.bincount(group[inside], rank_weight[inside], n_groups)
        self.hits += np.bincount(group[hit], minlength=n_groups)
        cell = (np.arange(len(group))[:, None] * n_groups + group)[hit]
        found = np.bincount(cell, minlength=len(group) * n_groups).reshape(-1, n_groups)
        gained = np.bincount(cell, rank_weight[hit], len(group) * n_groups).reshape(-1, n_groups)
        ideal = np.cumsum(self.discount)[np.minimum(n_relevant, self.k) - 1]
        terms = [Metric(name, self.k).terms(hits, n_relevant) for name in ("recall", "ndcg")]
        self.users.append(
            (
                ratio((self.in_tail[at] & filled).sum(1), length),
                ratio((self.popularity[at] * filled).sum(1), length),
                found / n_relevant[:, None],
                gained / ideal[:, None],
                *(np.stack(of_metrics, axis=1) for of_metrics in zip(*terms, strict=True)),
            )
        )

    def item_groups(
        self, contributions: Sequence[Interval], relevant: Interactions, seen: Interactions, who: Index
    ) -> tuple[ItemGroup, ...]:
        """The groups, from their contributions to recall and then to NDCG."""
        groups, n_groups = self.groups, len(self.slots)
        held, known = groups.of[relevant.indices], groups.of[seen.indices[np.isin(seen.user_of, who)]]
        inside = held >= 0
        share = np.bincount(held[inside], 1.0 / relevant.user_counts[relevant.user_of[inside]], n_groups)
        candidates = groups.sizes * len(who) - np.bincount(known[known >= 0], minlength=n_groups)
        rates = (
            ratio(self.slots, self.exposure.sum()),
            ratio(self.discounted, self.all_discounted),
            ratio(self.hits, np.bincount(held[inside], minlength=n_groups)),
            ratio(self.slots, candidates),
        )
        sizes = (groups.sizes, groups.shares, share / len(who))
        accuracy = (contributions[:n_groups], contributions[n_groups:])
        rows = zip(groups.names, *(x.tolist() for x in sizes), *accuracy, *(x.tolist() for x in rates), strict=True)
        return tuple(ItemGroup(*row) for row in rows)


def _division(evaluation: Evaluation, groups: Groups, draws: Mapping[str, int]) -> UserDivision:
    of = groups.of[evaluation.users]
    parts = [evaluation.part(of == g) for g in range(len(groups.names))]
    made = []
    for part, name in zip(parts, groups.names, strict=True):
        recall, ndcg = bootstrap_all(part, **draws).values() if part.n_users else (UNKNOWN, UNKNOWN)
        made.append(UserGroup(name, part.n_users, recall, ndcg))
    division = UserDivision(groups.what, tuple(made), UNKNOWN, int((of < 0).sum()))
    if division.worst is None or division.best is None:
        return division
    best, worst = (parts[made.index(group)] for group in (division.best, division.worst))
    return replace(division, gap=bootstrap_difference(best, worst, evaluation.metrics[1], **draws))


def _same_log(
    ranker: BlockScorer, relevant: Interactions, train: Interactions, items: Groups, users: Sequence[Groups]
) -> None:
    if relevant.users != train.users or relevant.items != train.items:
        raise UsageError("the held-out pairs have other users or items than the training pairs; take both from one log")
    if len(items.of) != ranker.n_items or any(len(g.of) != ranker.n_users for g in users):
        sizes = f"{len(items.of)} items and {', '.join(str(len(g.of)) for g in users) or 'no'} users"
        raise UsageError(
            f"the groups are of {sizes}, the ranker has {ranker.n_items} items and {ranker.n_users} users; "
            "make the groups from the log the model was fitted to"
        )
