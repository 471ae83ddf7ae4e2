"""The fairness of several models on one split of a log, and the spread of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from taurec.data.split import Split, data_hash
from taurec.errors import UsageError
from taurec.evaluation.users import UserScorer
from taurec.recommender import Recommender
from taurec.studies.audit.fairness.answer import sections, verdict
from taurec.studies.audit.fairness.exposure import spearman
from taurec.studies.audit.fairness.groups import Groups, activity_groups, popularity_groups
from taurec.studies.audit.fairness.measures import Fairness, fairness
from taurec.studies.audit.fairness.scores import ScoreSpread, score_spread
from taurec.studies.names import Names
from taurec.studies.result import Figure, Part, Result, Table

MOST_EXPOSED = 10


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho of two quantities over n cases; NaN where it is not defined."""

    rho: float
    n: int

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike, fewest: int = 2) -> Correlation:
        """Over the cases in which both are finite; not defined for fewer than ``fewest``."""
        n = int((np.isfinite(a) & np.isfinite(b)).sum())
        return cls(spearman(a, b) if n >= fewest else float("nan"), n)


@dataclass(frozen=True, eq=False)
class ModelFairness:
    """One model of an audit.

    Attributes:
        label: its name, different from those of the others.
        fairness, scores: the measures.
        variance_tail: over the users in both, a user's negative score variance and the tail share of their list.
        most_exposed: (item index, share of the users' lists it is in, share of the training interactions) of up to
            ten items, the most frequent first.
    """

    label: str
    fairness: Fairness
    scores: ScoreSpread
    variance_tail: Correlation
    most_exposed: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, eq=False)
class FairnessAudit(Result):
    """The models in the order given, evaluated on the test part of one split.

    Attributes:
        source: name of the data.
        split: its parts.
        k: length of the lists.
        models: at least one.
        runs: label -> the settings of a model.
        names: what to write for item ids.
    """

    schema: ClassVar[str] = "taurec.audit.fairness/1"
    source: str
    split: Split
    k: int
    models: tuple[ModelFairness, ...]
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Names = field(default_factory=Names)

    def title(self) -> str:
        return f"Fairness audit of {self.source}"

    def verdict(self) -> list[str]:
        return verdict(self)

    def tables(self) -> list[Table]:
        return [part for part in sections(self) if isinstance(part, Table)]

    def figures(self) -> list[Figure]:
        return [part for part in sections(self) if isinstance(part, Figure)]

    def parts(self) -> list[Part]:
        return sections(self)

    def settings(self) -> Mapping[str, Any]:
        return self.runs

    @property
    def best(self) -> ModelFairness:
        """The model with the highest NDCG on the test part: a finding, not a choice."""
        return max(self.models, key=lambda m: m.fairness.ndcg.mean)

    def between_models(self) -> dict[str, Correlation]:
        """Rank correlations, over the models, of the spread of scores with measures of fairness.

        The relative variance is used because the models' scores have no common scale. With the few models of an audit
        this is a description: over 5 models a rho of 0.8 or more, of either sign, occurs by chance in 2 of 15 cases.
        Of two models it would always be 1 or -1, so it is NaN.
        """
        spread = [m.scores.relative_variance for m in self.models]
        gaps = [m.fairness.users[0].gap.mean if m.fairness.users else float("nan") for m in self.models]
        against = {"tail_share": [m.fairness.tail_share for m in self.models], "gap": gaps}
        return {name: Correlation.of(spread, values, fewest=3) for name, values in against.items()}

    def document(self) -> dict[str, Any]:
        ids = self.split.train.items.ids
        return {
            "source": self.source,
            "split": self.split.how,
            "data_hash": data_hash(self.split),
            "k": self.k,
            "models": [
                {
                    "label": m.label,
                    "fairness": m.fairness.document(),
                    "scores": m.scores.document(),
                    "variance_and_tail_share_over_users": vars(m.variance_tail),
                    "most_exposed": [
                        {"item": self.names.item(ids[i]), "share_of_lists": share, "share_of_training": popularity}
                        for i, share, popularity in m.most_exposed
                    ],
                }
                for m in self.models
            ],
            "relative_variance_over_models": {name: vars(c) for name, c in self.between_models().items()},
            "runs": dict(self.runs),
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
    names: Names | None = None,
) -> FairnessAudit:
    """Audit fitted models on their test part.

    Args:
        models: label -> a fitted recommender; all of them on the same split of the same log.
        k: length of the lists.
        users: divisions of the users, added to the one by activity, which comes first.
        n_popularity, n_activity: numbers of groups of items and of users.
        score_users: largest number of users whose scores are measured, see
            :func:`taurec.studies.audit.fairness.scores.score_spread`.
        seed: of the bootstrap and of the sample of users.
        names: what to write for item ids; the ids themselves by default.
    Raises: UsageError without models, for models of different splits, or without a test part.

    >>> from taurec.data.planted import planted
    >>> model = Recommender(model="popularity").fit(planted(n_users=60, n_items=40, seed=1).log)
    >>> audit = audit_fairness({"popularity": model}, k=5)
    >>> audit.best.label, len(audit.best.fairness.items)
    ('popularity', 10)
    """
    if not models:
        raise UsageError("no models to audit; name some, such as ease or mf:sl")
    (first, model), *others = models.items()
    parts, data, source = model.split, data_hash(model.split), model.run.source or "(in memory)"
    for label, other in others:
        if data_hash(other.split) != data:
            raise UsageError(
                f"{label} was fitted to another log or another split than {first}, so their users and "
                "held-out items differ; fit both to the same source with the same --split and --seed"
            )
    if not len(parts.test):
        raise UsageError(f"there is no test part: the log was split by {parts.how!r}; use split='ratio' (--split)")
    seen = parts.known("test")
    items, known = popularity_groups(parts.train, n_popularity), seen.union(parts.test)
    divisions = [activity_groups(parts.known("valid"), n_activity), *users]
    made = []
    for label, model in models.items():
        scorer = UserScorer.of_part(model.ranker, parts, "test")
        found = fairness(scorer, parts.test, parts.train, seen, k, items=items, users=divisions, seed=seed)
        spread = score_spread(model.ranker, parts.train, known, users=score_users, seed=seed)
        _, a, b = np.intersect1d(spread.users, found.evaluated, return_indices=True)
        variance_tail = Correlation.of(spread.per_user[a], found.user_tail_share[b])
        top = np.argsort(-found.exposure, kind="stable")[:MOST_EXPOSED]
        shares = found.exposure[top] / found.n_users, parts.train.item_counts[top] / len(parts.train)
        most_exposed = tuple(zip(top.tolist(), *(share.tolist() for share in shares), strict=True))
        made.append(ModelFairness(label, found, spread, variance_tail, most_exposed))
    runs = {label: model.run.model_dump(mode="json") for label, model in models.items()}
    return FairnessAudit(source, parts, k, tuple(made), runs, names or Names())
