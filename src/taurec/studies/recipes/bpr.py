"""LightGCN and NGCF with BPR, as most tables have them."""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import Published, Recipe

LIGHTGCN = "README of the repository gusye1234/LightGCN-PyTorch; the epoch is chosen on the test file"
NGCF = "BARS leaderboard (repository reczoo/BARS), a rerun with the authors' code; the epoch is chosen on the test file"
DOT = {"train_score": "dot", "rank_score": "dot", "negatives": "uniform:1:true", "order": "shuffled", "loss": "bpr"}


def _lightgcn(data: str, recall: float, ndcg: float) -> Recipe:
    fields: dict[str, Any] = DOT | {
        "backbone": "lightgcn", "batch_size": 2048, "lr": 1e-3, "l2": 1e-4, "epochs": 1000, "patience": 50,
        "eval_every": 10,
    }  # fmt: skip
    init = {"backbone": {"dim": 64, "layers": 3, "init": "normal:0.1"}}
    return Recipe(data, fields, Published(recall, ndcg, LIGHTGCN), usual_epochs=800, settings=init)


def yelp2018_lightgcn_bpr() -> Recipe:
    """LightGCN-3 + BPR on Yelp2018."""
    return _lightgcn("yelp2018", 0.06347, 0.05238)


def gowalla_lightgcn_bpr() -> Recipe:
    """LightGCN-3 + BPR on Gowalla."""
    return _lightgcn("gowalla", 0.1824, 0.1547)


def _ngcf(data: str, recall: float, ndcg: float) -> Recipe:
    fields: dict[str, Any] = DOT | {
        "backbone": "ngcf", "batch_size": 1024, "lr": 1e-4, "l2": 1e-5, "l2_on": "final", "epochs": 1000,
        "patience": 50, "eval_every": 10,
    }  # fmt: skip
    return Recipe(data, fields, Published(recall, ndcg, NGCF), "no node dropout", usual_epochs=400)


def yelp2018_ngcf_bpr() -> Recipe:
    """NGCF + BPR on Yelp2018."""
    return _ngcf("yelp2018", 0.0579, 0.0477)


def gowalla_ngcf_bpr() -> Recipe:
    """NGCF + BPR on Gowalla."""
    return _ngcf("gowalla", 0.1570, 0.1327)
