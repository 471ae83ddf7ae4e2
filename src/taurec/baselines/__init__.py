"""Baselines: models without gradient training; every comparison includes popularity, item-kNN, EASE and iALS."""

from taurec.baselines.dan import DAN
from taurec.baselines.ease import EASE
from taurec.baselines.ease_normalised import NormalisedEASE
from taurec.baselines.edlae import EDLAE
from taurec.baselines.ials import IALS
from taurec.baselines.knn import ItemKNN
from taurec.baselines.popularity import Popularity
from taurec.baselines.protocol import Baseline, FitCost, fitted, pack, unpack
from taurec.baselines.rg2 import RG2
from taurec.baselines.rlae import RDLAE, RLAE
from taurec.baselines.slim_local import LocalSLIM
from taurec.registry import Registry

BASELINES: Registry[Baseline] = Registry(
    "model",
    {
        "popularity": Popularity,
        "itemknn": ItemKNN,
        "ease": EASE,
        "ials": IALS,
        "rg2": RG2,
        "ease-normalised": NormalisedEASE,
        "dan": DAN,
        "edlae": EDLAE,
        "rlae": RLAE,
        "rdlae": RDLAE,
        "slim-local": LocalSLIM,
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
    "DAN",
    "EDLAE",
    "RDLAE",
    "RLAE",
    "LocalSLIM",
    "NormalisedEASE",
    "Popularity",
    "fitted",
    "pack",
    "unpack",
]
