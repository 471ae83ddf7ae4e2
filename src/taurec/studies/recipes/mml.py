"""MML against CCL with few negatives (Ozsoy, arXiv 2405.04614), on MF.

The paper's tables could not be had, so its claim is the row: up to 20 % better than CCL at 10 and 100 negatives, on
a par at 800. Settings are those of the author's repository mgulcin/mmcl. At 800 MML is compared with the CCL authors'
own rows (:mod:`taurec.studies.recipes.simplex`), whose rate falls on a plateau, where that study keeps it.
"""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import Recipe

CLAIM = "MML is up to 20 % better than CCL at 10 and 100 negatives, on a par at 800"
SOURCE = (
    "settings: configuration files and notebooks of the repository mgulcin/mmcl; stopping after 5 epochs without a "
    "better one"
)
COMMON: dict[str, Any] = {
    "order": "shuffled", "epochs": 100, "patience": 5, "lr": 1e-4, "l2_mode": "tables", "user_dropout": 0.1,
    "user_dropout_on": "unit", "clip_norm": 10.0,
}  # fmt: skip
INIT = {"init": "normal:0.0001"}
YELP = {"margins": (0.6, 0.7, 0.8, 0.9), "weights": (0.05, 0.15, 0.2, 0.6), "neg_weight": 400.0}
CCL = {"margin": 0.9, "neg_weight": 150.0}
GOWALLA = {"margins": (0.7, 0.8, 0.9), "weights": (0.10, 0.15, 0.75), "neg_weight": 700.0}


def _mml(data: str, n: int) -> Recipe:
    """The author's margins for the set."""
    return _row(data, n, "mml", YELP if data == "yelp2018" else GOWALLA)


def _ccl(data: str, n: int) -> Recipe:
    """The CCL of that study: margin .9, weight 150."""
    return _row(data, n, "ccl", CCL)


def _row(data: str, n: int, loss: str, settings: dict[str, Any]) -> Recipe:
    by_set = {"batch_size": 512, "l2": 1e-9} if data == "yelp2018" else {"batch_size": 256, "l2": 1e-8}
    fields = COMMON | {"loss": loss, "negatives": f"uniform:{n}", **by_set}
    nested = {"loss": settings, "backbone": INIT}
    return Recipe(data, fields, differs=SOURCE, claim=CLAIM, usual_epochs=60, settings=nested)


def yelp2018_mml_10() -> Recipe:
    """MF + MML on Yelp2018, 10 negatives."""
    return _mml("yelp2018", 10)


def yelp2018_mml_100() -> Recipe:
    """MF + MML on Yelp2018, 100 negatives."""
    return _mml("yelp2018", 100)


def yelp2018_mml_800() -> Recipe:
    """MF + MML on Yelp2018, 800 negatives."""
    return _mml("yelp2018", 800)


def yelp2018_ccl_10() -> Recipe:
    """MF + CCL on Yelp2018, 10 negatives."""
    return _ccl("yelp2018", 10)


def yelp2018_ccl_100() -> Recipe:
    """MF + CCL on Yelp2018, 100 negatives."""
    return _ccl("yelp2018", 100)


def gowalla_mml_10() -> Recipe:
    """MF + MML on Gowalla, 10 negatives."""
    return _mml("gowalla", 10)


def gowalla_mml_100() -> Recipe:
    """MF + MML on Gowalla, 100 negatives."""
    return _mml("gowalla", 100)


def gowalla_mml_800() -> Recipe:
    """MF + MML on Gowalla, 800 negatives."""
    return _mml("gowalla", 800)


def gowalla_ccl_10() -> Recipe:
    """MF + CCL on Gowalla, 10 negatives."""
    return _ccl("gowalla", 10)


def gowalla_ccl_100() -> Recipe:
    """MF + CCL on Gowalla, 100 negatives."""
    return _ccl("gowalla", 100)
