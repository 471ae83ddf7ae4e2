"""What every backbone is: tables, and a function from them to the vectors that are scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from taurec.backbones.cost import Sizes, StepBytes, StepSize
from taurec.backbones.init import init_table
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.losses import Loss
from taurec.ranker import EmbeddingRanker
from taurec.types import Batch, Embeddings

Rows = tuple[Tensor, Tensor]
NegativesOf = Literal["row", "user", "apart"]


class Backbone(nn.Module):
    """A module whose parameters ``user`` [U, d] and ``item`` [I, d] are the tables (layer 0).

    A backbone without a user table sets ``user_table = False`` and gives :meth:`tables`.

    A subclass gives :meth:`embed`. It knows no loss, no sampler and no optimiser.

    Args:
        train: the training part; its sizes (and, for graphs, its pairs) shape the module.
        dim: width d of the tables.
        init: initialisation of the tables, see :func:`taurec.backbones.init.init_table`.
        seed: of the tables and of every later draw.
    Attributes:
        plain: whether its final vectors are the two tables themselves, so that a step may read and move the rows of its
            batch alone.
        pairwise: whether the user's vector in a row of training depends on the item of the row; the trainer then asks
            by :meth:`embed_pairs`.
        user_table: whether it has the table ``user``.
        order: the batch order that it asks for, unless the run names one; None leaves it to the loss.
        biased: whether its dot products are cosines plus biases already; the last number of a user's vector is then
            that user's bias, which no dropout reaches.
        kernel: what runs its operations, see :func:`taurec.kernels.select`; set by the trainer.
    """

    plain: ClassVar[bool] = False
    pairwise: ClassVar[bool] = False
    user_table: ClassVar[bool] = True
    order: ClassVar[str | None] = None
    biased: bool = False
    kernel: str = "auto"

    def __init__(self, train: Interactions, dim: int, init: str, seed: int):
        super().__init__()
        if dim < 1:
            raise UsageError(f"dim is the width of an embedding and must be at least 1, got {dim}")
        if self.user_table:
            self.user = nn.Parameter(init_table(init, seed, "user", train.n_users, dim))
        self.item = nn.Parameter(init_table(init, seed, "item", train.n_items, dim))
        self.seed = seed

    def tables(self) -> tuple[nn.Parameter, nn.Parameter]:
        """The two tables from which the vectors of users and items are made."""
        return self.user, self.item

    @classmethod
    def preset(cls, loss: type[Loss]) -> Mapping[str, Any]:
        """Run fields that suit this backbone, over those of the loss; ``loss.NAME`` is a setting of the loss."""
        return {}

    @classmethod
    def negatives(cls, settings: Mapping[str, Any]) -> NegativesOf:
        """Whose negatives a step compares a pair with.

        ``row``: those that the sampler draws for the row. ``user``: one draw for all rows of a user in a batch, whose
        vector is the same in all of them. ``apart``: a draw for each row. The last two leave out all items of the
        user, where the sampler can (:meth:`taurec.sampling.Sampler.of_users`); else they are as ``row``.
        """
        return "row"

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        """What ``taurec tune`` varies: run field or ``backbone.NAME`` -> values. Empty: nothing is varied."""
        return {}

    @classmethod
    def width(cls, settings: Mapping[str, Any]) -> int:
        """Columns of the final vectors, from the settings of a run."""
        return int(settings.get("dim", 64))

    @classmethod
    def table_rows(cls, log: Sizes, settings: Mapping[str, Any]) -> int:
        """Rows of all tables together."""
        return log.users + log.items

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        """Memory of a step, from sizes alone; the default is that of a few operations on whole tables.

        Not asked of a ``plain`` backbone, whose tables the trainer accounts for.
        """
        return StepBytes(step=9 * size.tables)

    @classmethod
    def step_cost(cls, size: StepSize, settings: Mapping[str, Any]) -> float:
        """Work of a step in any unit, from sizes alone: how its time grows from a small log to a large one.

        A calibrating run has the mean history and the degrees of the large log unless the backbone is ``plain``.
        """
        return float(size.log.users + size.log.items)

    def trained_rows(self, train: Interactions) -> NDArray[np.bool_] | None:
        """[P] which rows of the training part it can learn from; None for all. The others are counted as left out."""
        return None

    def ranker(self, train: Interactions, score: str) -> EmbeddingRanker | None:
        """A ranker of the present weights, for a backbone with another than that of the two tables of vectors.

        Args:
            train: the pairs that are known of the users.
            score: by which it ranks.
        """
        return None

    def begin_step(self, epoch: int, step: int) -> None:
        """Called by the trainer before each training step; a backbone with dropout or noise keys its draws by it."""

    def kernels(self, at_rows: bool) -> dict[str, str]:
        """The kernel of each of its operations in a step, by the operation; a graph has ``hop``.

        Args:
            at_rows: whether the step asks for the vectors of some rows alone.
        """
        return {}

    def embed(self, rows: Rows | None = None) -> Embeddings:
        """All users' and items' vectors, differentiable; in training mode with dropout, if there is any.

        Args:
            rows: the users and the items whose final vectors will be looked at, [n] and [m] int64 in any order,
                repeats allowed. A backbone may then leave the other final vectors and ``hops`` out and say in ``at``
                where those asked for are; the gradients of what is looked at are the same. None asks for all.
        """
        raise NotImplementedError

    def embed_pairs(self, user: Tensor, item: Tensor) -> Embeddings:
        """Of a ``pairwise`` backbone: the user's vector for each of the training pairs (user[b], item[b]), all items.

        Returns: embeddings with ``by_row`` or ``left_out`` set.
        """
        raise NotImplementedError

    def own_term(self, batch: Batch, embeddings: Embeddings) -> Tensor | None:
        """What the backbone adds to the loss of a training step, such as a contrast between two views of the graph.

        Args:
            batch: the rows of the step.
            embeddings: what :meth:`embed` (or :meth:`embed_pairs`) gave for this step; ``embeddings.of_pairs(batch)``
                says where the vectors of the pairs are.
        Returns: a scalar, weighted already, whose gradient reaches the parameters; None for no term. Draws are a
            function of the seed and of what :meth:`begin_step` was told. A ``plain`` backbone has none.
        """
        return None
