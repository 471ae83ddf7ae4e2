"""Baselines: models without gradient training, which every comparison includes."""

from taurec.baselines.ease import EASE
from taurec.baselines.ials import IALS
from taurec.baselines.knn import ItemKNN
from taurec.baselines.popularity import Popularity
from taurec.baselines.protocol import Baseline, FitCost, fitted, pack, unpack
from taurec.baselines.rg2 import RG2
from taurec.registry import Registry

BASELINES: Registry[Baseline] = Registry(
    "model",
    {
        "popularity": Popularity,
        "itemknn": ItemKNN,
        "ease": EASE,
        "ials": IALS,
        "rg2": RG2,
    },
    runtime=frozenset({"seed"}),
    group="taurec.baselines",
    members=frozenset({"GRID", "fit", "fit_cost", "block", "from_history", "fold_in", "state", "from_state"}),
)

__all__ = [
    "BASELINES",
    "EASE",
    "IALS",
    "RG2",
    "Baseline",
    "FitCost",
    "ItemKNN",
    "Popularity",
    "fitted",
    "pack",
    "unpack",
]
