"""The memory that a run will need, from shapes alone, before anything is allocated.

Memory is the sum of the arrays that training holds at once. The rest has measured bounds: code of the compiled
kernels, scratch arrays of losses. Time is estimated by :mod:`taurec.training.calibrate`.
"""

from __future__ import annotations

from dataclasses import dataclass

from taurec.backbones import backbone_class
from taurec.backbones.cost import Sizes as Sizes
from taurec.backbones.cost import StepSize
from taurec.baselines.memory import require
from taurec.kernels import WORTH, available, topk
from taurec.losses import LOSSES, ScoreLoss
from taurec.run import Run
from taurec.training.plain import TableUpdates, table_updates
from taurec.training.presets import settled
from taurec.training.sampler import sampler_of
from taurec.types import StepShape

KERNELS = 105 << 20
"""numba and the compiled code of the kernels."""
SCORING_MB = 64
"""Memory of validation for scores where torch selects the top items; compiled loops copy the items instead."""


@dataclass(frozen=True)
class Shape:
    """The shapes that determine the cost of a step.

    Attributes:
        negatives: the table rows and scores that a step with these negatives needs.
        dim, width: columns of the tables, and of the final vectors.
        updates: how the tables of a ``plain`` backbone are updated; None for others.
        compiled: whether per-row scores are compiled.
    """

    negatives: StepShape
    dim: int
    width: int
    updates: TableUpdates | None
    compiled: bool

    @classmethod
    def of(cls, run: Run, sizes: Sizes) -> Shape:
        negatives = sampler_of(run).shape(run.batch_size, sizes.items)
        backbone, settings = backbone_class(run.backbone.name), run.backbone.settings
        dim = int(settings.get("dim", 64))
        numba = run.kernel != "torch" and run.device == "cpu" and available()["numba"] == "ok"
        compiled = numba and (run.kernel == "numba" or run.batch_size * negatives.columns * dim >= WORTH)
        kernel = "numba" if compiled else "torch"
        how = table_updates(run, negatives, sizes.users, sizes.items, kernel) if backbone.plain else None
        return cls(negatives, dim, backbone.width(settings), how, compiled)

    def size(self, run: Run, sizes: Sizes) -> StepSize:
        """The sizes from which the backbone computes its cost."""
        rows = backbone_class(run.backbone.name).table_rows(sizes, run.backbone.settings)
        return StepSize(sizes, run.batch_size, self.negatives, self.dim, rows)


def memory(run: Run, sizes: Sizes) -> dict[str, int]:
    """Peak bytes of training on the CPU, beyond the log and the imports, by purpose.

    ``tables`` are those of the backbone, mostly U x D and I x D, with Adam's two moments; ``layers`` are a step's
    arrays of the size of the tables, ``step`` its arrays of B rows with N negatives, ``validation`` the ranker and a
    block of scores.
    """
    shape, b = Shape.of(run, sizes), run.batch_size
    negatives, whole = shape.negatives, shape.negatives.rows is None
    of_items, tables = 4 * shape.dim * sizes.items, shape.size(run, sizes).tables
    parts = {"tables": 3 * tables, "order": 24 * sizes.pairs, "kernels": KERNELS, "best": tables}
    owed = 12 * sizes.users if shape.updates is not None and shape.updates.user == "sparse" else 0
    if shape.updates is None:
        backbone = backbone_class(run.backbone.name)
        declared = backbone.step_bytes(shape.size(run, sizes), run.backbone.settings)
        parts["graph"], step = declared.fixed, declared.step
    elif shape.updates.item == "whole":
        step = (2 if whole else 6) * of_items
    else:
        step = 2 * of_items if shape.updates.item == "unit" else 0
        owed += 12 * sizes.items if shape.updates.item == "sparse" else 0
    if shape.updates is not None and shape.updates.item == "sparse":
        assert negatives.rows is not None
        rows = min(negatives.rows, sizes.items) if negatives.gathered else negatives.rows
        step += 4 * shape.dim * 6 * rows
    # A loss without a catalogue path allocates more arrays of the size of the scores, and needs all scores at once.
    loss = LOSSES.build(run.loss.name, given=settled(run).loss.settings)
    reduces = isinstance(loss, ScoreLoss) and loss.reduce is not None
    work = (56 if reduces else 72) * negatives.held + 4 * shape.dim * 8 * b
    work += 4 * shape.width * negatives.vectors
    if whole:
        streamed = reduces and not run.logq and run.kernel != "torch"
        work = 24 << 20 if streamed else 64 * b * sizes.items
    elif negatives.gathered and not shape.compiled:
        work += 8 * min(b * sizes.items, 1 << 26)
    score = 0
    if sizes.valid_users:
        tiles = available()["numba"] == "ok" and sizes.valid_users * sizes.items >= topk.WORTH
        final = 4 * shape.width * sizes.items
        held = final if tiles else min(SCORING_MB << 20, 10 * sizes.valid_users * sizes.items)
        score = 4 * shape.width * (sizes.users + sizes.items) + held
    # Freed arrays of training are only partly reused by validation, and the reverse.
    temporary = work + (step if shape.updates is None else 0)
    parts["validation"] = max(0, score - temporary) + min(score, temporary) // 2
    parts["late" if shape.updates else "layers"] = owed if shape.updates else step
    parts["step"] = work + (0 if shape.updates is None else step)
    # The order of an epoch is drawn before its first step, in memory that the steps then use.
    parts["order"] += max(0, 24 * sizes.pairs - parts["step"] - KERNELS)
    return parts


def check_memory(run: Run, sizes: Sizes) -> int:
    """The bytes that training will take; raises :class:`ResourceError` with the numbers if memory is short."""
    needed = sum(memory(run, sizes).values())
    if run.device == "cpu":
        require(
            needed,
            f"training {run.label} with dim {Shape.of(run, sizes).dim} and batch {run.batch_size} on "
            f"{sizes.users:,} users, {sizes.items:,} items and {sizes.pairs:,} pairs",
            "take a smaller dim (mf:32), a smaller batch_size, fewer negatives, or fewer users and items (a k-core)",
        )
    return needed
