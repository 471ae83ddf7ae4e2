"""How many rows of a log look like chance, and how many sampled negatives are probably positives.

Both follow from the places of :mod:`taurec.diagnostics.audit.crossfit`: rows and unseen pairs are two mixtures
of the same two kinds of pairs, those that a user likes and those that mean nothing, in different shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.diagnostics.audit.crossfit import CrossFit
from taurec.errors import UsageError
from taurec.evaluation.significance import Interval

HEAD = 0.01
"""The head of the lists: the places in which nearly all unseen pairs are taken to be liked."""

WINDOW = 0.2
"""The width of the windows beyond the middle of the lists, of which the emptiest shows the rows that mean nothing."""

LEAST = 200
"""With fewer judged rows there is no estimate: a window would hold too few of them."""

_BINS = 100


@dataclass(frozen=True)
class Shares:
    """The two estimates and what they rest on.

    Attributes:
        false_positives: share of the judged rows that cannot be told from items drawn at random: an upper bound.
        hidden: share of a user's unseen pairs that are probably liked, each row's user counted once a row as in
            uniform sampling of negatives: an upper bound.
        known: share of negatives drawn uniformly from the whole catalogue that are rows of the log, exact.
        head, least: density of the rows' places in the head and in the emptiest window; 1 is that of unseen pairs.
        judged: share of the rows that could be judged.
        judge: the model.
    """

    false_positives: Interval
    hidden: Interval
    known: float
    head: float
    least: float
    judged: float
    judge: str

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "false_positives": vars(self.false_positives),
            "hidden_positives": vars(self.hidden),
            "known_positives": self.known,
            "head_density": self.head,
            "least_density": self.least,
            "judged": self.judged,
            "judge": self.judge,
        }


def shares(log: Interactions, fit: CrossFit, *, resamples: int = 500, seed: int = 0) -> Shares:
    """The share of false positives among the rows, and of probable positives among unseen pairs.

    Let g be the density of the rows' places, so that unseen pairs have density 1, f of liked and h of
    meaningless pairs; a is the share of false positives, b that of liked pairs among the unseen:

        g = (1 - a) f + a h,    1 = b f + (1 - b) h

    If the head of the lists (h = 0) and some window beyond their middle (f = 0) belong to one kind alone, then

        g_head = (1 - a) / b,  g_least = a / (1 - b),  so  b = (1 - g_least) / (g_head - g_least),
        a = g_least (g_head - 1) / (g_head - g_least)

    Where they do not, both are too high, never too low apart from chance: the estimates are the largest shares that
    the places allow. g_head is taken over places below :data:`HEAD`, g_least is the least over windows of
    width :data:`WINDOW` from 1/2, 6/10, 7/10 and 8/10 on. Intervals: 95 % bootstrap over users, the window kept.

    Assumes: a liked pair is logged or not without regard to its place, and a false positive is any unseen item
    with equal chance. False positives of popular items look like likes and stay uncounted.

    Raises: UsageError if fewer than :data:`LEAST` rows were judged, or the judge places rows no better than chance.
    Source: the two-sample mixture model of Scott, Blanchard and Handy, COLT 2013; with b = 0 the estimate of a is
        that of Storey (J. R. Stat. Soc. B 64, 2002) for the share of true null hypotheses. The places as
        p-values of a cross-fitted judge are TauRec's own.

    >>> from taurec.data.planted import planted
    >>> from taurec.diagnostics.audit.crossfit import cross_fit
    >>> world = planted(n_users=300, n_items=100, per_user=12, noise=0.2, seed=1)
    >>> found = shares(world.log, cross_fit(world.log, "itemknn"))
    >>> round(found.false_positives.mean, 1), round(found.hidden.mean, 1)
    (0.2, 0.2)
    """
    users, place = log.user_of[fit.judged], fit.place[fit.judged]
    if len(place) < LEAST:
        raise UsageError(
            f"{len(place)} of {len(log)} rows could be judged, and an estimate needs {LEAST}; the others' item or "
            "user occurs once"
        )
    edge = min((0.5, 0.6, 0.7, 0.8), key=lambda e: int(_inside(place, e).sum()))
    head = np.bincount(users, place < HEAD, log.n_users) / HEAD
    least = np.bincount(users, _inside(place, edge), log.n_users) / WINDOW
    rows = np.bincount(users, minlength=log.n_users).astype(np.float64)
    there = rows > 0
    terms = np.stack([head, least, rows], axis=1)[there]
    totals = terms.sum(axis=0)
    g_head, g_least = totals[0] / totals[2], totals[1] / totals[2]
    if g_head <= 1.5 or g_least >= g_head:
        raise UsageError(
            f"{fit.judge} places the log's own rows no better than chance (density {g_head:.2f} in the head of the "
            "lists, 1 is chance), so nothing can be estimated; try another judge or a log with more rows a user"
        )
    a, b = _solve(g_head, g_least)
    resampled = _resample(terms, resamples, seed)
    bounds = np.quantile(
        _solve(resampled[:, 0] / resampled[:, 2], resampled[:, 1] / resampled[:, 2]), [0.025, 0.975], 1
    )
    known = float((log.user_counts.astype(np.float64) ** 2).sum() / (len(log) * log.n_items))
    return Shares(
        Interval(float(a), *map(float, bounds[:, 0])),
        Interval(float(b), *map(float, bounds[:, 1])),
        known,
        float(g_head),
        float(g_least),
        float(fit.judged.mean()),
        fit.judge,
    )


def chance(fit: CrossFit, found: Shares) -> NDArray[np.float64]:
    """[P] the estimated share of rows at the row's place that mean nothing, in [0, 1]; nan where not judged.

        chance = a h / g,  h = ((1 - a) - b g) / (1 - a - b) cut off below 0

    with g a histogram of 100 bins made non-increasing (pool adjacent violators) and a, b of :func:`shares`.
    """
    a, b = found.false_positives.mean, found.hidden.mean
    result = np.full(len(fit.place), np.nan)
    place = fit.place[fit.judged]
    counts = np.histogram(place, bins=_BINS, range=(0.0, 1.0))[0] * (_BINS / len(place))
    g = np.maximum(_non_increasing(counts), found.least)
    h = np.maximum(1 - a - b * g, 0.0) / max(1 - a - b, 1e-12)
    share = np.minimum(a * h / np.maximum(g, 1e-12), 1.0) if a > 0 else np.zeros(_BINS)
    at = np.minimum((fit.middle[fit.judged] * _BINS).astype(np.int64), _BINS - 1)
    result[fit.judged] = share[at]
    return result


def _inside(place: NDArray[np.float64], edge: float) -> NDArray[np.bool_]:
    return (place >= edge) & (place < edge + WINDOW)


def _solve(head: Any, least: Any) -> tuple[Any, Any]:
    """Both shares from both densities, numbers or arrays; within [0, 1]."""
    least = np.clip(least, 0.0, 1.0)
    gap = np.maximum(head - least, 1e-12)
    return np.clip(least * (head - 1) / gap, 0.0, 1.0), np.clip((1 - least) / gap, 0.0, 1.0)


def _resample(terms: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples, 3] sums over users drawn with replacement."""
    n, stream = len(terms), draw.key(seed, "audit-bootstrap")
    result = np.empty((resamples, terms.shape[1]))
    for k in range(resamples):
        times: Index = np.bincount(draw.integers(stream, [k], n, columns=n)[0], minlength=n)
        result[k] = times @ terms
    return result


def _non_increasing(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closest non-increasing sequence in squares: pool adjacent violators.

    >>> _non_increasing(np.array([3.0, 1.0, 2.0, 0.0])).tolist()
    [3.0, 1.5, 1.5, 0.0]
    """
    blocks: list[tuple[float, int]] = []
    for value in y:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] < mean:
            before, n = blocks.pop()
            mean, size = (mean * size + before * n) / (size + n), size + n
        blocks.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in blocks])
