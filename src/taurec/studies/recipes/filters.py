"""Graph filters without training on Gowalla, with the settings of their authors' code.

Nothing is chosen: the settings are those that the code has for Gowalla. The protocol is ``paper``, since the authors
fit to the whole training file and hide it at the test.
"""

from __future__ import annotations

from typing import Any

from taurec.studies.recipes.recipe import Published, Recipe

README = "README of the repository chanwoo0806/ChebyCF (SIGIR 2025)"
SOLVER = "another solver of the eigenvectors"


def _row(model: str, settings: dict[str, Any], published: Published, differs: str = "") -> Recipe:
    return Recipe(
        "gowalla", {"model": model}, published, differs, usual_epochs=1, select="ndcg@20",
        settings={"model": settings}, protocols=("paper",),
    )  # fmt: skip


def gowalla_chebycf() -> Recipe:
    """ChebyCF on Gowalla, with the target at the nodes of the authors' code."""
    settings = {"order": 8, "phi": 1.5, "k": 512, "alpha": 0.2, "beta": 0.4, "nodes": "authors"}
    return _row("chebycf", settings, Published(0.1941, 0.1616, README), SOLVER)


def gowalla_gf_cf() -> Recipe:
    """GF-CF on Gowalla."""
    return _row("gf-cf", {"k": 256, "alpha": 0.3}, Published(0.1850, 0.1518, README), SOLVER)


def gowalla_bspm() -> Recipe:
    """BSPM with early merge on Gowalla."""
    settings = {"k": 448, "beta": 0.2, "solver": "rk4", "time": 2.5, "steps": 1, "merge": "early", "mean": False}
    source = "leaderboard of Papers with Code for arXiv 2211.09324 (BSPM-EM)"
    return _row("bspm", settings, Published(0.1920, 0.1597, source), SOLVER)


def gowalla_turbo_cf() -> Recipe:
    """Turbo-CF with the filter of order 1 on Gowalla."""
    published = Published(0.1835, 0.1531, "Turbo-CF paper, SIGIR 2024, arXiv 2404.14243")
    return _row("turbo-cf", {"a": 0.6, "s": 0.7, "order": 1}, published)
