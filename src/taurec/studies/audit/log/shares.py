"""Estimates of the share of random rows in a log, and of the share of sampled negatives that are probably positives.

Both follow from the percentiles of :mod:`taurec.studies.audit.log.crossfit`: rows and unseen pairs are two mixtures
of the same two kinds of pairs, those that a user likes and meaningless ones, in different shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError
from taurec.evaluation.significance import Interval
from taurec.studies.audit.log.crossfit import CrossFit, Floats

HEAD = 0.05
"""The head of the lists: the percentiles in which nearly all unseen pairs are assumed to be liked."""
BLIND = 1.2
"""The largest density in the head (1 is chance) at which a model counts as uninformative about a group."""
WINDOW = 0.2
"""The width of the windows beyond the middle of the lists; the emptiest of them shows the share of random rows."""
MIN_SCORED = 200
"""Minimum number of scored rows for an estimate; with fewer, a window would hold too few of them."""
_BINS = 100


@dataclass(frozen=True)
class Shares:
    """The estimated shares of false positives and of hidden positives, with the numbers they are based on.

    Attributes:
        false_positives: share of the scored rows that cannot be distinguished from random items: an upper bound.
        hidden_positives: share of a user's unseen pairs that are probably liked, each user weighted by their rows as in
            uniform sampling of negatives: an upper bound.
        known_positives: share of negatives drawn uniformly from the whole catalogue that are rows of the log, exact.
        head_density, least_density: density of the rows' percentiles in the head and the emptiest window; 1 is that of
            unseen pairs.
        scored: share of the rows that could be scored.
    """

    false_positives: Interval
    hidden_positives: Interval
    known_positives: float
    head_density: float
    least_density: float
    scored: float
    judge: str


def shares(log: Interactions, fit: CrossFit, *, resamples: int = 500, seed: int = 0) -> Shares:
    """The share of false positives among the rows, and of probable positives among unseen pairs.

    For each group of about equally popular items: let g be the density of the rows' percentiles among the user's unseen
    items of the group, so that unseen pairs have density 1, f of liked and h of meaningless pairs; a is the share of
    false positives, b that of liked pairs among the unseen:

        g = (1 - a) f + a h,    1 = b f + (1 - b) h

    If the head of the lists (h = 0) and some window beyond their middle (f = 0) belong to one kind alone, then

        g_head = (1 - a) / b,  g_least = a / (1 - b),  so  b = (1 - g_least) / (g_head - g_least),
        a = g_least (g_head - 1) / (g_head - g_least)

    Where they do not, both are too high: the estimates are the largest shares that the percentiles allow. g_head is
    over percentiles below :data:`HEAD`; g_least the window of width :data:`WINDOW` that is emptiest over all groups,
    of those from 1/2, 6/10, 7/10 and 8/10 on. The groups' a are weighted by their rows, their b by the unseen pairs in
    them. A group in which the model is blind (g_head <= :data:`BLIND`) counts as all false positives and is left out
    of b. Intervals: 95 % bootstrap over users, the window kept.

    Assumes: within a group a liked pair is logged, and a false positive comes about, without regard to the percentile.
    Over all items this does not work: popular pairs are logged before rare ones that are liked as much, and hidden
    positives then come out far too low (tests/diagnostics/audit/test_shares.py). What is left of that
    skew within a group makes the estimate of false positives too low where they prefer popular items.
    The errors on planted worlds: ``python -m benchmarks audit planted``, docs/audit.md.

    Raises: UsageError if fewer than :data:`MIN_SCORED` rows were scored, or the model ranks rows no better than chance.
    Source: the two-sample mixture model of Scott, Blanchard and Handy, COLT 2013; with b = 0 the estimate of a is
        that of Storey (J. R. Stat. Soc. B 64, 2002) for the share of true null hypotheses. The percentiles as
        p-values of a cross-fitted model are TauRec's.

    >>> from taurec.data.planted import planted
    >>> from taurec.studies.audit.log.crossfit import cross_fit
    >>> world = planted(n_users=300, n_items=100, per_user=12, noise=0.2, seed=1)
    >>> found = shares(world.log, cross_fit(world.log, "itemknn"))
    >>> round(found.false_positives.mean, 1), round(found.hidden_positives.mean, 1)
    (0.2, 0.2)
    """
    scored = np.flatnonzero(fit.scored)
    if len(scored) < MIN_SCORED:
        raise UsageError(
            f"{len(scored)} of {len(log)} rows could be scored, and an estimate needs {MIN_SCORED}; the user or "
            "item of the others occurs once"
        )
    # One window for all groups, since the emptiest of each would be too low by chance.
    peers = fit.among_peers[scored]
    edge = min((0.5, 0.6, 0.7, 0.8), key=lambda edge: int(_inside(peers, edge).sum()))
    of = fit.group[log.indices[scored]]
    groups = np.unique(of)
    each = np.stack([_terms(log, scored[of == g], peers[of == g], edge) for g in groups])
    total = each.sum(axis=1)
    rows_of = total[:, 2]
    density = (total[:, :2] / rows_of[:, None] * (rows_of / rows_of.sum())[:, None]).sum(axis=0)
    if density[0] <= BLIND or density[1] >= density[0]:
        raise UsageError(
            f"{fit.judge} ranks the log's own rows no better than chance (density {density[0]:.2f} in the head of the "
            "lists, 1 is chance), so nothing can be estimated; try another judge or a log with more rows per user"
        )
    unseen = _unseen(log, fit.group)[groups]
    means = _solve(total[None], unseen)[:, 0]
    bounds = np.quantile(_solve(_resample(each, resamples, seed), unseen), [0.025, 0.975], axis=1)
    known = float((log.user_counts.astype(np.float64) ** 2).sum() / (len(log) * log.n_items))
    false, hidden = (Interval(*map(float, (mean, *around))) for mean, around in zip(means, bounds.T, strict=True))
    return Shares(false, hidden, known, float(density[0]), float(density[1]), float(fit.scored.mean()), fit.judge)


def chance(fit: CrossFit, found: Shares) -> Floats:
    """[P] the estimated share of meaningless rows at the row's percentile, in [0, 1]; nan where not scored.

        chance = a h / g,  h = ((1 - a) - b g) / (1 - a - b) cut off below 0

    with g a histogram of 100 bins of the percentiles among all unseen items, non-increasing (pool adjacent violators),
    and a, b of :func:`shares`. The percentile is among all items, not among items of the same popularity: rarity is
    evidence too, and injected rows are found better with it (docs/audit.md).
    """
    a, b = found.false_positives.mean, found.hidden_positives.mean
    result = np.full(len(fit.percentile), np.nan)
    percentile = fit.percentile[fit.scored]
    counts = np.histogram(percentile, bins=_BINS, range=(0.0, 1.0))[0] * (_BINS / len(percentile))
    g = np.maximum(_non_increasing(counts), 1.0 / len(percentile))
    h = np.maximum(1 - a - b * g, 0.0) / max(1 - a - b, 1e-12)
    share = np.minimum(a * h / g, 1.0) if a > 0 else np.zeros(_BINS)
    at = np.minimum((fit.middle[fit.scored] * _BINS).astype(np.int64), _BINS - 1)
    result[fit.scored] = share[at]
    return result


def _terms(log: Interactions, rows: Index, percentile: Floats, edge: float) -> Floats:
    """[U, 3] of each user: rows in the head over its width, rows in the window over its width, rows."""
    users = log.user_of[rows]
    head = np.bincount(users, percentile < HEAD, log.n_users) / HEAD
    least = np.bincount(users, _inside(percentile, edge), log.n_users) / WINDOW
    return np.stack([head, least, np.bincount(users, minlength=log.n_users)], axis=1)


def _unseen(log: Interactions, group: Index) -> Floats:
    """[G] the frequency with which a uniform negative is an unseen item of each group, users weighted by their rows."""
    n_groups = int(group.max()) + 1
    weight = log.user_counts / np.maximum(log.n_items - log.user_counts, 1)
    seen = np.bincount(group[log.indices], weights=weight[log.user_of], minlength=n_groups)
    left: Floats = np.bincount(group, minlength=n_groups) * weight.sum() - seen
    return left


def _inside(percentile: Floats, edge: float) -> NDArray[np.bool_]:
    return (percentile >= edge) & (percentile < edge + WINDOW)


def _solve(totals: Floats, unseen: Floats) -> Floats:
    """[2, n] both shares over all groups, from sums [n, G, 3]: a weighted by rows, b by unseen pairs."""
    rows = np.maximum(totals[:, :, 2], 1e-12)
    head, least = totals[:, :, 0] / rows, np.clip(totals[:, :, 1] / rows, 0.0, 1.0)
    gap, seeing = np.maximum(head - least, 1e-12), head > BLIND
    a = np.where(seeing, np.clip(least * (head - 1) / gap, 0.0, 1.0), 1.0)
    b = np.where(seeing, np.clip((1 - least) / gap, 0.0, 1.0), 0.0)
    weight = np.where(seeing, unseen, 0.0)
    hidden = (b * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    return np.stack([(a * rows).sum(axis=1) / rows.sum(axis=1), hidden])


def _resample(terms: Floats, resamples: int, seed: int) -> Floats:
    """[resamples, G, 3] sums of [G, U, 3] over users drawn with replacement."""
    n, stream = terms.shape[1], draw.key(seed, "audit-bootstrap")
    flat = terms.transpose(1, 0, 2).reshape(n, -1)
    result = np.empty((resamples, flat.shape[1]))
    for k in range(resamples):
        times: Index = np.bincount(draw.integers(stream, [k], n, columns=n)[0], minlength=n)
        result[k] = times @ flat
    return result.reshape(resamples, terms.shape[0], 3)


def _non_increasing(y: Floats) -> Floats:
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
