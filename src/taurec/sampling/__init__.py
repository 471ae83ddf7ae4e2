"""Orders of the training pairs and sources of negatives, each by the name that ``taurec list`` shows."""

from __future__ import annotations

from taurec.registry import Registry
from taurec.sampling.batches import GroupSize, Order, Shuffled, UserBlocks, group_size, mean_group_size
from taurec.sampling.negatives import Full, InBatch, NegativeSource, Noisy, NoisyHeldOut, Popularity, Shared, Uniform

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
    },
    group="taurec.negatives",
    members=frozenset({"bind"}),
)
ORDERS: Registry[Order] = Registry(
    "order",
    {"shuffled": Shuffled, "user-blocks": UserBlocks},
    group="taurec.orders",
    members=frozenset({"bind"}),
)

__all__ = [
    "NEGATIVES",
    "ORDERS",
    "Full",
    "GroupSize",
    "InBatch",
    "NegativeSource",
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
