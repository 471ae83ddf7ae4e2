"""Detection of users who behave like programs, and of rows that came in bursts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Index, Interactions
from taurec.studies.audit.log.crossfit import CrossFit, Floats

Flags = NDArray[np.bool_]

MIN_ROWS = 20
"""Minimum number of rows of a user for the signs ``uniform``, ``regular`` and ``chance``."""
CATALOGUE = 0.5
"""Share of the catalogue above which a user shows the sign ``catalogue``."""
CLOCK = 0.1
"""Standard deviation of the gaps between rows, divided by their mean, below which they are regular; 1 is chance."""
SIGNS = {
    "activity": "far more rows than the others",
    "catalogue": "more than half of the catalogue",
    "uniform": "items no more popular than random ones",
    "regular": "rows at regular intervals",
    "chance": "rows that a model cannot distinguish from random ones",
}
DECISIVE = ("regular", "chance")
"""Signs of which one is enough to call a user bot-like; of the others, two are needed."""

WINDOW = 60.0
"""Length of the window of a burst, in seconds."""
BURST = 10
"""Minimum number of rows in a window that counts as a burst."""
OVER_OWN_RATE = 5.0
"""A burst has more than this many times the rows of a window if the user's rows were spread evenly in time."""


def upper_limit(x: Floats) -> float:
    """The limit above which a value is an outlier: median + 3.5 max(1.4826 median |x - median|, 0.1).

    1.4826 times the median absolute deviation estimates the standard deviation of a normal sample, and outliers hardly
    change it as long as they are fewer than half of the values. The minimum deviation of 0.1 is for values that are
    nearly all equal. Without values the limit is inf.

    Source: the modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993), who take 3.5 too.

    >>> round(upper_limit(np.array([1.0, 2.0, 3.0, 4.0, 100.0])), 2)
    8.19
    """
    if not len(x):
        return float("inf")
    middle = float(np.median(x))
    return middle + 3.5 * max(1.4826 * float(np.median(np.abs(x - middle))), 0.1)


@dataclass(frozen=True, eq=False)
class Bots:
    """The signs that each user shows.

    Attributes:
        signs: sign -> [U] bool.
        skipped: sign -> why it was not checked.
    """

    signs: dict[str, Flags]
    skipped: dict[str, str]

    @property
    def users(self) -> Flags:
        """[U] the bot-like: with one decisive sign, or with two others."""
        alone = np.logical_or.reduce([self.signs[name] for name in DECISIVE])
        others = np.sum([who for name, who in self.signs.items() if name not in DECISIVE], axis=0)
        users: Flags = alone | (others >= 2)
        return users

    def of(self, user: int) -> list[str]:
        """The signs of one user."""
        return [name for name, who in self.signs.items() if who[user]]


def bots(log: Interactions, fit: CrossFit | None = None) -> Bots:
    """Find users who are far more active than others, act at regular intervals, or choose at random, by five signs.

    - ``activity``: the logarithm of the number of rows lies above the users' median by more than 3.5 robust
      deviations (:func:`upper_limit`).
    - ``catalogue``: the user has more than half of all items (in catalogues of at least 40).
    - ``uniform``: at least 20 rows whose items are no more popular than items drawn uniformly: the mean of log(1 +
      other users) lies less than two standard errors above that of the catalogue, and below the users' median by
      more than 3.5 robust deviations. So no user is flagged in a log without popularity.
    - ``regular``: at least 20 rows at different times, and the gaps between them vary by less than a tenth of
      their mean. Rows of human users come in sessions, with a variation above 1.
    - ``chance``: at least 20 scored rows whose mean position is not below 1/2 by two standard errors
      (``fit``): a model of all other users cannot distinguish this user's rows from random ones.

    A user is bot-like with ``regular`` or ``chance``, or with two of the others. One of the others is not enough: very
    active human users also have many rows or unpopular items.

    Args:
        fit: percentiles of :func:`taurec.studies.audit.log.crossfit.cross_fit`; without it ``chance`` is skipped.

    >>> log = Interactions.from_pairs([0] * 30, range(30), time=range(0, 1800, 60))
    >>> bots(log).of(0)
    ['regular']
    """
    counts, nobody = log.user_counts, np.zeros(log.n_users, dtype=bool)
    there, skipped = counts > 0, {}
    activity = there & (np.log(np.maximum(counts, 1)) > upper_limit(np.log(counts[there])))
    catalogue = (counts > CATALOGUE * log.n_items) if log.n_items >= 2 * MIN_ROWS else nobody
    regular = chance = nobody
    if log.time is None or not len(log):
        skipped["regular"] = "the log has no times"
    else:
        regular = _regular(log, log.time)
    if fit is None:
        skipped["chance"] = "no model scored the rows"
    else:
        n, percentile = _mean_by_user(log, log.user_of[fit.scored], fit.percentile[fit.scored])
        chance = (n >= MIN_ROWS) & (percentile > 0.5 - 2 * np.sqrt(1 / (12 * np.maximum(n, 1))))
    return Bots(dict(zip(SIGNS, (activity, catalogue, _uniform(log), regular, chance), strict=True)), skipped)


def _regular(log: Interactions, time: Floats) -> Flags:
    order = np.lexsort([time, log.user_of])
    user, gap = log.user_of[order], np.diff(time[order])
    # Rows with the same time have no gap; a user whose rows have only a few distinct times is not regular.
    kept = (user[1:] == user[:-1]) & (gap > 0)
    user, gap = user[1:][kept], gap[kept]
    n, mean = _mean_by_user(log, user, gap)
    spread = np.sqrt(_mean_by_user(log, user, (gap - mean[user]) ** 2)[1])
    return (n >= MIN_ROWS - 1) & (n >= 0.8 * (log.user_counts - 1)) & (spread < CLOCK * mean)


def _uniform(log: Interactions) -> Flags:
    others = np.log(log.item_counts[log.indices].astype(np.float64))  # log(1 + other users)
    n, mean = _mean_by_user(log, log.user_of, others)
    drawn = np.log1p(log.item_counts.astype(np.float64))
    near = mean < drawn.mean() + 2 * drawn.std() / np.sqrt(np.maximum(n, 1))
    return (n >= MIN_ROWS) & near & (-mean > upper_limit(-mean[n >= MIN_ROWS]))


def _mean_by_user(log: Interactions, user: Index, values: Floats) -> tuple[Index, Floats]:
    """[U] the number of values of each user, and their mean; 0 where there are none."""
    n = np.bincount(user, minlength=log.n_users)
    return n, np.bincount(user, values, log.n_users) / np.maximum(n, 1)


@dataclass(frozen=True, eq=False)
class Bursts:
    """Rows in bursts.

    Attributes:
        rows: [P] bool, the rows of a burst.
        users: the number of users with a burst.
        usual: the median over users of the largest number of rows in one window.
        skipped: why bursts were not checked, or an empty text.
    """

    rows: Flags
    users: int = 0
    usual: float = 0.0
    skipped: str = ""


def bursts(log: Interactions) -> Bursts:
    """Find rows in bursts: in a window of :data:`WINDOW` seconds with unusually many rows of their user.

    A window of a user counts as a burst if it holds at least :data:`BURST` rows, more than
    :data:`OVER_OWN_RATE` times the user's own rate, and more than is usual in this log: its logarithm lies
    above the median of the users' fullest windows by more than 3.5 robust deviations (:func:`upper_limit`).
    If it is usual in a log to rate twenty films at once, twenty rows are not a burst. Users with one row are left out.

    >>> user, item = np.divmod(np.arange(200), 40)
    >>> time = np.where((user == 3) & (item < 35), item, item * 3600.0)
    >>> found = bursts(Interactions.from_pairs(user, item, time=time))
    >>> found.users, int(found.rows.sum())
    (1, 35)
    """
    rows = np.zeros(len(log), dtype=bool)
    if log.time is None:
        return Bursts(rows, skipped="the log has no times")
    if len(log) < 2 or log.time.min() == log.time.max():
        return Bursts(rows, skipped="all times are equal")
    order = np.lexsort([log.time, log.user_of])
    user, time = log.user_of[order], log.time[order] - log.time.min()
    line = user * (time.max() + 2 * WINDOW) + time  # one axis on which users lie far apart
    last = np.searchsorted(line, line + WINDOW, side="left")
    held = last - np.arange(len(line))  # rows in the window that begins with each row
    peak = np.zeros(log.n_users, dtype=np.int64)
    np.maximum.at(peak, user, held)
    peak = peak[log.user_counts >= 2]
    start, end = np.minimum(log.indptr[:-1], len(log) - 1), np.maximum(log.indptr[1:] - 1, 0)
    own = log.user_counts / np.maximum((time[end] - time[start]) / WINDOW, 1.0)
    unusual = np.exp(upper_limit(np.log(peak)))
    full = (held >= BURST) & (held > OVER_OWN_RATE * own[user]) & (held > unusual)
    # Each full window marks the rows from its first to its last.
    edges = np.zeros(len(line) + 1, dtype=np.int64)
    np.add.at(edges, np.flatnonzero(full), 1)
    np.add.at(edges, last[full], -1)
    rows[order] = np.cumsum(edges[:-1]) > 0
    return Bursts(rows, len(np.unique(log.user_of[rows])), float(np.median(peak)) if len(peak) else 0.0)
