"""All metrics of a ranker at all cutoffs, in one pass over the users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.lists import TopK, top_k
from taurec.evaluation.metrics import DEFAULT_METRICS, Metric, Values, parse, parse_all, pooled, ratio
from taurec.evaluation.users import SOURCES, USER, UserScorer
from taurec.ranker import BlockScorer

__all__ = ["Evaluation", "TopK", "evaluate_ranker", "hits_of", "top_k"]

USERS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What each evaluated user contributes to each metric; kept, so that intervals and paired tests need no rerun.

    Attributes:
        metrics: the M metrics, in the order asked for.
        users: [n] indices of the evaluated users, ascending: those with at least one relevant item.
        numerator, denominator: [n, M] float64; a metric's mean is the ratio of their sums.
        n_left_out: users without relevant items, who are not evaluated.
        n_cold: evaluated users without a training row; for a scorer that does not know them, without a seen row.
        source: [n] int8 what each user was ranked by, as positions in :data:`taurec.evaluation.users.SOURCES`; None for
            a scorer that does not tell.
    """

    metrics: tuple[Metric, ...]
    users: NDArray[np.int64]
    numerator: Values
    denominator: Values
    n_left_out: int
    n_cold: int
    source: NDArray[np.int8] | None = None

    @property
    def n_users(self) -> int:
        """How many users the means are over."""
        return len(self.users)

    def sources(self) -> dict[str, int]:
        """Number of users by what they were ranked by: ``user``, ``history`` or ``popularity``; empty if unknown."""
        if self.source is None:
            return {}
        return {name: int((self.source == number).sum()) for number, name in enumerate(SOURCES)}

    def warm_and_cold(self) -> dict[str, Evaluation]:
        """Users with (``warm``) and without (``cold``) training rows apart; empty unless there are both."""
        if self.source is None or not 0 < self.n_cold < self.n_users:
            return {}
        return {"warm": self.part(self.source == USER), "cold": self.part(self.source != USER)}

    def means(self) -> dict[str, float]:
        """Metric name -> value over the evaluated users."""
        totals = pooled(self.numerator, self.denominator)
        return {str(m): float(x) for m, x in zip(self.metrics, totals, strict=True)}

    def per_user(self, metric: str | Metric) -> Values:
        """[n] each evaluated user's own value of one metric."""
        column = self.column(metric)
        return ratio(self.numerator[:, column], self.denominator[:, column])

    def part(self, rows: NDArray[np.bool_]) -> Evaluation:
        """The evaluation of the users marked in ``rows`` [n] alone."""
        source = None if self.source is None else self.source[rows]
        cold = 0 if source is None else int((source != USER).sum())
        return Evaluation(self.metrics, self.users[rows], self.numerator[rows], self.denominator[rows], 0, cold, source)

    def column(self, metric: str | Metric) -> int:
        """The metric's column in the terms; UsageError if it was not evaluated."""
        wanted = parse(metric)
        if wanted not in self.metrics:
            raise UsageError(f"{wanted} was not evaluated; there are {', '.join(map(str, self.metrics))}")
        return self.metrics.index(wanted)


def evaluate_ranker(
    ranker: BlockScorer,
    relevant: Interactions,
    seen: Interactions | None = None,
    metrics: str | Iterable[str | Metric] = DEFAULT_METRICS,
    *,
    only: ArrayLike | None = None,
    without: ArrayLike | None = None,
    memory_mb: float = 256,
    device: torch.device | None = None,
    kernel: str = "auto",
) -> Evaluation:
    """Rank the whole catalogue for every user with relevant items, and compute metrics of the lists.

    A cutoff beyond the catalogue is allowed here: the missing ranks count as misses.

    Args:
        ranker: the model to evaluate; :class:`taurec.evaluation.users.UserScorer` ranks users without training rows.
        relevant: held-out pairs. Users without any are left out and counted.
        seen: pairs whose items are removed from the user's candidates; normally all of training.
        metrics: names or values, or one text with commas: ``"recall@20,ndcg@10"``.
        only, without, memory_mb, device, kernel: as for :func:`taurec.evaluation.lists.top_k`.
    Raises: UsageError if nobody has a relevant item, or for what ``top_k`` and ``parse`` refuse.
    Example:
        >>> from taurec.ranker import EmbeddingRanker
        >>> ranker = EmbeddingRanker(np.ones((2, 1), "f4"), np.array([[3], [2], [1]], "f4"))
        >>> evaluate_ranker(ranker, Interactions.from_pairs([0, 1], [2, 2]), metrics="mrr@3,recall@2").means()
        {'mrr@3': 0.3333333333333333, 'recall@2': 0.0}
    """
    wanted = parse_all(metrics)
    if (relevant.n_users, relevant.n_items) != (ranker.n_users, ranker.n_items):
        raise UsageError(
            f"the relevant interactions have {relevant.n_users} users and {relevant.n_items} items, the ranker "
            f"{ranker.n_users} and {ranker.n_items}; both must come from the same log"
        )
    users = np.flatnonzero(relevant.user_counts)
    if not len(users):
        raise UsageError("no user has a relevant item to find; hold some interactions out to evaluate on")
    longest = max(m.k for m in wanted)
    numerator = np.empty((len(users), len(wanted)))
    denominator = np.empty_like(numerator)
    for start in range(0, len(users), USERS_AT_ONCE):
        part = slice(start, start + USERS_AT_ONCE)
        lists = top_k(
            ranker,
            users[part],
            longest,
            seen=seen,
            only=only,
            without=without,
            memory_mb=memory_mb,
            item_ids=relevant.items,
            device=device,
            kernel=kernel,
        )
        hits = hits_of(lists.items, users[part], relevant)
        counts = relevant.user_counts[users[part]]
        for column, m in enumerate(wanted):
            numerator[part, column], denominator[part, column] = m.terms(hits, counts)
    source = ranker.source[users] if isinstance(ranker, UserScorer) else None
    if source is not None:
        cold = int((source != USER).sum())
    else:
        cold = 0 if seen is None else int((seen.user_counts[users] == 0).sum())
    return Evaluation(wanted, users, numerator, denominator, relevant.n_users - len(users), cold, source)


def hits_of(items: NDArray[np.int64], users: NDArray[np.int64], relevant: Interactions) -> NDArray[np.bool_]:
    """[u, k] whether each listed item is relevant to its user; the -1 after a list's end is not.

    >>> hits_of(np.array([[1, 0, -1]]), np.array([0]), Interactions.from_pairs([0, 0], [1, 2])).tolist()
    [[True, False, False]]
    """
    return (items >= 0) & relevant.contains(users[:, None], items)
