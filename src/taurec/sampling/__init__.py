"""Batch orders and negative samplers, each by the name that ``taurec list`` shows."""

from __future__ import annotations

from taurec.registry import Registry
from taurec.sampling.batches import GroupSize, Order, Shuffled, UserBlocks, group_size, mean_group_size
from taurec.sampling.layouts import (
    CatalogueNegatives,
    InBatchNegatives,
    Layout,
    PerRowNegatives,
    SharedNegatives,
    VectorNegatives,
)
from taurec.sampling.noisy import Noisy, NoisyHeldOut
from taurec.sampling.none import NoNegatives
from taurec.sampling.per_row import Popularity, Uniform
from taurec.sampling.protocol import BaseDistribution, BoundSampler, NegativeSampler, Sampler
from taurec.sampling.shared import Full, InBatch, Shared

NEGATIVES: Registry[NegativeSampler] = Registry(
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
    group="taurec.negatives",
    members=frozenset({"bind", "needs", "shape"}),
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
    "BaseDistribution",
    "BoundSampler",
    "CatalogueNegatives",
    "Full",
    "GroupSize",
    "InBatch",
    "InBatchNegatives",
    "Layout",
    "NegativeSampler",
    "NoNegatives",
    "Noisy",
    "NoisyHeldOut",
    "Order",
    "PerRowNegatives",
    "Popularity",
    "Sampler",
    "Shared",
    "SharedNegatives",
    "Shuffled",
    "Uniform",
    "UserBlocks",
    "VectorNegatives",
    "group_size",
    "mean_group_size",
]
