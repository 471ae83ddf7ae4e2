"""Baselines: models without gradient training, which every comparison includes."""

from taurec.baselines.bspm import BSPM
from taurec.baselines.chebycf import ChebyCF
from taurec.baselines.ease import EASE
from taurec.baselines.gf_cf import GFCF
from taurec.baselines.ials import IALS
from taurec.baselines.knn import ItemKNN
from taurec.baselines.popularity import Popularity
from taurec.baselines.protocol import Baseline, FitCost, fitted, pack, unpack
from taurec.baselines.rp3beta import RP3Beta
from taurec.baselines.svd_ae import SVDAE
from taurec.baselines.turbo_cf import TurboCF
from taurec.registry import Registry

BASELINES: Registry[Baseline] = Registry(
    "model",
    {
        "popularity": Popularity,
        "itemknn": ItemKNN,
        "ease": EASE,
        "ials": IALS,
        "rp3beta": RP3Beta,
        "gf-cf": GFCF,
        "turbo-cf": TurboCF,
        "chebycf": ChebyCF,
        "bspm": BSPM,
        "svd-ae": SVDAE,
    },
    runtime=frozenset({"seed"}),
    group="taurec.baselines",
    members=frozenset({"GRID", "fit", "fit_cost", "block", "from_history", "fold_in", "state", "from_state"}),
)

__all__ = [
    "BASELINES",
    "BSPM",
    "EASE",
    "GFCF",
    "IALS",
    "SVDAE",
    "Baseline",
    "ChebyCF",
    "FitCost",
    "ItemKNN",
    "Popularity",
    "RP3Beta",
    "TurboCF",
    "fitted",
    "pack",
    "unpack",
]
