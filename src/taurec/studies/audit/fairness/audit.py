"""Several models on one division of a log: the fairness of each, beside the spread of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taurec.data.split import Split, data_hash
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.studies.audit.fairness.exposure import spearman
from taurec.studies.audit.fairness.groups import Groups, activity_groups, popularity_groups
from taurec.studies.audit.fairness.measures import Fairness, fairness
from taurec.studies.audit.fairness.scores import ScoreSpread, score_spread

MOST_EXPOSED = 10


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho of two quantities over n cases; NaN where it has no meaning."""

    rho: float
    n: int


@dataclass(frozen=True, eq=False)
class ModelFairness:
    """One model of an audit.

    Attributes:
        label: its name, different from those of the others.
        fairness, scores: what was found.
        variance_tail: over the users of both, a user's negative score variance and the tail share of their list.
        most_exposed: (item index, share of the users' lists it is in, share of the training interactions), at most
            ten, the most frequent first.
    """

    label: str
    fairness: Fairness
    scores: ScoreSpread
    variance_tail: Correlation
    most_exposed: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, eq=False)
class FairnessAudit:
    """The models in the order given, judged on the test part of one division.

    Attributes:
        source: name of the data.
        parts: the division.
        k: length of the lists.
        models: at least one.
    """

    source: str
    parts: Split
    k: int
    models: tuple[ModelFairness, ...]

    @property
    def best(self) -> ModelFairness:
        """The model with the highest NDCG on the test part: a finding, not a choice."""
        return max(self.models, key=lambda m: m.fairness.ndcg.mean)

    def between_models(self) -> dict[str, Correlation]:
        """How the spread of scores goes with fairness over the models.

        The relative variance is used, since the models' scores have no common scale. With the few models of an audit
        this is a description: over 5 models a rho of 0.8 or beyond, of either sign, comes by chance in 2 of 15 cases.
        Of two models it would always be 1 or -1, so there is none.
        """
        spread = [m.scores.relative_variance for m in self.models]
        gaps = [m.fairness.users[0].gap.mean if m.fairness.users else float("nan") for m in self.models]
        against = {"tail_share": [m.fairness.tail_share for m in self.models], "gap": gaps}
        known = np.isfinite(spread)
        found = {}
        for name, values in against.items():
            n = int((known & np.isfinite(values)).sum())
            found[name] = Correlation(spearman(spread, values) if n > 2 else float("nan"), n)
        return found

    def document(self, items: Sequence[str] | None = None) -> dict[str, Any]:
        """The whole audit as plain values.

        Args:
            items: what to call the items; their raw ids if not given.
        """
        names = self.parts.train.items.ids if items is None else items
        return {
            "source": self.source,
            "split": self.parts.how,
            "data_hash": data_hash(self.parts),
            "k": self.k,
            "models": [
                {
                    "label": m.label,
                    "fairness": m.fairness.document(),
                    "scores": m.scores.document(),
                    "variance_and_tail_share_over_users": vars(m.variance_tail),
                    "most_exposed": [
                        {"item": names[i], "share_of_lists": share, "share_of_training": popularity}
                        for i, share, popularity in m.most_exposed
                    ],
                }
                for m in self.models
            ],
            "relative_variance_over_models": {name: vars(c) for name, c in self.between_models().items()},
        }


def audit_fairness(
    models: Mapping[str, Recommender],
    k: int = 20,
    *,
    users: Sequence[Groups] = (),
    n_popularity: int = 10,
    n_activity: int = 5,
    score_users: int = 1000,
    seed: int = 0,
) -> FairnessAudit:
    """Audit fitted models on their test part.

    Args:
        models: label -> a fitted recommender; all of them on the same division of the same log.
        k: length of the lists.
        users: divisions of the users, beside the one by activity, which comes first.
        n_popularity, n_activity: how many groups of items and of users.
        score_users: at most so many users whose scores are looked at, see
            :func:`taurec.studies.audit.fairness.scores.score_spread`.
        seed: of the bootstrap and of the sample of users.
    Raises: UsageError without models, for models of different divisions, or without a test part.

    >>> from taurec.data.planted import planted
    >>> model = Recommender(model="popularity").fit(planted(n_users=60, n_items=40, seed=1).log)
    >>> audit = audit_fairness({"popularity": model}, k=5)
    >>> audit.best.label, len(audit.best.fairness.items)
    ('popularity', 10)
    """
    if not models:
        raise UsageError("no models to audit; name some, such as ease or mf:sl")
    first = next(iter(models.values()))
    parts, found = first.split, data_hash(first.split)
    for label, model in models.items():
        if data_hash(model.split) != found:
            raise UsageError(
                f"{label} was fitted to another log or another division than {next(iter(models))}, so their users and "
                "held-out items differ; fit both to the same source with the same --split and --seed"
            )
    if not len(parts.test):
        raise UsageError(f"there is no test part: the log was split by {parts.how!r}; use split='ratio' (--split)")
    seen = parts.train.union(parts.valid) if len(parts.valid) else parts.train
    items = popularity_groups(parts.train, n_popularity)
    divisions = [activity_groups(parts.train, n_activity), *users]
    known = seen.union(parts.test)
    made = []
    for label, model in models.items():
        judged = fairness(model.ranker, parts.test, parts.train, seen, k, items=items, users=divisions, seed=seed)
        spread = score_spread(model.ranker, parts.train, known, users=score_users, seed=seed)
        popularity = parts.train.item_counts / len(parts.train)
        top = np.argsort(-judged.exposure, kind="stable")[:MOST_EXPOSED]
        exposed = [(int(i), float(judged.exposure[i] / judged.n_users), float(popularity[i])) for i in top]
        made.append(ModelFairness(label, judged, spread, _variance_tail(judged, spread), tuple(exposed)))
    return FairnessAudit(first.run.source or "(in memory)", parts, k, tuple(made))


def _variance_tail(judged: Fairness, spread: ScoreSpread) -> Correlation:
    """Over the users who are both judged and scored."""
    _, a, b = np.intersect1d(spread.users, judged.evaluated, return_indices=True)
    variance, tail = spread.per_user[a], judged.user_tail_share[b]
    return Correlation(spearman(variance, tail), int((np.isfinite(variance) & np.isfinite(tail)).sum()))
