"""The spread of a model's scores for each user, which by theory the softmax losses penalise.

For large tau the negative side of SL is

    tau log mean_j exp(f_j / tau) = mean_j f_j + Var_j f_j / (2 tau) + O(1 / tau^2),

so SL penalises the variance of a user's negative scores as well as their mean. Popular items that rise above the rest
for all users are such variance; hence the claim that the softmax losses are fairer to rare items (Wu et al., BSL,
ICDE 2024, arXiv 2312.12882, and their SSM paper, arXiv 2201.02327). Here the variance of a fitted model is measured,
to be compared with its fairness. A correlation between the two is a description, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.evaluation.lists import block_rows
from taurec.evaluation.metrics import ratio
from taurec.ranker import Ranker
from taurec.studies.audit.fairness.exposure import known_mean, spearman

Values = NDArray[np.float64]
Index = NDArray[np.int64]

BYTES_A_SCORE = 32
"""Bytes per score of a block [b, I]: the score, its float64 copy, its square, and a mark."""


@dataclass(frozen=True, eq=False)
class ScoreSpread:
    """Moments of the ranking scores, per user and then averaged over users.

    Units are those of the model's scores, or their square; cosines lie in -1..1, other scores have no common scale,
    so that only ``relative_variance`` and the correlations compare models.

    Attributes:
        n_users: users in the sample.
        negatives: items a user was scored on as negatives, mean over users.
        negative_mean, negative_variance: over a user's negatives; the variance has n in the divisor.
        positive_mean, positive_variance: over a user's training items.
        gap: positive_mean - negative_mean, of the means over users.
        relative_variance: mean over users of negative variance / (positive mean - negative mean)^2, over users whose
            positives score above their negatives on average; it does not change when scores are scaled or shifted.
        n_inverted: users whose positives do not score above their negatives on average.
        popularity_score: Spearman's correlation over items between the training count and the mean score that
            the item gets from users who do not have it.
        users: [n] their indices.
        per_user: [n] each user's negative variance.
    """

    n_users: int
    negatives: float
    negative_mean: float
    negative_variance: float
    positive_mean: float
    positive_variance: float
    gap: float
    relative_variance: float
    n_inverted: int
    popularity_score: float
    users: Index = field(repr=False)
    per_user: Values = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Everything but the arrays, as plain values."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray)}


def score_spread(
    ranker: Ranker,
    train: Interactions,
    known: Interactions | None = None,
    *,
    users: int = 1000,
    seed: int = 0,
    memory_mb: float = 256,
) -> ScoreSpread:
    """Mean and variance of a user's scores, over all of the user's negatives and over the positives.

    Negatives are the items that a user does not have in ``known``, positives those in ``train``. All negatives of a
    user are used. The users are all those with a training item, or a sample of them.

    Args:
        ranker: the model.
        train: the pairs that it was trained on.
        known: all pairs that are not negatives, such as those of every part; ``train`` if not given.
        users: maximum number of users, drawn without replacement; 0 takes all.
        seed: of the draw.
        memory_mb: memory for a block of scores.
    Raises: UsageError where no user has both a positive and a negative.

    >>> from taurec.data.vocabulary import Vocabulary
    >>> from taurec.ranker import EmbeddingRanker
    >>> log = Interactions.from_pairs([0], [0], items=Vocabulary.numbered(3))
    >>> spread = score_spread(EmbeddingRanker(np.ones((1, 1), "f4"), np.array([[5], [1], [3]], "f4")), log)
    >>> spread.negative_mean, spread.negative_variance, spread.gap
    (2.0, 1.0, 3.0)
    """
    known = train if known is None else known
    able = np.flatnonzero((train.user_counts > 0) & (known.user_counts < train.n_items))
    if not len(able):
        raise UsageError("no user has both a training item and a negative item; there are no scores to compare")
    chosen = able
    if 0 < users < len(able):
        chosen = np.sort(able[draw.permutation(draw.key(seed, "score spread"), len(able))[:users]])
    item_sum, item_count = np.zeros(train.n_items), np.zeros(train.n_items)
    rows = block_rows(train.n_items, 0, memory_mb, BYTES_A_SCORE)
    blocks, own, taken = [], train.csr(), known.csr()
    for part in np.split(chosen, range(rows, len(chosen), rows)):
        scores = np.asarray(ranker.block(part), dtype=np.float64)
        scored = np.isfinite(scores)
        scores[~scored] = 0.0
        positive = (own[part].toarray() > 0) & scored
        negative = (taken[part].toarray() == 0) & scored
        blocks.append((negative.sum(1), *_moments(scores, negative), *_moments(scores, positive)))
        item_sum += (scores * negative).sum(0)
        item_count += negative.sum(0)
    moments = (np.concatenate(column) for column in zip(*blocks, strict=True))
    count, mean, variance, positive_mean, positive_variance = moments
    gap = positive_mean - mean
    apart = gap > 0
    return ScoreSpread(
        n_users=len(chosen),
        negatives=float(count.mean()),
        negative_mean=known_mean(mean),
        negative_variance=known_mean(variance),
        positive_mean=known_mean(positive_mean),
        positive_variance=known_mean(positive_variance),
        gap=known_mean(positive_mean) - known_mean(mean),
        relative_variance=known_mean(variance[apart] / gap[apart] ** 2),
        n_inverted=int((gap <= 0).sum()),
        popularity_score=spearman(train.item_counts, ratio(item_sum, item_count)),
        users=chosen,
        per_user=variance,
    )


def _moments(scores: Values, marked: NDArray[np.bool_]) -> tuple[Values, Values]:
    """[b] mean and population variance of each row's marked scores; NaN for a row without any."""
    n = marked.sum(1)
    mean = ratio((scores * marked).sum(1), n)
    off = (scores - np.nan_to_num(mean)[:, None]) * marked
    return mean, ratio((off * off).sum(1), n)
