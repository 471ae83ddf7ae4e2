"""What a run will need, from shapes alone, before anything of it is allocated.

Memory is added up from the arrays that training holds at once. What it does not add up is bounded by measurement:
code of the compiled kernels, scratch arrays of losses. Time is :mod:`taurec.training.calibrate`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from taurec.baselines.memory import require
from taurec.data.interactions import Interactions
from taurec.kernels import WORTH, available, topk
from taurec.losses import LOSSES
from taurec.run import Run
from taurec.training.plain import Ways, ways
from taurec.types import Layout

KERNELS = 105 << 20
"""numba and the compiled code of the kernels."""
LAYOUTS: dict[str, Layout] = {"shared": "shared", "in-batch": "in_batch", "full": "full"}
"""Source of negatives -> layout; all others draw for each row."""
SCORING_MB = 64
"""Validation's memory for scores where plain torch selects from them; compiled loops take a copy of the items."""
TABLES_OF_LAYERS = {"lightgcn": (9, 2), "ngcf": (8, 16)}
"""Backbone -> tables of all nodes that a step holds at once, beyond the weights: fixed, and for each layer."""
DROPPED_LAYERS = (9, 4)
"""The same where the layers of LightGCN are dropped out."""


@dataclass(frozen=True)
class Sizes:
    """What is known of the data."""

    users: int
    items: int
    pairs: int
    valid_users: int = 0

    @classmethod
    def of(cls, train: Interactions, valid: Interactions | None = None) -> Sizes:
        return cls(train.n_users, train.n_items, len(train), 0 if valid is None else int((valid.user_counts > 0).sum()))


@dataclass(frozen=True)
class Shape:
    """What decides the cost of a step."""

    layout: Layout
    negatives: int
    dim: int
    layers: int
    ways: Ways | None
    compiled: bool

    @classmethod
    def of(cls, run: Run, sizes: Sizes) -> Shape:
        layout = LAYOUTS.get(run.negatives.name, "per_row")
        n = {"in_batch": run.batch_size, "full": sizes.items}.get(layout, int(run.negatives.settings.get("n", 1)))
        dim, layers = int(run.backbone.settings.get("dim", 64)), run.backbone.settings.get("layers", 0)
        numba = run.kernel != "torch" and run.device == "cpu" and available()["numba"] == "ok"
        compiled = numba and (run.kernel == "numba" or run.batch_size * n * dim >= WORTH)
        plain = run.backbone.name == "mf"
        kernel = "numba" if compiled else "torch"
        how = ways(run, layout, n, sizes.users, sizes.items, kernel) if plain else None
        return cls(layout, n, dim, len(layers) if isinstance(layers, list | tuple) else int(layers), how, compiled)


def memory(run: Run, sizes: Sizes) -> dict[str, int]:
    """Bytes that training on the CPU will take beyond the log and the imports at its peak, by what takes them.

    The tables are U x D and I x D, with their two moments; ``gradients`` and ``layers`` hold what a step makes of
    whole tables, ``step`` what it makes of B rows with N negatives, ``validation`` the ranker and a block of scores.
    """
    shape, b = Shape.of(run, sizes), run.batch_size
    of_items, tables = 4 * shape.dim * sizes.items, 4 * shape.dim * (sizes.users + sizes.items)
    parts = {"tables": 3 * tables, "order": 24 * sizes.pairs, "kernels": KERNELS, "best": tables}
    late = 12 * sizes.users if shape.ways is not None and shape.ways.user == "late" else 0
    if shape.ways is None:
        fixed, each = TABLES_OF_LAYERS.get(run.backbone.name, (9, 2))
        few = shape.layout in ("in_batch", "shared") or 2 * b * shape.negatives <= sizes.items
        dropped = run.backbone.name == "lightgcn" and run.backbone.settings.get("message_dropout", 0.0) > 0
        fixed, each = DROPPED_LAYERS if dropped else (fixed, each)
        some = run.backbone.name == "lightgcn" and few and shape.layout != "full" and not dropped
        parts["graph"] = 67 * sizes.pairs
        step = 6 * tables if some else (fixed + each * shape.layers) * tables
    elif shape.ways.item == "whole":
        step = (2 if shape.layout == "full" else 6) * of_items
    else:
        step = 2 * of_items if shape.ways.item == "unit" else 0
        late += 12 * sizes.items if shape.ways.item == "late" else 0
    ids = {"per_row": b * (shape.negatives + 1), "in_batch": b * b, "shared": b * shape.negatives}.get(shape.layout, 0)
    rows = min(ids, sizes.items) if shape.layout == "per_row" else b + shape.negatives * (shape.layout == "shared")
    if shape.ways is not None and shape.ways.item == "late":
        step += 4 * shape.dim * 6 * rows
    # A loss that declares no reduction makes more arrays of the size of the scores, and needs them whole.
    reduces = hasattr(LOSSES[run.loss.name], "reduce")
    work = (56 if reduces else 72) * ids + 4 * shape.dim * 8 * b
    if shape.layout == "full":
        streamed = reduces and not run.logq and run.kernel != "torch"
        work = 24 << 20 if streamed else 64 * b * sizes.items
    elif shape.layout == "per_row" and not shape.compiled:
        work += 8 * min(b * sizes.items, 1 << 26)
    score = 0
    if sizes.valid_users:
        tiles = available()["numba"] == "ok" and sizes.valid_users * sizes.items >= topk.WORTH
        score = tables + (of_items if tiles else min(SCORING_MB << 20, 10 * sizes.valid_users * sizes.items))
    # Freed arrays of one kind serve the other, but not wholly.
    temporary = work + (step if shape.ways is None else 0)
    parts["validation"] = max(0, score - temporary) + min(score, temporary) // 2
    parts["late" if shape.ways else "layers"] = late if shape.ways else step
    parts["step"] = work + (0 if shape.ways is None else step)
    # The order of an epoch is drawn before its first step, in memory that the steps then use.
    parts["order"] += max(0, 24 * sizes.pairs - parts["step"] - KERNELS)
    return parts


def check_memory(run: Run, sizes: Sizes) -> int:
    """The bytes that training will take; a :class:`ResourceError` with the figures if they are not to be had."""
    needed = sum(memory(run, sizes).values())
    if run.device == "cpu":
        require(
            needed,
            f"training {run.label} with dim {Shape.of(run, sizes).dim} and batch {run.batch_size} on "
            f"{sizes.users:,} users, {sizes.items:,} items and {sizes.pairs:,} pairs",
            "take a smaller dim (mf:32), a smaller batch_size, fewer negatives, or fewer users and items (a k-core)",
        )
    return needed
