"""The rows of the BSL authors' repository (Wu et al., ICDE 2024, arXiv 2312.12882): 12 of its 16 logs.

Their four rows on Amazon need a set that is not bundled with the others. All logs choose the epoch by Recall@20 on
the test file and count epochs from 0, which ``best`` keeps. Their code ends after more than 50 epochs without a better
one, and so do all logs but that of LightGCN + SL on Gowalla, which is longer. "SL" and "BSL" differ there in the
exponent k alone; the mode stands in the name of each log.
"""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import NEVER_SAME, Published, Recipe

LOG = "log in the repository junkangwu/BSL"
COMMON: dict[str, Any] = {"order": "shuffled", "epochs": 1000, "patience": 51}


def _mf(
    data: str, tau: float, k: float, l2: float, batch: int, drop: float, best: int, last: int, r: float, n: float
) -> Recipe:
    """MF, 800 uniform negatives, mode ``multi``, learning rate 1e-4."""
    fields = COMMON | {
        "loss": f"bsl-authors-multi:{tau}:{k}", "negatives": "uniform:800", "batch_size": batch, "lr": 1e-4, "l2": l2,
        "user_dropout": drop,
    }  # fmt: skip
    return Recipe(data, fields, Published(r, n, LOG, best + 1), NEVER_SAME, usual_epochs=last)


def _lightgcn(
    data: str, layers: int, tau: float, k: float, batch: int, best: int, last: int, r: float, n: float, **by: Any
) -> Recipe:
    """LightGCN, mode ``reweight``, learning rate 1e-3, L2 1e-5 on all layers; negatives from the batch unless said."""
    fields = COMMON | {
        "backbone": f"lightgcn:64:{layers}", "loss": f"bsl-authors-reweight:{tau}:{k}",
        "negatives": "in-batch:diagonal", "batch_size": batch, "lr": 1e-3, "l2": 1e-5, "rank_score": "dot", **by,
    }  # fmt: skip
    differs = f"{NEVER_SAME}; L2 on the tables, where theirs is on the vectors of all layers"
    return Recipe(data, fields, Published(r, n, LOG, best + 1), differs, usual_epochs=last)


def yelp2018_mf_sl() -> Recipe:
    """MF + "SL" on Yelp2018: mode ``multi`` with k = 1, which pools positives and so is no plain SL."""
    return _mf("yelp2018", 0.11, 1.0, 1e-3, 1024, 0.1, 176, 228, 0.07212, 0.05918)


def yelp2018_mf_bsl() -> Recipe:
    """MF + BSL on Yelp2018."""
    return _mf("yelp2018", 0.11, 1.10, 1e-3, 1024, 0.1, 219, 271, 0.07245, 0.05990)


def yelp2018_lightgcn_sl() -> Recipe:
    """LightGCN-3 + SL on Yelp2018, negatives from the batch."""
    return _lightgcn("yelp2018", 3, 0.15, 1.0, 1024, 293, 345, 0.07364, 0.06116)


def yelp2018_lightgcn_bsl() -> Recipe:
    """LightGCN-3 + BSL on Yelp2018, negatives from the batch; mode ``reweight`` has no positive part."""
    return _lightgcn("yelp2018", 3, 0.15, 1.12, 1024, 364, 416, 0.07444, 0.06171)


def gowalla_mf_sl() -> Recipe:
    """MF + "SL" on Gowalla: mode ``multi`` with k = 1."""
    return _mf("gowalla", 0.08, 1.0, 1e-9, 1024, 0.1, 218, 270, 0.1759, 0.1395)


def gowalla_mf_bsl() -> Recipe:
    """MF + BSL on Gowalla."""
    return _mf("gowalla", 0.08, 1.22, 1e-9, 1024, 0.1, 337, 389, 0.1882, 0.1584)


def gowalla_lightgcn_sl() -> Recipe:
    """LightGCN-1 + SL on Gowalla; settings of the log, where the README has those of another set."""
    return _lightgcn("gowalla", 1, 0.12, 1.0, 2048, 123, 202, 0.1874, 0.1571)


def gowalla_lightgcn_bsl() -> Recipe:
    """LightGCN-1 + BSL on Gowalla; settings of the log."""
    return _lightgcn("gowalla", 1, 0.12, 0.84, 2048, 153, 205, 0.1892, 0.1590)


def movielens_1m_mf_sl() -> Recipe:
    """MF + "SL" on MovieLens-1M: mode ``multi`` with k = 1, no dropout."""
    return _mf("movielens-1m", 0.17, 1.0, 1e-3, 2048, 0.0, 273, 325, 0.2809, 0.2662)


def movielens_1m_mf_bsl() -> Recipe:
    """MF + BSL on MovieLens-1M, no dropout."""
    return _mf("movielens-1m", 0.17, 1.06, 1e-3, 2048, 0.0, 170, 222, 0.2804, 0.2681)


def movielens_1m_lightgcn_sl() -> Recipe:
    """LightGCN-1 + SL on MovieLens-1M, 800 uniform negatives."""
    by = {"negatives": "uniform:800", "rank_score": "cosine"}
    return _lightgcn("movielens-1m", 1, 0.15, 1.0, 1024, 110, 162, 0.2752, 0.2551, **by)


def movielens_1m_lightgcn_bsl() -> Recipe:
    """LightGCN-1 + BSL on MovieLens-1M, 800 uniform negatives."""
    by = {"negatives": "uniform:800", "rank_score": "cosine"}
    return _lightgcn("movielens-1m", 1, 0.15, 1.10, 1024, 123, 175, 0.2790, 0.2605, **by)


def _ngcf(lightgcn: Recipe) -> Recipe:
    """NGCF with the settings of the BSL authors' LightGCN row; their NGCF is not in the code they published."""
    fields = dict(lightgcn.fields) | {"backbone": "ngcf"}
    return Recipe(lightgcn.data, fields, claim="NGCF beside MF and LightGCN; an unpublished row", usual_epochs=100)


def yelp2018_ngcf_sl() -> Recipe:
    """NGCF + SL on Yelp2018, an unpublished row."""
    return _ngcf(yelp2018_lightgcn_sl())


def yelp2018_ngcf_bsl() -> Recipe:
    """NGCF + BSL on Yelp2018, an unpublished row."""
    return _ngcf(yelp2018_lightgcn_bsl())


def gowalla_ngcf_sl() -> Recipe:
    """NGCF + SL on Gowalla, an unpublished row."""
    return _ngcf(gowalla_lightgcn_sl())


def gowalla_ngcf_bsl() -> Recipe:
    """NGCF + BSL on Gowalla, an unpublished row."""
    return _ngcf(gowalla_lightgcn_bsl())


def movielens_1m_ngcf_sl() -> Recipe:
    """NGCF + SL on MovieLens-1M, an unpublished row."""
    return _ngcf(movielens_1m_lightgcn_sl())


def movielens_1m_ngcf_bsl() -> Recipe:
    """NGCF + BSL on MovieLens-1M, an unpublished row."""
    return _ngcf(movielens_1m_lightgcn_bsl())
