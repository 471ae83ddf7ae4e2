"""The order of items with equal scores, a rule that favours no item.

Lists are sorted by score, descending; equal scores by the BLAKE2b hash of the raw item id, then by the id. Ids often
follow first appearance or popularity, so "lower index first" would flatter a model whose scores are
constant; the hash puts it at chance, and lists do not change when items are renumbered.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.vocabulary import Vocabulary


@lru_cache(maxsize=4)
def tie_ranks(items: Vocabulary) -> NDArray[np.int64]:
    """[I] place of each item in the order that settles ties, 0 first.

    >>> tie_ranks(Vocabulary(["a", "b", "c"])).tolist() == tie_ranks(Vocabulary(["c", "b", "a"])).tolist()[::-1]
    True
    """
    digests = b"".join(hashlib.blake2b(raw.encode(), digest_size=8).digest() for raw in items.ids.to_list())
    frame = pl.DataFrame({"hash": np.frombuffer(digests, dtype="<u8"), "id": items.ids})
    order = frame.select(pl.arg_sort_by("hash", "id")).to_series().to_numpy()
    ranks = np.empty(len(items), dtype=np.int64)
    ranks[order] = np.arange(len(items))
    ranks.setflags(write=False)
    return ranks
