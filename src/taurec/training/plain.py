"""A step on a backbone without layers, which reads and moves the rows of its batch instead of whole tables."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from taurec.kernels import available
from taurec.run import Run
from taurec.training.adam import Adam
from taurec.training.penalty import Counted, count
from taurec.training.tables import LateTable, UnitTable
from taurec.types import Batch, Embeddings, StepShape

Way = Literal["late", "unit", "whole"]
MANY = 4
"""Ids a step as a share of the table from which on it is walked whole: rows <= MANY * ids."""


class Ways(NamedTuple):
    """How each table is moved: ``late`` and ``unit`` by the tables of those names, ``whole`` by autograd and Adam."""

    user: Way
    item: Way


def by_counts(run: Run) -> bool:
    """Whether the gradient of the L2 term is a row's count in the batch times the row, which whoever moves it adds."""
    return run.l2 > 0 and run.l2_mode in ("gathered", "sum") and run.l2_on == "ego"


def decays(run: Run) -> bool:
    """Whether the gradient of the L2 term is every row times its strength: a decay, for whoever moves the tables."""
    return run.l2 > 0 and run.l2_mode == "tables"


def strength(run: Run, batch: Batch) -> float:
    """What that count is multiplied by."""
    return run.l2 / (len(batch.user) if run.l2_mode == "gathered" else 1)


def ways(run: Run, shape: StepShape, n_users: int, n_items: int, kernel: str) -> Ways:
    """How a step moves the tables of a backbone without layers: a function of the run and of shapes alone.

    Args:
        shape: what the negatives have a step read.
        kernel: what scores the negatives, ``numba`` or ``torch``.
    """
    whole = Ways("whole", "whole")
    if run.kernel in ("torch", "triton") or run.device != "cpu" or available()["numba"] != "ok":
        return whole
    mode = run.l2_mode if run.l2 > 0 else None
    user: Way = "late" if n_users > MANY * run.batch_size else "whole"
    item: Way = "whole"
    if shape.rows is not None and n_items > MANY * shape.rows:
        item = "late"
    elif shape.gathered and run.train_score == "cosine" and kernel == "numba" and mode != "unsquared":
        item = "unit"
    if decays(run) and "whole" in (user, item):
        return whole
    return Ways(user, item)


@dataclass(frozen=True)
class Taken:
    """What a step works on.

    Attributes:
        embeddings: of the rows needed.
        batch: the batch with the places of users and items in those.
        d_item: see :func:`taurec.scoring.batch_scores`.
        counted: see :func:`taurec.training.penalty.l2_penalty`.
    """

    embeddings: Embeddings
    batch: Batch
    d_item: Tensor | None = None
    counted: Counted | None = None


class PlainTables:
    """The tables of a backbone that hands them to the scorer as they are.

    Args:
        embeddings: what the backbone yields, whose vectors are its parameters.
        adam: holds the moments; what is moved here it no longer moves.
        shape: what the negatives have a step read.
        batch: the first one; its types decide on the kernel.
    """

    def __init__(self, run: Run, embeddings: Embeddings, adam: Adam, shape: StepShape, batch: Batch):
        self.run, self._whole = run, embeddings
        kernel = batch.negatives.scored_by(embeddings.user, embeddings.item, run.kernel, run.batch_size)
        self.ways = ways(run, shape, len(embeddings.user), len(embeddings.item), kernel)
        self.decays = decays(run) and "whole" not in self.ways
        decay = run.l2 if self.decays else adam.weight_decay
        self.user: LateTable | None = None
        self.item: LateTable | UnitTable | None = None
        if self.ways.user == "late":
            self.user = LateTable(*adam.release("user"), adam.lr, decay, adam.steps)
        if self.ways.item != "whole":
            kind = UnitTable if self.ways.item == "unit" else LateTable
            self.item = kind(*adam.release("item"), adam.lr, decay, adam.steps)

    @property
    def unit(self) -> UnitTable | None:
        """The table whose gradient autograd does not hold, if there is one."""
        return self.item if isinstance(self.item, UnitTable) else None

    def use_lr(self, lr: float) -> None:
        """The step size of the next step; rows that owe earlier ones take them at theirs."""
        for table in (self.user, self.item):
            if table is not None:
                table.lr = lr

    def take(self, batch: Batch) -> Taken:
        """The rows that a step on this batch needs, up to date."""
        user, item, negatives = self._whole.user, self._whole.item, batch.negatives
        d_item: Tensor | None = None
        counted: Counted | None = None
        changed: dict[str, Tensor] = {"user": batch.user, "item": batch.item}
        if self.user is not None:
            user, changed["user"] = self.user.take(batch.user)
        if isinstance(self.item, LateTable):
            drawn = negatives.drawn()
            item, place = self.item.take(batch.item if drawn is None else torch.cat([batch.item, drawn]))
            changed["item"] = place[: len(batch.item)]
            negatives = negatives.at(place[len(batch.item) :])
        elif self.item is not None:
            item, d_item = self.item.unit, self.item.gradient
        local = dataclasses.replace(batch, negatives=negatives, **changed)
        if by_counts(self.run):
            counted = count(local, len(user), len(item))
            if isinstance(self.item, UnitTable):
                counted = counted._replace(square=self.item.square)
        elif self.decays:
            counted = Counted(decayed=True)
        return Taken(Embeddings(user, item, user, item), local, d_item, counted)

    def gradients(self) -> dict[str, Tensor]:
        """Of the rows taken, by the name of the table, where autograd made them."""
        leaves = {"user": self.user, "item": self.item}
        return {k: t.leaf.grad for k, t in leaves.items() if isinstance(t, LateTable) and t.leaf.grad is not None}

    def move(self, taken: Taken) -> bool:
        """One step of Adam; False if a gradient written to ``d_item`` was not finite."""
        l2, counted = strength(self.run, taken.batch), taken.counted or Counted()
        if self.user is not None:
            self.user.move(l2, counted.user)
        if self.item is not None:
            return self.item.move(l2, counted.item)
        return True

    def settle(self) -> None:
        """Bring every row of the backbone's tables up to date."""
        for table in (self.user, self.item):
            if table is not None:
                table.settle()
