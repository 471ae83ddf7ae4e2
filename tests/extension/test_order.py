"""A batch order from outside the package: one user after another, so that a user's pairs meet in a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taurec import Interactions, Recommender, draw
from taurec.testing import check_order


@dataclass(frozen=True)
class UserByUser:
    """All pairs of a user, then all of the next; the users in random order."""

    def bind(self, train: Interactions, batch_size: int, seed: int) -> BoundUserByUser:
        return BoundUserByUser(train, batch_size, seed)


class BoundUserByUser:
    def __init__(self, train: Interactions, batch_size: int, seed: int):
        self.train, self.batch_size, self.seed = train, batch_size, seed

    def batches(self, epoch: int):
        position = draw.permutation(draw.key(self.seed, "users", epoch), self.train.n_users)
        rows = np.argsort(position[self.train.user_of], kind="stable")
        for first in range(0, len(rows), self.batch_size):
            yield rows[first : first + self.batch_size]

    def steps(self, epoch: int) -> int:
        return -(-len(self.train) // self.batch_size)


def test_it_keeps_the_laws() -> None:
    check_order(UserByUser())


def test_a_loss_that_groups_rows_gets_its_groups(log) -> None:
    given = {"negatives": "uniform:8", "epochs": 2, "batch_size": 64, "kernel": "torch"}
    grouped = Recommender("mf", "bsl", order=UserByUser(), **given).fit(log)
    alone = Recommender("mf", "bsl", order="shuffled", **given).fit(log)
    assert grouped.run.order.name == f"{__name__}:UserByUser"
    assert grouped.records[0].loss != alone.records[0].loss
