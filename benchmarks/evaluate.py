"""Ranking the whole catalogue for every test user of Yelp2018, and Recall and NDCG of the lists.

    python -m benchmarks evaluate [--threads 1 2] [--rounds 3]

Two tables of random vectors of width 64; a table trained on the log takes as long. The log is Yelp2018's if
TAUREC_DATA names a folder, else a random one of its size.

- ``torch``: blocks of 1,024 users: matmul, training items masked by index, topk; no metrics.
- ``products``: the matrix products of ``torch`` alone.
- ``ours``: ``evaluate_ranker`` with Recall@20 and NDCG@20, lists exact with the tie rule.

Before any time is printed, the lists of both are compared on random vectors, where ties have no weight.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.logs import random_log, yelp2018
from benchmarks.runner import Case, Path, run
from taurec.data.interactions import Interactions
from taurec.evaluation.lists import top_k
from taurec.evaluation.ranking import evaluate_ranker
from taurec.ranker import EmbeddingRanker

K, ROWS = 20, 1024


def tables(log: Interactions, dim: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    user, item = (torch.randn(n, dim, generator=g) for n in (log.n_users, log.n_items))
    return user, item


def plain(user: Tensor, item: Tensor, train: Interactions, users: np.ndarray) -> Tensor:
    """[u, K] the best items, without the training items."""
    lists = []
    for start in range(0, len(users), ROWS):
        of = users[start : start + ROWS]
        scores = user[torch.from_numpy(of)] @ item.T
        first = train.indptr[of]
        count = train.indptr[of + 1] - first
        row = np.repeat(np.arange(len(of)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        scores[torch.from_numpy(row), torch.from_numpy(train.indices[first[row] + within])] = -torch.inf
        lists.append(scores.topk(K)[1])
    return torch.cat(lists)


def products(user: Tensor, item: Tensor, users: np.ndarray) -> None:
    for start in range(0, len(users), ROWS):
        user[torch.from_numpy(users[start : start + ROWS])] @ item.T


def check() -> float:
    """2 if a list differs from plain torch's."""
    train = random_log(1200, 4000, 30_000)
    user, item = tables(train, 64)
    users = np.arange(train.n_users)
    found = top_k(EmbeddingRanker(user.numpy(), item.numpy()), users, K, seen=train).items
    return 0.0 if np.array_equal(found, plain(user, item, train, users).numpy()) else 2.0


def path(name: str) -> Path:
    def make(given: argparse.Namespace) -> Callable[[], object]:
        train, test, _ = yelp2018()
        user, item = tables(train, given.dim)
        users, ranker = np.flatnonzero(test.user_counts), EmbeddingRanker(user.numpy(), item.numpy())
        if name == "torch":
            return lambda: plain(user, item, train, users)
        if name == "products":
            return lambda: products(user, item, users)
        return lambda: evaluate_ranker(ranker, test, train, f"recall@{K},ndcg@{K}")

    return Path(make)


def about(given: argparse.Namespace) -> dict[str, Any]:
    train, test, name = yelp2018()
    size = {"log": name, "users": int((test.user_counts > 0).sum()), "items": train.n_items}
    return size | {"dim": given.dim, "k": K}


def main() -> None:
    paths = {name: path(name) for name in ("torch", "products", "ours")}
    run(
        Case(
            "evaluate",
            __doc__,
            {"all users": paths},
            check,
            about,
            lambda parser: parser.add_argument("--dim", type=int, default=64),
        )
    )
