"""MF on Amazon-Electronics, from the papers of PSL (arXiv 2411.00163) and SL@K (arXiv 2508.05673).

Only rows whose settings are known are here. Temperatures are of the full cosine, twice those printed for PSL.
"""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import Published, Recipe

PSL = "PSL paper, table 1 (IR-Benchmark); means over all users, test users only here, who are all of them"
SLATK = "SL@K paper, table 2 (IR-Benchmark)"
COMMON: dict[str, Any] = {
    "order": "shuffled", "epochs": 200, "patience": 25, "batch_size": 1024, "negatives": "uniform:1000:true", "l2": 0.0,
    "rank_score": "cosine",
}  # fmt: skip
DIFFERS = "stops after 25 epochs without a better one, where theirs runs 200"
INIT = {"init": "normal:1"}


def electronics_mf_sl() -> Recipe:
    """MF + SL."""
    fields = COMMON | {"loss": "sl:0.2", "lr": 0.01}
    published = Published(0.0821, 0.0529, PSL)
    return Recipe("amazon-electronics", fields, published, DIFFERS, usual_epochs=100, settings={"backbone": INIT})


def electronics_mf_bsl() -> Recipe:
    """MF + what IR-Benchmark calls BSL, which is SL at another scale."""
    fields = COMMON | {"loss": "bsl-two-temperature:0.5:0.2", "lr": 0.1}
    published = Published(0.0834, 0.0530, PSL)
    return Recipe("amazon-electronics", fields, published, DIFFERS, usual_epochs=100, settings={"backbone": INIT})


def electronics_mf_sl_at_20() -> Recipe:
    """MF + SL@20."""
    fields = COMMON | {"loss": "sl-at-k", "lr": 0.01}
    nested: dict[str, dict[str, Any]] = {
        "backbone": INIT,
        "loss": {"tau": 0.2, "tau_weight": 2.25, "k": 20, "refresh_every": 20},
    }
    published = Published(0.0901, 0.0590, SLATK)
    return Recipe("amazon-electronics", fields, published, DIFFERS, usual_epochs=100, settings=nested)
