"""MF on the Beauty set of Talos (Zhang et al., WWW 2026, arXiv 2601.19276), tables 3.1 and D.2.

Protocol ``talos``, as in the code of the repository cynthia-shengjia/WWW-2026-Talos: the epoch and the temperature are
chosen on ``valid_data.txt``, training is on ``train_data.txt``, and the test hides the training part alone, so that
items of the validation part stay in the lists. The paper gives the grids: temperatures as here, learning rates .1, .01
and .001, decay 0 and three others. The repository gives a command for Beauty, with lr .01 and no decay, which all rows
take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taurec.studies.recipes.recipe import NEVER_SAME, Published, Recipe

TABLES = "Talos paper, tables 3.1 and D.2"
FIELDS: dict[str, Any] = {
    "order": "shuffled", "epochs": 1000, "batch_size": 1024, "negatives": "uniform:1024:true", "lr": 1e-2, "l2": 0.0,
    "rank_score": "cosine",
}  # fmt: skip
DIFFERS = f"{NEVER_SAME}; lr and decay are those of the command of Talos, not chosen for each loss"
OF_TALOS = f"{NEVER_SAME}; a row's own positive counts for all of its user in the threshold, where theirs scores all"
FROM_THE_MIDDLE = (0.2, 0.15, 0.1, 0.25, 0.3, 0.05)
OF_THE_COMMAND = (0.15, 0.2, 0.1, 0.25, 0.3, 0.05)
HALF_UNITS = (0.1, 0.05, 0.15, 0.2, 0.25, 0.3)
"""The six temperatures of the paper, the likely ones first: a run that is cut short has tried those."""


def _row(
    loss: str, taus: tuple[float, ...], published: Published | None, differs: str = DIFFERS, claim: str = "",
    of_loss: Mapping[str, Any] | None = None,
) -> Recipe:  # fmt: skip
    settings = {"backbone": {"init": "normal:1"}, "loss": of_loss or {}}
    return Recipe(
        "amazon-beauty", FIELDS | {"loss": loss}, published, differs, claim, usual_epochs=100, settings=settings,
        protocols=("talos",), grid={"loss.tau": taus},
    )  # fmt: skip


def beauty_mf_sl() -> Recipe:
    """MF + SL on Amazon-Beauty."""
    return _row("sl", FROM_THE_MIDDLE, Published(0.1403, 0.0813, TABLES))


def beauty_mf_psl() -> Recipe:
    """MF + PSL with tanh, which is the paper's choice (appendix D.5), on Amazon-Beauty.

    Its temperature is in half units of the score, so the same six values reach from .1 to .6 of SL's.
    """
    return _row("psl-tanh", HALF_UNITS, Published(0.1432, 0.0820, TABLES))


def beauty_mf_talos() -> Recipe:
    """MF + Talos on Amazon-Beauty; the temperature of the repository's command is .15."""
    return _row("talos", OF_THE_COMMAND, Published(0.1499, 0.0851, TABLES), OF_TALOS)


def beauty_mf_talos_0() -> Recipe:
    """MF + Talos with its threshold fixed at 0, on Amazon-Beauty."""
    claim = "what the learned threshold adds; the paper's ablation has Recall@20 .1487 with the threshold at 0"
    return _row("talos", OF_THE_COMMAND, None, NEVER_SAME, claim, {"learn": False})
