"""MF with CCL and SimpleX (Mao et al., CIKM 2021, arXiv 2109.12613), by the logs of their repository RecZoo."""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import NEVER_SAME, Published, Recipe

LOG = "log in the repository reczoo/RecZoo (matching/cf/SimpleX/results); the epoch is chosen on the test file"
COMMON: dict[str, Any] = {
    "order": "shuffled", "epochs": 100, "patience": 3, "lr": 1e-4, "lr_schedule": "plateau", "l2_mode": "tables",
    "user_dropout": 0.1, "user_dropout_on": "unit", "clip_norm": 10.0,
}  # fmt: skip
PLATEAU = "where validation does not improve, the run continues from its current weights, theirs from its best weights"
INIT = {"backbone": {"init": "normal:0.0001"}}


def _row(data: str, margin: float, weight: float, n: int, batch: int, l2: float, recall: float, ndcg: float) -> Recipe:
    fields = COMMON | {"loss": f"ccl:{margin}:{weight}", "negatives": f"uniform:{n}", "batch_size": batch, "l2": l2}
    differs = f"{NEVER_SAME}; {PLATEAU}"
    return Recipe(data, fields, Published(recall, ndcg, LOG), differs, usual_epochs=60, settings=INIT)


def yelp2018_mf_ccl() -> Recipe:
    """MF + CCL on Yelp2018."""
    return _row("yelp2018", 0.9, 150, 800, 512, 1e-9, 0.069846, 0.057244)


def gowalla_mf_ccl() -> Recipe:
    """MF + CCL on Gowalla."""
    return _row("gowalla", 0.9, 150, 800, 256, 1e-8, 0.183730, 0.149257)


def yelp2018_simplex() -> Recipe:
    """SimpleX on Yelp2018: its best setting there weighs the history by 0, which makes it MF + CCL, 1,000 negatives."""
    return _row("yelp2018", 0.9, 150, 1000, 512, 1e-9, 0.070111, 0.057514)


def gowalla_simplex() -> Recipe:
    """SimpleX on Gowalla: histories from a separate table, weighted by the user's vector in a padded softmax."""
    fields = COMMON | {"loss": "ccl:0.9:250", "negatives": "uniform:2000", "batch_size": 256, "l2": 1e-7}
    published = Published(0.187213, 0.155688, LOG, 38)
    return _history("gowalla", fields, published, 41, aggregator="user_attention", shared=False, padded=True)


def movielens_1m_simplex() -> Recipe:
    """SimpleX on MovieLens-1M: the mean of the history, biases, 128 dimensions, negatives without training items."""
    fields = COMMON | {
        "loss": "ccl:0.9:10", "negatives": "uniform:1500:true", "batch_size": 1024, "l2": 1e-5, "lr": 1e-3,
        "user_dropout": 0.4, "train_score": "dot", "rank_score": "dot",
    }  # fmt: skip
    published = Published(0.280191, 0.266971, LOG, 31)
    differs = "histories are whole, theirs end at 500 items; no L2 on biases"
    return _history("movielens-1m", fields, published, 34, differs, dim=128, biases=True)


def _history(
    data: str, fields: dict[str, Any], published: Published, last: int, more: str = "", **backbone: Any
) -> Recipe:
    """SimpleX with the weight .8 on the user's own vector, its epoch chosen by NDCG@20."""
    settings = {"backbone": {"init": "normal:0.0001", "gamma": 0.8, **backbone}}
    differs = f"{NEVER_SAME}; no L2 on a table of histories; {PLATEAU}"
    differs += f"; {more}" if more else ""
    fields = fields | {"backbone": "simplex"}
    return Recipe(data, fields, published, differs, usual_epochs=last, select="ndcg@20", settings=settings)
