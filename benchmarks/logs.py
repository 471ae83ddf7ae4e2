"""The log of Yelp2018 where it is at hand, else a random one of its size."""

from __future__ import annotations

import functools
import os

import numpy as np

from taurec.data.interactions import Interactions
from taurec.data.source import open_source

USERS, ITEMS, PAIRS = 31_668, 38_048, 1_400_000


@functools.cache
def yelp2018() -> tuple[Interactions, Interactions, str]:
    """Training and test pairs and the name: those of Yelp2018 if TAUREC_DATA names a folder, else ``random``."""
    if os.environ.get("TAUREC_DATA"):
        parts = open_source("yelp2018")
        assert parts.train is not None
        assert parts.test is not None
        return parts.train, parts.test, "yelp2018"
    train = random_log(USERS, ITEMS, PAIRS)
    test = random_log(USERS, ITEMS, PAIRS // 4, seed=1)
    return train, Interactions(test.indptr, test.indices, train.users, train.items), "random"


def random_log(users: int, items: int, pairs: int, seed: int = 0) -> Interactions:
    """Distinct pairs with skewed degrees; every user and item has one at least."""
    g = np.random.default_rng(seed)
    user, item = (np.floor(n * g.random(pairs) ** 2).astype(np.int64) for n in (users, items))
    user = np.concatenate([user, np.arange(users), g.integers(0, users, items)])
    item = np.concatenate([item, g.integers(0, items, users), np.arange(items)])
    user, item = np.unique(np.stack([user, item]), axis=1)
    return Interactions.from_pairs(user, item)
