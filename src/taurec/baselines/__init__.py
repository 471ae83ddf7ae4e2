"""Baselines: models without gradient training; every comparison includes popularity, item-kNN, EASE and iALS."""

from taurec.baselines.bspm import BSPM
from taurec.baselines.chebycf import ChebyCF
from taurec.baselines.dan import DAN
from taurec.baselines.ease import EASE
from taurec.baselines.ease_normalised import NormalisedEASE
from taurec.baselines.edlae import EDLAE
from taurec.baselines.gf_cf import GFCF
from taurec.baselines.ials import IALS
from taurec.baselines.knn import ItemKNN
from taurec.baselines.popularity import Popularity
from taurec.baselines.protocol import Baseline, Composite, FitCost, FittedPart, fitted, pack, unpack
from taurec.baselines.rg2 import RG2
from taurec.baselines.rlae import RDLAE, RLAE
from taurec.baselines.rp3beta import RP3Beta
from taurec.baselines.slim_local import LocalSLIM
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
        "rg2": RG2,
        "ease-normalised": NormalisedEASE,
        "dan": DAN,
        "edlae": EDLAE,
        "rlae": RLAE,
        "rdlae": RDLAE,
        "slim-local": LocalSLIM,
        "rp3beta": RP3Beta,
        "gf-cf": GFCF,
        "turbo-cf": TurboCF,
        "chebycf": ChebyCF,
        "bspm": BSPM,
        "svd-ae": SVDAE,
    },
    runtime=frozenset({"seed"}),
    group="taurec.baselines",
    members=frozenset(
        {"GRID", "fit", "fit_cost", "block", "from_history", "folds_in", "fold_in", "state", "from_state"}
    ),
)

__all__ = [
    "BASELINES",
    "EASE",
    "IALS",
    "RG2",
    "Baseline",
    "Composite",
    "FitCost",
    "FittedPart",
    "ItemKNN",
    "DAN",
    "EDLAE",
    "RDLAE",
    "RLAE",
    "LocalSLIM",
    "NormalisedEASE",
    "Popularity",
    "BSPM",
    "GFCF",
    "SVDAE",
    "ChebyCF",
    "RP3Beta",
    "TurboCF",
    "fitted",
    "pack",
    "unpack",
]
