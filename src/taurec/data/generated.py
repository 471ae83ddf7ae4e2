"""A log of any size, for measuring speed and memory; nothing can be learnt from it.

For a world whose tastes are known see :mod:`taurec.data.planted`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError

_BLOCK = 1 << 20


def generated(n_users: int, n_items: int, n_pairs: int, skew: float = 2.0, seed: int = 0) -> Interactions:
    """About ``n_pairs`` random pairs, users alike and items popular by their number.

    Item ``floor(I * u ** skew)`` with u uniform: the share of the first x of the items is ``x ** (1 / skew)``, so
    that with skew 2 a tenth of the items has a third of the pairs. Users are uniform. A pair drawn twice is kept
    once, and there may be users and items without any.

    Args:
        n_users, n_items, n_pairs: sizes.
        skew: 1 makes all items alike.
        seed: of the draws.
    Raises: UsageError for a size below 1 or a skew below 1.

    >>> log = generated(100, 50, 400)
    >>> log.n_users, log.n_items, bool(log.item_counts[:5].sum() > log.item_counts[-5:].sum())
    (100, 50, True)
    """
    if min(n_users, n_items, n_pairs) < 1 or skew < 1:
        raise UsageError(
            f"generated needs sizes and skew of at least 1; got n_users={n_users}, n_items={n_items}, "
            f"n_pairs={n_pairs}, skew={skew}"
        )
    key = np.empty(n_pairs, np.int64)
    stream = draw.key(seed, "generated")
    for lo in range(0, n_pairs, _BLOCK):
        rows = np.arange(lo, min(lo + _BLOCK, n_pairs))
        u = draw.uniform(stream, rows, 2)
        key[rows] = _below(u[:, 0], n_users) * n_items + _below(u[:, 1] ** skew, n_items)
    key.sort()
    first = np.ones(n_pairs, bool)
    np.not_equal(key[1:], key[:-1], out=first[1:])
    key = key[first]
    indptr = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(key // n_items, minlength=n_users), out=indptr[1:])
    key %= n_items
    return Interactions(indptr, key, Vocabulary.numbered(n_users), Vocabulary.numbered(n_items))


def _below(u: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    return np.minimum((u * n).astype(np.int64), n - 1)
