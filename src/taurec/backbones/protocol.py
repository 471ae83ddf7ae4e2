"""What every backbone is: two tables, and a function from them to the vectors that are scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.init import init_table
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.types import Batch, Embeddings

Rows = tuple[Tensor, Tensor]


class Backbone(nn.Module):
    """A module whose parameters ``user`` [U, d] and ``item`` [I, d] are the tables (layer 0).

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
        biased: whether its dot products are cosines plus biases already; the last number of a user's vector is then
            that user's bias, which no dropout reaches.
        kernel: what runs its operations, see :func:`taurec.kernels.select`; set by the trainer.
    """

    plain: ClassVar[bool] = False
    pairwise: ClassVar[bool] = False
    biased: bool = False
    kernel: str = "auto"

    def __init__(self, train: Interactions, dim: int, init: str, seed: int):
        super().__init__()
        if dim < 1:
            raise UsageError(f"dim is the width of an embedding and must be at least 1, got {dim}")
        self.user = nn.Parameter(init_table(init, seed, "user", train.n_users, dim))
        self.item = nn.Parameter(init_table(init, seed, "item", train.n_items, dim))
        self.seed = seed

    @classmethod
    def grid(cls) -> dict[str, list[Any]]:
        """What ``taurec tune`` varies: run field or ``backbone.NAME`` -> values. Empty: nothing is varied."""
        return {}

    @classmethod
    def width(cls, settings: Mapping[str, Any]) -> int:
        """Columns of the final vectors, from the settings of a run."""
        return int(settings.get("dim", 64))

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

        Returns: embeddings with ``by_row`` set.
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
