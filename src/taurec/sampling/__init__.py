"""Batch orders and negative samplers, each by the name that ``taurec list`` shows."""

from __future__ import annotations

from typing import Any

from taurec.registry import Registry
from taurec.sampling.batches import GroupSize, Order, Shuffled, UserBlocks, WholeUsers, group_size, mean_group_size
from taurec.sampling.clusters import ESANS
from taurec.sampling.hard import DynamicHard, GenNi, PoolSoftmax
from taurec.sampling.hops import MixGCF
from taurec.sampling.layouts import (
    CatalogueNegatives,
    InBatchNegatives,
    Layout,
    PerRowNegatives,
    SharedNegatives,
    VectorNegatives,
)
from taurec.sampling.memory import CrossBatch
from taurec.sampling.mixed import Mixed
from taurec.sampling.noisy import Noisy, NoisyHeldOut
from taurec.sampling.none import NoNegatives
from taurec.sampling.per_row import Popularity, Uniform
from taurec.sampling.protocol import BaseDistribution, BoundSampler, NegativeSampler, Sampler
from taurec.sampling.provided import Provided
from taurec.sampling.semantic import HNLMRec, Semantic
from taurec.sampling.shared import Full, InBatch, Shared
from taurec.sampling.virtual import Interpolated, LoOp

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
        "dns": DynamicHard,
        "pool-softmax": PoolSoftmax,
        "mixed": Mixed,
        "cross-batch": CrossBatch,
        "loop": LoOp,
        "interpolated": Interpolated,
        "mixgcf": MixGCF,
        "provided": Provided,
        "semantic": Semantic,
        "hnlmrec": HNLMRec,
        "esans": ESANS,
        "genni": GenNi,
    },
    group="taurec.negatives",
    members=frozenset({"bind", "needs", "shape"}),
)
ORDERS: Registry[Order] = Registry(
    "order",
    {"shuffled": Shuffled, "user-blocks": UserBlocks, "whole-users": WholeUsers},
    group="taurec.orders",
    members=frozenset({"bind"}),
)


def sampler_grid(name: str) -> dict[str, list[Any]]:
    """The values that ``taurec tune`` varies, as :meth:`Sampler.grid` declares them; none for other classes."""
    sampler = NEGATIVES[name]
    return sampler.grid() if isinstance(sampler, type) and issubclass(sampler, Sampler) else {}


__all__ = [
    "ESANS",
    "NEGATIVES",
    "ORDERS",
    "BaseDistribution",
    "BoundSampler",
    "CatalogueNegatives",
    "CrossBatch",
    "DynamicHard",
    "Full",
    "GenNi",
    "GroupSize",
    "HNLMRec",
    "InBatch",
    "InBatchNegatives",
    "Interpolated",
    "Layout",
    "LoOp",
    "MixGCF",
    "Mixed",
    "NegativeSampler",
    "NoNegatives",
    "Noisy",
    "NoisyHeldOut",
    "Order",
    "PerRowNegatives",
    "PoolSoftmax",
    "Popularity",
    "Provided",
    "Sampler",
    "Semantic",
    "Shared",
    "SharedNegatives",
    "Shuffled",
    "Uniform",
    "UserBlocks",
    "VectorNegatives",
    "WholeUsers",
    "group_size",
    "mean_group_size",
    "sampler_grid",
]
