"""Rows that came too fast: many by one user within a minute, against that user's own rate and the log's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.studies.audit.log.robust import upper_limit

WINDOW = 60.0
"""Seconds."""

LEAST = 10
"""Fewest rows of a burst in one window."""

OVER_OWN_RATE = 5.0
"""A burst has this many times the rows that a window would hold if the user's rows were spread evenly in time."""


@dataclass(frozen=True, eq=False)
class Bursts:
    """Rows in bursts.

    Attributes:
        rows: [P] bool, the rows of a burst.
        users: how many users have one.
        usual: the median over users of the most rows in one window.
        skipped: why nothing was looked for, or an empty text.
    """

    rows: NDArray[np.bool_]
    users: int = 0
    usual: float = 0.0
    skipped: str = ""


def bursts(log: Interactions) -> Bursts:
    """The rows in a window of :data:`WINDOW` seconds with unusually many rows of their user.

    A window of a user counts as a burst if it holds at least :data:`LEAST` rows, more than
    :data:`OVER_OWN_RATE` times the user's own rate, and more than is usual in this log: its logarithm lies
    above the median of the users' fullest windows by more than 3.5 robust deviations
    (:func:`taurec.studies.audit.log.robust.upper_limit`). Where everybody rates twenty films in one
    sitting, twenty are no burst. Users with one row are left out.

    >>> user, item = np.divmod(np.arange(200), 40)
    >>> time = np.where((user == 3) & (item < 35), item, item * 3600.0)
    >>> found = bursts(Interactions.from_pairs(user, item, time=time))
    >>> found.users, int(found.rows.sum())
    (1, 35)
    """
    nothing = np.zeros(len(log), dtype=bool)
    if log.time is None:
        return Bursts(nothing, skipped="the log has no times")
    if len(log) < 2 or log.time.min() == log.time.max():
        return Bursts(nothing, skipped="all times are equal")
    order = np.lexsort([log.time, log.user_of])
    user, time = log.user_of[order], log.time[order] - log.time.min()
    line = user * (time.max() + 2 * WINDOW) + time  # one axis on which users lie far apart
    last = np.searchsorted(line, line + WINDOW, side="left")
    held = last - np.arange(len(line))  # rows in the window that begins with each row
    several = log.user_counts >= 2
    peak = np.zeros(log.n_users, dtype=np.int64)
    np.maximum.at(peak, user, held)
    start = np.minimum(log.indptr[:-1], len(log) - 1)
    end = np.maximum(log.indptr[1:] - 1, 0)
    own = log.user_counts / np.maximum((time[end] - time[start]) / WINDOW, 1.0)
    unusual = np.exp(upper_limit(np.log(peak[several])))
    full = (held >= LEAST) & (held > OVER_OWN_RATE * own[user]) & (held > unusual)
    # Each full window marks the rows from its first to its last.
    edges = np.zeros(len(line) + 1, dtype=np.int64)
    np.add.at(edges, np.flatnonzero(full), 1)
    np.add.at(edges, last[full], -1)
    rows = nothing
    rows[order] = np.cumsum(edges[:-1]) > 0
    usual = float(np.median(peak[several])) if several.any() else 0.0
    return Bursts(rows, len(np.unique(log.user_of[rows])), usual)
