"""Steps on a backbone without layers, which read and update the rows of their batch instead of whole tables."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from taurec.kernels import available
from taurec.run import Run
from taurec.training.adam import Adam
from taurec.training.penalty import RowCounts, count
from taurec.training.tables import SparseAdamTable, UnitAdamTable
from taurec.types import Batch, Embeddings, StepShape

Update = Literal["sparse", "unit", "whole"]
DENSE_RATIO = 4
"""A table is updated whole where it has at most DENSE_RATIO rows per id of a step."""


class TableUpdates(NamedTuple):
    """How each table is updated.

    ``sparse`` is a :class:`SparseAdamTable`, ``unit`` a :class:`UnitAdamTable`, and ``whole`` autograd with Adam.
    """

    user: Update
    item: Update


def by_counts(run: Run) -> bool:
    """Whether the gradient of the L2 term is a row's count in the batch times the row; the optimizer adds it."""
    return run.l2 > 0 and run.l2_mode in ("gathered", "sum") and run.l2_on == "ego"


def decays(run: Run) -> bool:
    """Whether the gradient of the L2 term is every row times its strength: a decay, which the optimizer adds."""
    return run.l2 > 0 and run.l2_mode == "tables"


def strength(run: Run, batch: Batch) -> float:
    """The factor of a row's count in the gradient of the L2 term."""
    return run.l2 / (len(batch.user) if run.l2_mode == "gathered" else 1)


def table_updates(run: Run, shape: StepShape, n_users: int, n_items: int, kernel: str) -> TableUpdates:
    """How a step updates the tables of a backbone without layers: a function of the run and of shapes alone.

    Args:
        shape: what the negatives have a step read.
        kernel: what scores the negatives, ``numba`` or ``torch``.
    """
    whole = TableUpdates("whole", "whole")
    if run.max_norm or run.kernel in ("torch", "triton") or run.device != "cpu" or available()["numba"] != "ok":
        return whole
    mode = run.l2_mode if run.l2 > 0 else None
    user: Update = "sparse" if n_users > DENSE_RATIO * run.batch_size else "whole"
    item: Update = "whole"
    if shape.rows is not None and n_items > DENSE_RATIO * shape.rows:
        item = "sparse"
    elif shape.gathered and run.train_score == "cosine" and kernel == "numba" and mode != "unsquared":
        item = "unit"
    if decays(run) and "whole" in (user, item):
        return whole
    return TableUpdates(user, item)


@dataclass(frozen=True)
class StepInput:
    """The vectors and the batch that a step computes with.

    Attributes:
        embeddings: of the rows that the step needs.
        batch: the batch, with users and items as positions in ``embeddings``.
        d_item: see :func:`taurec.scoring.batch_scores`.
        counted: see :func:`taurec.training.penalty.l2_penalty`.
    """

    embeddings: Embeddings
    batch: Batch
    d_item: Tensor | None = None
    counted: RowCounts | None = None


class PlainTables:
    """The tables of a backbone without layers, which the scorer reads directly.

    Args:
        embeddings: what the backbone yields, whose vectors are its parameters.
        adam: holds the moments; it gives up the tables that are updated here.
        shape: what the negatives have a step read.
        batch: the first one; its tensor types decide which kernel runs.
    """

    def __init__(self, run: Run, embeddings: Embeddings, adam: Adam, shape: StepShape, batch: Batch):
        self.run, self._whole = run, embeddings
        kernel = batch.negatives.scored_by(embeddings.user, embeddings.item, run.kernel, run.batch_size)
        self.updates = table_updates(run, shape, len(embeddings.user), len(embeddings.item), kernel)
        self.decays = decays(run) and "whole" not in self.updates
        decay = run.l2 if self.decays else adam.weight_decay
        self.user: SparseAdamTable | None = None
        self.item: SparseAdamTable | UnitAdamTable | None = None
        if self.updates.user == "sparse":
            self.user = SparseAdamTable(*adam.release("user"), adam.lr, decay, adam.steps)
        if self.updates.item != "whole":
            kind = UnitAdamTable if self.updates.item == "unit" else SparseAdamTable
            self.item = kind(*adam.release("item"), adam.lr, decay, adam.steps)

    @property
    def unit(self) -> UnitAdamTable | None:
        """The table whose gradient is not held by autograd, or None."""
        return self.item if isinstance(self.item, UnitAdamTable) else None

    def use_lr(self, lr: float) -> None:
        """Set the learning rate of the next step; pending steps of a row keep the rate of their time."""
        for table in (self.user, self.item):
            if table is not None:
                table.lr = lr

    def take(self, batch: Batch) -> StepInput:
        """The rows that a step on this batch needs, up to date."""
        user, item, negatives = self._whole.user, self._whole.item, batch.negatives
        d_item: Tensor | None = None
        counted: RowCounts | None = None
        changed: dict[str, Tensor] = {"user": batch.user, "item": batch.item}
        if self.user is not None:
            user, changed["user"] = self.user.take(batch.user)
        if isinstance(self.item, SparseAdamTable):
            drawn = negatives.drawn()
            item, place = self.item.take(batch.item if drawn is None else torch.cat([batch.item, drawn]))
            changed["item"] = place[: len(batch.item)]
            negatives = negatives.at(place[len(batch.item) :])
        elif self.item is not None:
            item, d_item = self.item.unit, self.item.gradient
        local = dataclasses.replace(batch, negatives=negatives, **changed)
        if by_counts(self.run):
            counted = count(local, len(user), len(item))
            if isinstance(self.item, UnitAdamTable):
                counted = counted._replace(square=self.item.square)
        elif self.decays:
            counted = RowCounts(decayed=True)
        return StepInput(Embeddings(user, item, user, item), local, d_item, counted)

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the gathered rows that autograd computed, by the name of the table."""
        leaves = {"user": self.user, "item": self.item}
        return {k: t.leaf.grad for k, t in leaves.items() if isinstance(t, SparseAdamTable) and t.leaf.grad is not None}

    def move(self, taken: StepInput) -> bool:
        """Take one step of Adam; False if a gradient written to ``d_item`` was not finite."""
        l2, counted = strength(self.run, taken.batch), taken.counted or RowCounts()
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
