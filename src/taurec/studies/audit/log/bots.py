"""Users who behave like programs: far more active than the rest, regular as a clock, or choosing at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.studies.audit.log.crossfit import CrossFit
from taurec.studies.audit.log.robust import upper_limit

LEAST = 20
"""Fewest rows of a user for the signs that look at how the rows are spread."""

CATALOGUE = 0.5
"""Share of the catalogue from which on a user is remarkable."""

CLOCK = 0.1
"""Standard deviation of the gaps between rows, divided by their mean, below which they are regular; 1 is chance."""

DECISIVE = ("regular", "chance")
"""Signs that make a user bot-like alone; of the others it takes two."""

SIGNS = ("activity", "catalogue", "uniform", *DECISIVE)


@dataclass(frozen=True, eq=False)
class Bots:
    """Which users show which sign.

    Attributes:
        signs: sign -> [U] bool.
        skipped: sign -> why it was not looked for.
    """

    signs: dict[str, NDArray[np.bool_]]
    skipped: dict[str, str]

    @property
    def users(self) -> NDArray[np.bool_]:
        """[U] the bot-like: with one decisive sign, or with two others."""
        alone = np.logical_or.reduce([self.signs[name] for name in DECISIVE])
        others = np.sum([who for name, who in self.signs.items() if name not in DECISIVE], axis=0)
        users: NDArray[np.bool_] = alone | (others >= 2)
        return users

    def of(self, user: int) -> list[str]:
        """The signs of one user."""
        return [name for name, who in self.signs.items() if who[user]]

    def document(self) -> dict[str, Any]:
        """How many users show each sign."""
        return {
            "users": int(self.users.sum()),
            "signs": {name: int(who.sum()) for name, who in self.signs.items()},
            "skipped": dict(self.skipped),
        }


def bots(log: Interactions, fit: CrossFit | None = None) -> Bots:
    """Look for five signs.

    - ``activity``: the logarithm of the number of rows lies above the users' median by more than 3.5 robust
      deviations (:func:`taurec.studies.audit.log.robust.upper_limit`).
    - ``catalogue``: the user has more than half of all items (in catalogues of at least 40).
    - ``uniform``: at least 20 rows whose items are no more popular than items drawn uniformly: the mean of log(1 +
      other users) lies less than two standard errors above that of the catalogue, and below the users' median by
      more than 3.5 robust deviations. So no user is flagged in a log without popularity.
    - ``regular``: at least 20 rows at different times, and the gaps between them vary by less than a tenth of
      their mean. Rows of human users come in sessions, with a variation above 1.
    - ``chance``: at least 20 scored rows whose mean position is not below 1/2 by two standard errors
      (``fit``): a model of all other users cannot distinguish this user's rows from random ones.

    A user is bot-like with ``regular`` or ``chance``, or with two of the others: an avid user has many rows or
    unpopular items too.

    Args:
        fit: places of :func:`taurec.studies.audit.log.crossfit.cross_fit`; without it ``chance`` is skipped.

    >>> log = Interactions.from_pairs([0] * 30, range(30), time=range(0, 1800, 60))
    >>> bots(log).of(0)
    ['regular']
    """
    counts = log.user_counts
    there = counts > 0
    nobody = np.zeros(log.n_users, dtype=bool)
    skipped: dict[str, str] = {}
    activity = there & (np.log(np.maximum(counts, 1)) > upper_limit(np.log(counts[there])))
    catalogue = (counts > CATALOGUE * log.n_items) if log.n_items >= 2 * LEAST else nobody
    regular = nobody
    if log.time is None or not len(log):
        skipped["regular"] = "the log has no times"
    else:
        regular = _regular(log, log.time)
    chance = nobody
    if fit is None:
        skipped["chance"] = "no model scored the rows"
    else:
        chance = _chance(log, fit)
    return Bots(dict(zip(SIGNS, (activity, catalogue, _uniform(log), regular, chance), strict=True)), skipped)


def _regular(log: Interactions, time: NDArray[np.float64]) -> NDArray[np.bool_]:
    order = np.lexsort([time, log.user_of])
    user, gap = log.user_of[order], np.diff(time[order])
    gap, of = gap[user[1:] == user[:-1]], user[1:][user[1:] == user[:-1]]
    of, gap = of[gap > 0], gap[gap > 0]
    n = np.bincount(of, minlength=log.n_users)
    mean = np.bincount(of, gap, log.n_users) / np.maximum(n, 1)
    spread = np.sqrt(np.bincount(of, (gap - mean[of]) ** 2, log.n_users) / np.maximum(n, 1))
    # Rows at one instant have no gap: a user whose rows come in a few instants is no clock.
    return (n >= LEAST - 1) & (n >= 0.8 * (log.user_counts - 1)) & (spread < CLOCK * mean)


def _uniform(log: Interactions) -> NDArray[np.bool_]:
    n = log.user_counts
    able = n >= LEAST
    others = np.log(np.maximum(log.item_counts[log.indices], 1).astype(np.float64))  # log(1 + other users)
    mean = np.bincount(log.user_of, others, log.n_users) / np.maximum(n, 1)
    drawn = np.log1p(log.item_counts.astype(np.float64))
    near = mean < drawn.mean() + 2 * drawn.std() / np.sqrt(np.maximum(n, 1))
    return able & near & (-mean > upper_limit(-mean[able]))


def _chance(log: Interactions, fit: CrossFit) -> NDArray[np.bool_]:
    user, place = log.user_of[fit.judged], fit.place[fit.judged]
    n = np.bincount(user, minlength=log.n_users)
    mean = np.bincount(user, place, log.n_users) / np.maximum(n, 1)
    return (n >= LEAST) & (mean > 0.5 - 2 * np.sqrt(1 / (12 * np.maximum(n, 1))))
