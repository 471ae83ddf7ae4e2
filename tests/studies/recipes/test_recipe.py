"""Every row says all it takes, and is a run that can be made."""

from __future__ import annotations

import pytest

from taurec.data.datasets import DATASETS
from taurec.studies.protocols import PROTOCOLS
from taurec.studies.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_row_is_a_whole_run_of_a_set_that_comes_divided(name: str) -> None:
    recipe = RECIPES[name]()
    assert (RECIPES[name].__doc__ or "").strip().endswith(".")
    assert DATASETS[recipe.data].test > 0
    assert recipe.published is not None or recipe.claim
    assert not recipe.beside or RECIPES[recipe.beside]().published is not None
    for protocol in recipe.protocols:
        run = recipe.run(protocol, seed=2)
        assert (run.valid, run.seed, run.source) == (PROTOCOLS[protocol].run_fields()["valid"], 2, recipe.data)
        for point in recipe.points():
            assert recipe.run(protocol, 2, point) != run or point == recipe.points()[0]
    if recipe.published is not None:
        assert 0.01 < recipe.published.ndcg < recipe.published.recall < 0.5
        assert recipe.published.source


def test_the_settings_of_a_row_reach_its_run() -> None:
    run = RECIPES["gowalla-mf-bsl"]().run("paper", 0)
    assert run.loss.settings == {"tau": 0.08, "k": 1.22}
    assert (run.batch_size, run.lr, run.user_dropout, run.negatives.text) == (
        1024, 1e-4, 0.1, "uniform(exclude=False, n=800)"
    )  # fmt: skip
    mml = RECIPES["yelp2018-mml-100"]().run("paper", 0)
    assert mml.loss.settings["margins"] == (0.6, 0.7, 0.8, 0.9)
    assert mml.backbone.settings["init"] == "normal:0.0001"
    beauty = RECIPES["beauty-mf-sl"]().run("talos", 0, {"loss.tau": 0.3})
    assert beauty.loss.settings["tau"] == 0.3
    assert (beauty.metric, beauty.eval_every, beauty.patience) == ("precision@20", 5, 5)
    assert beauty.backbone.settings == {"dim": 64, "init": "normal:1"}
    learned, fixed = (RECIPES[f"beauty-mf-talos{of}"]().run("talos", 0) for of in ("", "-0"))
    assert (learned.loss.settings["learn"], learned.loss.settings["tau"]) == (True, 0.15)
    assert learned.but(loss=fixed.loss) == fixed
    assert fixed.loss.settings == {**learned.loss.settings, "learn": False}
    ndcg = RECIPES["gowalla-ease"]().run("honest", 0)
    assert (ndcg.metric, ndcg.model is not None) == ("ndcg@20", True)


def test_seeds_and_protocols_make_different_runs_of_the_same_setting() -> None:
    recipe = RECIPES["yelp2018-mf-sl"]()
    one, other = recipe.run("paper", 0), recipe.run("paper", 1)
    assert one != other
    assert one.but(seed=1) == other


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith(("-ngcf-sl", "-ngcf-bsl"))])
def test_a_row_of_ngcf_differs_from_that_of_lightgcn_in_the_backbone_alone(name: str) -> None:
    ngcf, lightgcn = (RECIPES[row]().run("paper", 0) for row in (name, name.replace("ngcf", "lightgcn")))
    assert ngcf.backbone.name == "ngcf"
    assert ngcf.but(backbone=lightgcn.backbone) == lightgcn
