"""Which items a user is known to like, asked for a whole batch at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from taurec.data.interactions import Index, Interactions
from taurec.kernels.draws import member
from taurec.kernels.draws.reference import cells


class Known:
    """The positives of a training log as a set per user.

    Args:
        train: the log whose pairs count as known.

    >>> known = Known(Interactions.from_pairs([0, 0, 1], [0, 2, 1]))
    >>> known.among(np.array([0, 1]), np.array([0, 1, 2])).tolist()
    [[True, False, True], [False, True, False]]
    >>> known.free(np.array([1, 1]), np.array([0, 1])).tolist()
    [0, 2]
    """

    def __init__(self, train: Interactions):
        self.train = train

    def among(self, user: Index, ids: Index) -> NDArray[np.bool_]:
        """Which ids are positives of the row's user.

        Args:
            user: [B].
            ids: [B, N] for each row its own, or [N] for all rows.
        Returns: [B, N].
        """
        return member(self.train.indptr, self.train.indices, self.train.n_items, user, ids)

    def free(self, user: Index, rank: Index) -> Index:
        """[M] the item at 0-based place ``rank`` among those that ``user`` does not have, ascending.

        The k-th positive p lies below that item exactly if p - k <= rank, so the number of such
        positives, found by one binary search over the log, is what has to be added to the rank.
        """
        keys, indptr = self._gaps, self.train.indptr
        below = np.searchsorted(keys, user * self.train.n_items + rank, side="right") - indptr[user]
        result: Index = rank + below
        return result

    @cached_property
    def _gaps(self) -> Index:
        train = self.train
        place = np.arange(len(train)) - train.indptr[train.user_of]
        return train.user_of * train.n_items + train.indices - place

    def cells(self, user: Index) -> Index:
        """Flat positions in a [B, I] table of the positives of the rows' users, in each row as in the log."""
        return cells(self.train.indptr, self.train.indices, self.train.n_items, user)
