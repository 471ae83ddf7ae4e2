"""The measures of one group: exposure and hits of a group of items, accuracy of a group of users."""

from __future__ import annotations

from dataclasses import dataclass

from taurec.evaluation.significance import Interval


@dataclass(frozen=True)
class ItemGroup:
    """Accuracy and exposure of a group of items, in the notation of :mod:`taurec.studies.audit.fairness.measures`.

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
    """Accuracy for a group of users: ``recall`` and ``ndcg`` are means over its ``users`` evaluated members,
    with 95 % bootstrap intervals; NaN for a group without any."""

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
