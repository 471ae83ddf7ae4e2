"""What a backbone costs: declared on the class, from sizes and settings alone, before a table is allocated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taurec.data.interactions import Interactions
from taurec.types import StepShape


@dataclass(frozen=True)
class Sizes:
    """The sizes of a log.

    Attributes:
        users, items, pairs: of the training part.
        valid_users: users that validation ranks.
        history: how many training pairs the user of a pair has, on average over pairs; 0 takes pairs / users.
    """

    users: int
    items: int
    pairs: int
    valid_users: int = 0
    history: float = 0.0

    @classmethod
    def of(cls, train: Interactions, valid: Interactions | None = None) -> Sizes:
        counts = train.user_counts.astype(np.float64)
        history = float((counts * counts).sum() / max(len(train), 1))
        ranked = 0 if valid is None else int((valid.user_counts > 0).sum())
        return cls(train.n_users, train.n_items, len(train), ranked, history)

    @property
    def pairs_of_a_row(self) -> float:
        """Length of the history of a batch row's user."""
        return self.history or self.pairs / max(self.users, 1)


@dataclass(frozen=True)
class StepBytes:
    """Memory of a backbone on the CPU beyond its two tables, their moments and the kept best weights.

    Attributes:
        fixed: arrays made from the log, held all along.
        step: at the peak of a step's forward and backward pass, gradients of the tables included.
    """

    fixed: int = 0
    step: int = 0


@dataclass(frozen=True)
class StepSize:
    """What a declaration of costs is given.

    Attributes:
        log: sizes of the training log.
        batch: rows of a batch.
        negatives: what the negatives have a step read.
        dim: width of the tables.
        rows: of all tables together; 0 takes one for each user and item.
    """

    log: Sizes
    batch: int
    negatives: StepShape
    dim: int
    rows: int = 0

    @property
    def tables(self) -> int:
        """Bytes of the tables."""
        return 4 * self.dim * (self.rows or self.log.users + self.log.items)

    @property
    def item_table(self) -> int:
        return 4 * self.dim * self.log.items

    @property
    def few_rows(self) -> bool:
        """Whether a step asks for the final vectors of some rows alone."""
        n = self.negatives
        return n.rows is not None and (not n.gathered or 2 * self.batch * n.columns <= self.log.items)
