"""Ranking metrics as values: ``parse("ndcg@20")`` is a metric, its text is its name.

Notation: a user has R relevant items; hit_r is 1 where rank r = 1..K of the user's list is relevant; h is
the number of hits. A list may be shorter than K, its missing ranks are no hits. Every metric is a pair of
terms per user and its mean over users is ``sum(numerator) / sum(denominator)``: most have denominator 1,
the ratios of sums (named so below) do not. A user without relevant items has both terms 0 and so is left out.

Names without a suffix are the usual definitions; a suffix names the dialect of another library, so that
its figures can be compared. Rendle's NDCG as published in Elliot (``ndcg_rendle2020.py``) computes ``ndcg``
for binary relevance and has no separate name here; LightGCN-PyTorch's MRR divides by log2(1 / rank),
which is 0 at rank 1, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taurec.errors import UsageError
from taurec.registry import Registry

Values = NDArray[np.float64]
Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Terms = tuple[Values, Values]


def recall(hits: Hits, n_relevant: Counts) -> Values:
    """Share of the relevant items in the list: h / R."""
    return ratio(hits.sum(1), n_relevant)


def ndcg(hits: Hits, n_relevant: Counts) -> Values:
    """Discounted gain over that of the best list possible: sum_r hit_r / log2(r+1), ideal of min(K, R) hits."""
    return _ndcg(hits, _log_discount(hits.shape[1]), np.minimum(n_relevant, hits.shape[1]))


def precision(hits: Hits, n_relevant: Counts) -> Values:
    """Share of the list that is relevant: h / K, also where the list is shorter than K."""
    return ratio(hits.sum(1), hits.shape[1])


def hit_rate(hits: Hits, n_relevant: Counts) -> Values:
    """Whether the list has a hit: 1 if h > 0."""
    return np.asarray(hits.any(1), dtype=np.float64)


def mrr(hits: Hits, n_relevant: Counts) -> Values:
    """Reciprocal rank of the first hit: 1 / min{r: hit_r}, 0 without one."""
    return np.where(hits.any(1), 1.0 / (hits.argmax(1) + 1.0), 0.0)


def average_precision(hits: Hits, n_relevant: Counts) -> Values:
    """Mean precision at the hits: sum_r hit_r * (hits among the first r) / r, over min(K, R)."""
    at_rank = np.cumsum(hits, axis=1) / np.arange(1.0, hits.shape[1] + 1.0)
    return (at_rank * hits).sum(1) / np.minimum(n_relevant, hits.shape[1])


def ndcg_full_k(hits: Hits, n_relevant: Counts) -> Values:
    """NDCG whose ideal list always has K hits, even if R < K (RecTools' default)."""
    return _ndcg(hits, _log_discount(hits.shape[1]), np.full(len(hits), hits.shape[1]))


def ndcg_clipped_log(hits: Hits, n_relevant: Counts) -> Values:
    """NDCG with the discount 1 / log2(max(r, 2)): ranks 1 and 2 count in full (LensKit's default)."""
    ranks = np.arange(1.0, hits.shape[1] + 1.0)
    return _ndcg(hits, 1.0 / np.log2(np.maximum(ranks, 2.0)), np.minimum(n_relevant, hits.shape[1]))


def ndcg_retrieved(hits: Hits, n_relevant: Counts) -> Values:
    """NDCG whose ideal sorts the retrieved hits only, so it is inflated (NGCF's first evaluator)."""
    return _ndcg(hits, _log_discount(hits.shape[1]), hits.sum(1))


def precision_min_rel(hits: Hits, n_relevant: Counts) -> Terms:
    """Ratio of sums: sum_u h / sum_u min(K, R) (precision in implicit)."""
    return hits.sum(1).astype(np.float64), np.minimum(n_relevant, hits.shape[1]).astype(np.float64)


def hit_rate_interactions(hits: Hits, n_relevant: Counts) -> Terms:
    """Ratio of sums: sum_u h / sum_u R, hits over all held-out interactions (hit ratio in SELFRec)."""
    return hits.sum(1).astype(np.float64), n_relevant.astype(np.float64)


def recall_min_rel(hits: Hits, n_relevant: Counts) -> Values:
    """Share of the relevant items that a list of K can hold: h / min(K, R)."""
    return ratio(hits.sum(1), np.minimum(n_relevant, hits.shape[1]))


def mrr_mean_hits(hits: Hits, n_relevant: Counts) -> Values:
    """Mean over the hits of 1 / r: (1/h) sum_r hit_r / r, 0 without one (MRR of the PSL authors' code)."""
    reciprocal = hits @ (1.0 / np.arange(1.0, hits.shape[1] + 1.0))
    result: Values = reciprocal / np.maximum(hits.sum(1), 1)
    return result


METRICS: Registry[Values | Terms] = Registry(
    "metric",
    {
        "recall": recall,
        "ndcg": ndcg,
        "precision": precision,
        "hit_rate": hit_rate,
        "mrr": mrr,
        "map": average_precision,
        "ndcg_full_k": ndcg_full_k,
        "ndcg_clipped_log": ndcg_clipped_log,
        "ndcg_retrieved": ndcg_retrieved,
        "precision_min_rel": precision_min_rel,
        "hit_rate_interactions": hit_rate_interactions,
        "mrr_mean_hits": mrr_mean_hits,
        "recall_min_rel": recall_min_rel,
    },
    group="taurec.metrics",
)
ALIASES = {"hr": "hit_rate", "hit": "hit_rate"}


@dataclass(frozen=True)
class Metric:
    """One metric at one cutoff; its text is its canonical name.

    Attributes:
        name: a key of ``METRICS``, or ``module:function``.
        k: length of the list, at least 1.
    Raises: UsageError for an unknown name or a cutoff below 1.
    Example:
        >>> m = Metric("ndcg", 5)
        >>> str(m), round(m.mean([[True, False, False, False, True]], [3]), 3)
        ('ndcg@5', 0.651)
    """

    name: str
    k: int

    def __post_init__(self) -> None:
        METRICS[self.name]
        if self.k < 1:
            raise UsageError(f"the cutoff of a metric must be at least 1, got {self}; write for example {self.name}@20")

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @classmethod
    def of(cls, formula: Callable[[Hits, Counts], Values | Terms], k: int) -> Metric:
        """The metric of a function at a cutoff, such as one of your own.

        >>> str(Metric.of(recall, 20))
        'recall@20'
        """
        return cls(METRICS.name_of(formula), k)

    @property
    def formula(self) -> Callable[[Hits, Counts], Values | Terms]:
        """The function that computes it from ``hits[U, K]`` and ``n_relevant[U]``."""
        return METRICS[self.name]

    def terms(self, hits: ArrayLike, n_relevant: ArrayLike) -> Terms:
        """Numerator and denominator of each user.

        Args:
            hits: [U, >= K] whether the item at each rank is relevant, best rank first.
            n_relevant: [U] how many relevant items each user has.
        Returns: two [U] float64 arrays, both 0 for a user without relevant items.
        Raises: UsageError for lists shorter than K columns or with more hits than relevant items.
        """
        h, n = np.asarray(hits, dtype=bool), np.asarray(n_relevant, dtype=np.int64)
        if h.ndim != 2 or n.shape != h.shape[:1] or h.shape[1] < self.k:
            raise UsageError(
                f"{self} needs hits of shape [U, >= {self.k}] and n_relevant of shape [U], "
                f"got {list(h.shape)} and {list(n.shape)}; fill missing ranks with False"
            )
        h = h[:, : self.k]
        if (h.sum(1) > n).any():
            user = int(np.argmax(h.sum(1) > n))
            raise UsageError(
                f"row {user} has {h[user].sum()} hits but {n[user]} relevant items; a list must not repeat an item"
            )
        result = self.formula(h, np.maximum(n, 1))
        numerator, denominator = result if isinstance(result, tuple) else (result, np.ones(len(n)))
        if {np.shape(numerator), np.shape(denominator)} != {n.shape}:
            raise UsageError(
                f"{self} gave values of shape {list(np.shape(numerator))} for {len(n)} users; return one value per "
                f"user, or a pair of numerators and denominators of each"
            )
        present = n > 0
        return np.where(present, numerator, 0.0), np.where(present, denominator, 0.0)

    def values(self, hits: ArrayLike, n_relevant: ArrayLike) -> Values:
        """[U] each user's own value; NaN for a user without relevant items. Arguments as for ``terms``."""
        return ratio(*self.terms(hits, n_relevant))

    def mean(self, hits: ArrayLike, n_relevant: ArrayLike) -> float:
        """The value over all users that have relevant items; NaN if none has. Arguments as for ``terms``."""
        numerator, denominator = self.terms(hits, n_relevant)
        return float(ratio(numerator.sum(), denominator.sum()))


def parse(text: str | Metric) -> Metric:
    """The metric of a name such as ``ndcg@20``; ``hr`` and ``hit`` are read as ``hit_rate``.

    >>> parse("HR@10")
    Metric(name='hit_rate', k=10)
    """
    if isinstance(text, Metric):
        return text
    if not isinstance(text, str):
        raise UsageError(f"a metric is a name such as 'ndcg@20', or Metric.of(function, 20) for your own; got {text!r}")
    name, at, cutoff = text.strip().partition("@")
    if ":" in name:
        name, _ = METRICS.read(name)
    else:
        name = ALIASES.get(name.lower(), name.lower())
    METRICS[name]
    try:
        return Metric(name, int(cutoff))
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
    found = f"the cutoff {cutoff!r}" if at else "no cutoff"
    raise UsageError(f"metric {text!r} has {found}; write a whole number after '@', for example {name}@20")


def parse_all(texts: str | Iterable[str | Metric], n_items: int | None = None) -> tuple[Metric, ...]:
    """The metrics of a list of names, or of one text with commas; repeats are dropped.

    With ``n_items`` a cutoff beyond the catalogue is refused.

    >>> [str(m) for m in parse_all("recall@20,hit@5,recall@20")]
    ['recall@20', 'hit_rate@5']
    """
    names = [t for t in texts.split(",") if t.strip()] if isinstance(texts, str) else texts
    metrics = tuple(dict.fromkeys(parse(t) for t in names))
    if not metrics:
        raise UsageError("the list of metrics is empty; name at least one, for example ndcg@20")
    for m in metrics:
        if n_items is not None and m.k > n_items:
            raise UsageError(f"{m} looks at {m.k} items but there are only {n_items}; use a smaller cutoff")
    return metrics


DEFAULT_METRICS: tuple[str, ...] = ("recall@20", "ndcg@20", "precision@20", "hit_rate@20", "mrr@20", "map@20")
"""Metrics that are computed where none are chosen."""


def describe() -> dict[str, str]:
    """Name -> one line on what it is, for a table of all metrics."""
    return {name: (METRICS[name].__doc__ or "").splitlines()[0] for name in METRICS}


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Values:
    """The quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def pooled(numerator: Values, denominator: Values) -> Values:
    """[M] the ratio of sums of terms [n, M]; a column's value does not depend on the other columns.

    >>> pooled(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 4.0], [1.0, 2.0]]))
    array([0.5, 0.5])
    """
    return ratio(*(np.ascontiguousarray(terms.T).sum(1) for terms in (numerator, denominator)))


def _log_discount(k: int) -> Values:
    discount: Values = 1.0 / np.log2(np.arange(2.0, k + 2.0))
    return discount


def _ndcg(hits: Hits, discount: Values, n_ideal: Counts) -> Values:
    """Gain of the hits over the gain of ``n_ideal[U]`` hits at the first ranks; 0 where that is 0."""
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[n_ideal]
    return np.nan_to_num(ratio(hits @ discount, ideal), nan=0.0)
