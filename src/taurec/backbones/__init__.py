"""Backbones: modules that turn tables (and the graph of the log) into vectors to score."""

from taurec.backbones.fism import FISM
from taurec.backbones.lightgcn import LightGCN
from taurec.backbones.mf import MF
from taurec.backbones.ngcf import NGCF
from taurec.backbones.protocol import Backbone
from taurec.backbones.simgcl import SimGCL
from taurec.backbones.simplex import SimpleX
from taurec.backbones.xsimgcl import XSimGCL
from taurec.errors import UsageError
from taurec.registry import Registry

BACKBONES: Registry[Backbone] = Registry(
    "backbone",
    {
        "mf": MF,
        "lightgcn": LightGCN,
        "ngcf": NGCF,
        "simplex": SimpleX,
        "fism": FISM,
        "simgcl": SimGCL,
        "xsimgcl": XSimGCL,
    },
    runtime=frozenset({"seed"}),
    group="taurec.backbones",
    members=frozenset({"embed", "embed_pairs", "begin_step", "parameters"}),
)


def backbone_class(name: str) -> type[Backbone]:
    """The class behind a name, whose costs are declared on it."""
    found = BACKBONES[name]
    if not (isinstance(found, type) and issubclass(found, Backbone)):
        raise UsageError(f"backbone {name!r} is no subclass of taurec.backbones.Backbone; got {found!r}")
    return found


__all__ = ["BACKBONES", "FISM", "backbone_class", "MF", "NGCF", "Backbone", "LightGCN", "SimGCL", "SimpleX", "XSimGCL"]
