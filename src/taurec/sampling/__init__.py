"""Orders of the training pairs and sources of negatives, each by the name that ``taurec list`` shows."""

from __future__ import annotations

from taurec.registry import Registry
from taurec.sampling.batches import GroupSize, Order, Shuffled, UserBlocks, group_size, mean_group_size
from taurec.sampling.negatives import Full, InBatch, NegativeSource, Noisy, NoisyHeldOut, Popularity, Shared, Uniform
from taurec.sampling.none import NoNegatives

NEGATIVES: Registry[NegativeSource] = Registry(
    "negatives",
    {
        "uniform": Uniform,
        "popularity": Popularity,
        "shared": Shared,
        "in-batch": InBatch,
        "full": Full,
        "noisy": Noisy,
        "noisy-held-out": NoisyHeldOut,
        "none": NoNegatives,
    },
)
ORDERS: Registry[Order] = Registry("order", {"shuffled": Shuffled, "user-blocks": UserBlocks})

__all__ = [
    "NEGATIVES",
    "ORDERS",
    "Full",
    "GroupSize",
    "InBatch",
    "NegativeSource",
    "NoNegatives",
    "Noisy",
    "NoisyHeldOut",
    "Order",
    "Popularity",
    "Shared",
    "Shuffled",
    "Uniform",
    "UserBlocks",
    "group_size",
    "mean_group_size",
]
