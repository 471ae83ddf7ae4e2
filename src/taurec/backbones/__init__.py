"""Backbones: modules that turn tables (and the graph of the log) into vectors to score."""

from taurec.backbones.lightgcn import LightGCN
from taurec.backbones.mf import MF
from taurec.backbones.ngcf import NGCF
from taurec.backbones.protocol import Backbone
from taurec.backbones.simplex import SimpleX
from taurec.registry import Registry

BACKBONES: Registry[Backbone] = Registry(
    "backbone",
    {
        "mf": MF,
        "lightgcn": LightGCN,
        "ngcf": NGCF,
        "simplex": SimpleX,
    },
    runtime=frozenset({"seed"}),
    group="taurec.backbones",
    members=frozenset({"embed", "embed_pairs", "begin_step", "parameters"}),
)

__all__ = ["BACKBONES", "MF", "NGCF", "Backbone", "LightGCN", "SimpleX"]
