"""Cross-fitting: the plausibility of each row of a log by a model fitted without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.baselines import BASELINES
from taurec.data.interactions import Index, Interactions
from taurec.errors import UsageError
from taurec.ranker import Ranker
from taurec.studies.audit.fairness.groups import popularity_groups
from taurec.studies.opening import Note, silent

LARGE = 5000
"""Number of items from which the default model is item-kNN; the cost of EASE grows with the cube of this number."""
GROUPS = 5
"""Popularity groups of items with equal interaction mass; rows also get a percentile within their item's group."""
ROWS_A_GROUP = 400
"""Minimum number of rows per group; smaller logs have fewer groups."""
_USERS_AT_ONCE = 256

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The percentiles of the rows of a log in the lists of models fitted without them.

    Attributes:
        percentile: [P] the share of the user's unseen items that the model ranks above the row's item: near 0 for
            an expected item, uniform over 0..1 for an item drawn at random; nan where it was not scored.
        among_peers: [P] the same among the user's unseen items of the row's own popularity group alone.
        group: [I] the popularity group of each item (:func:`taurec.studies.audit.fairness.groups.popularity_groups`).
        middle: [P] as ``percentile``, with half of the items with equal scores above and no draw: for ranking rows.
        judge: the model, with its settings.
    """

    percentile: Floats
    among_peers: Floats
    group: Index
    middle: Floats
    judge: str
    folds: int

    @property
    def scored(self) -> NDArray[np.bool_]:
        """[P] whether the row could be scored."""
        return ~np.isnan(self.percentile)


def cross_fit(
    log: Interactions,
    judge: str | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    on_progress: Note = silent,
) -> CrossFit:
    """Divide the rows into folds; score each fold by a model fitted to the others.

    For a row (u, i) let N_u be the items without a pair with u in the whole log that have a row outside the fold.

        p = (#{j in N_u: s_uj > s_ui} + V (#{j in N_u: s_uj = s_ui} + 1)) / (|N_u| + 1),  V uniform on (0, 1)

    An item drawn uniformly from N_u and i together has each position with equal probability, for any scores,
    so its position is uniform. A row is not scored (nan) if its item or its user has no row outside
    the fold, or N_u is empty: no model has information about it.

    Args:
        judge: a baseline by name, with settings if wanted: ``ease:100``. None takes ``ease`` below
            :data:`LARGE` items, else ``itemknn``. ``popularity`` is the control: it is not personalised.
        folds: 2 or more; each model is fitted to the other ``folds - 1`` parts.
        seed: of the folds and of V.
    Raises: UsageError for fewer than two folds, an empty log, or an unknown judge.

    >>> from taurec.data.planted import planted
    >>> fit = cross_fit(planted(n_users=40, n_items=40, seed=1).log)
    >>> bool(fit.scored.all()), round(float(fit.percentile.mean()), 2)
    (True, 0.03)
    """
    if folds < 2:
        raise UsageError(f"folds must be at least 2, got {folds}; 5 is usual")
    if len(log) < folds:
        raise UsageError(f"a log of {len(log)} pairs cannot be divided into {folds} folds")
    text = judge or ("ease" if log.n_items < LARGE else "itemknn")
    name, settings = BASELINES.parse(text)
    fold = _deal(log, folds, seed)
    within = draw.uniform(draw.key(seed, "crossfit-ties"), np.arange(len(log)))
    groups = max(1, min(GROUPS, len(log) // ROWS_A_GROUP))
    group = popularity_groups(log, groups).of if groups > 1 else np.zeros(log.n_items, dtype=np.int64)
    percentiles = np.full((3, len(log)), np.nan)
    for k in range(folds):
        on_progress(f"{text}: fold {k + 1} of {folds}")
        train = log.take(fold != k)
        model = BASELINES.build(name, given=settings, seed=seed).fit(train)
        percentiles[:, fold == k] = _judge(model, log, train, np.flatnonzero(fold == k), within, group)
    return CrossFit(percentiles[0], percentiles[1], group, percentiles[2], text, folds)


def _deal(log: Interactions, folds: int, seed: int) -> Index:
    """[P] the fold of each pair: a user's pairs in random order are assigned in turn, beginning at a random fold."""
    order = np.lexsort([draw.bits(draw.key(seed, "crossfit-deal"), np.arange(len(log))), log.user_of])
    turn = np.arange(len(log)) - log.indptr[log.user_of]
    start = draw.integers(draw.key(seed, "crossfit-start"), np.arange(log.n_users), folds)
    fold = np.empty(len(log), dtype=np.int64)
    fold[order] = (turn + start[log.user_of]) % folds
    return fold


def _judge(model: Ranker, log: Interactions, train: Interactions, rows: Index, within: Floats, group: Index) -> Floats:
    """[3, rows] ``percentile``, ``among_peers`` and ``middle`` of ``rows``, which ascend, as do their users."""
    percentiles = np.full((3, len(rows)), np.nan)
    cold = train.item_counts == 0
    able = np.flatnonzero(~cold[log.indices[rows]] & (train.user_counts[log.user_of[rows]] > 0))
    members = [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
    users, starts = np.unique(log.user_of[rows[able]], return_index=True)
    parts = np.split(able, starts[1:])
    for first in range(0, len(users), _USERS_AT_ONCE):
        some = slice(first, first + _USERS_AT_ONCE)
        for scores, user, at in zip(model.block(users[some]), users[some], parts[some], strict=True):
            items = log.indices[rows[at]]
            out = cold.copy()
            out[log.items_of(int(user))] = True
            # [G, 3, rows]: the number of each group's unseen items in total, with a higher and with an equal score
            each = np.stack([_counts(np.sort(scores[those[~out[those]]]), scores[items]) for those in members])
            n, above, equal = each.sum(axis=0)
            if not n[0]:
                continue
            percentiles[0, at] = (above + within[rows[at]] * (equal + 1)) / (n + 1)
            percentiles[2, at] = (above + 0.5 * (equal + 1)) / (n + 1)
            n, above, equal = each[group[items], :, np.arange(len(at))].T
            percentiles[1, at] = np.where(n > 0, (above + within[rows[at]] * (equal + 1)) / (n + 1), percentiles[0, at])
    return percentiles


def _counts(others: NDArray[np.float32], wanted: NDArray[np.float32]) -> Index:
    """[3, rows] the number of ``others`` (ascending scores), of those above each wanted score, and of those equal."""
    n = len(others)
    above = n - np.searchsorted(others, wanted, side="right")
    return np.stack([np.full(len(wanted), n), above, n - np.searchsorted(others, wanted, side="left") - above])
