"""A row made again: which part chooses the epoch, what is recorded, and that it goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from taurec.baselines.ease import EASE
from taurec.data.interactions import Interactions
from taurec.errors import ArtefactError, UsageError
from taurec.evaluation.ranking import evaluate_ranker
from taurec.studies.recipes import Published, Recipe
from taurec.studies.reproduce import forecast, merge, parts_of, record_path, reproduce
from taurec.training.trainer import Trainer

SMALL = Recipe(
    "planted",
    {"loss": "sl", "negatives": "uniform:8", "epochs": 4, "batch_size": 64, "patience": 9},
    Published(0.5, 0.25, "a table"),
    settings={"backbone": {"dim": 8}},
    usual_epochs=4,
)


def test_the_paper_chooses_on_the_test_part_and_the_honest_protocol_on_one_cut_from_training() -> None:
    paper, honest = parts_of(SMALL, "paper"), parts_of(SMALL, "honest")
    assert paper.valid is paper.test
    assert len(paper.train) == len(honest.train) + len(honest.valid)
    assert not honest.train.contains(honest.test.user_of, honest.test.indices).any()
    assert not honest.valid.contains(honest.test.user_of, honest.test.indices).any()


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_the_figure_is_that_of_the_best_epoch_on_the_test_part(protocol, tmp_path) -> None:
    parts = parts_of(SMALL, protocol)
    found = reproduce("row", SMALL, protocol, 3, tmp_path)
    trained = Trainer(SMALL.run(protocol, 3), parts.train, parts.valid).fit()
    seen = parts.train if protocol == "paper" else parts.train.union(parts.valid)
    expected = evaluate_ranker(trained.ranker, parts.test, seen, ["recall@20", "ndcg@20"]).means()
    assert {m: found[m] for m in expected} == expected
    assert found["finished"]
    assert len(found["curve"]) == 4
    assert found["best_epoch"] == trained.best.epoch
    if protocol == "paper":
        assert max(found["curve"]) == pytest.approx(found["recall@20"], abs=1e-5)


def test_a_run_that_stopped_goes_on_and_its_record_is_replaced(tmp_path) -> None:
    parts = parts_of(SMALL, "paper")
    first = reproduce("row", SMALL, "paper", 0, tmp_path, parts=parts, seconds=0.0)
    path = merge(tmp_path, "row", SMALL, "paper", parts, first)
    assert (first["epochs"], first["finished"], json.loads(path.read_text())["finished"]) == (1, False, False)
    last = reproduce("row", SMALL, "paper", 0, tmp_path, parts=parts)
    whole = reproduce("row", SMALL, "paper", 0, tmp_path / "else", parts=parts)
    assert last["finished"]
    assert [last[k] for k in ("recall@20", "ndcg@20", "curve")] == [whole[k] for k in ("recall@20", "ndcg@20", "curve")]
    merge(tmp_path, "row", SMALL, "paper", parts, last)
    merge(tmp_path, "row", SMALL, "paper", parts, {**whole, "seed": 1, "recall@20": last["recall@20"] + 0.1})
    record = json.loads(path.read_text())
    assert [s["seed"] for s in record["seeds"]] == [0, 1]
    assert record["measured"]["recall@20"] == pytest.approx(last["recall@20"] + 0.05, abs=1e-6)
    assert record["spread"]["recall@20"] == pytest.approx(0.1 / 2**0.5, abs=1e-6)
    assert record["difference_percent"]["recall@20"] == pytest.approx(
        100 * ((last["recall@20"] + 0.05) / 0.5 - 1), abs=0.01
    )
    assert (record["chosen_on"], record["published"]["source"]) == ("test", "a table")
    assert record["command"] == "taurec reproduce row --protocol paper --seeds 2"


GRID = replace(SMALL, select="ndcg@20", grid={"loss.tau": (0.05, 5.0, 0.2)})


def test_a_grid_is_chosen_from_on_validation_and_other_seeds_take_its_choice(tmp_path) -> None:
    parts = parts_of(GRID, "honest")
    alone = [
        Trainer(GRID.run("honest", 0, point), parts.train, parts.valid).fit().best.metrics["ndcg@20"]
        for point in GRID.points()
    ]
    assert len(set(alone)) == 3
    best = GRID.points()[alone.index(max(alone))]
    found = reproduce("row", GRID, "honest", 0, tmp_path, parts=parts)
    assert [tried["ndcg@20"] for tried in found["validation"]] == [round(value, 5) for value in alone]
    assert (found["chosen"], found["finished"]) == (best, True)
    plain = Trainer(GRID.run("honest", 0, best), parts.train, parts.valid).fit()
    seen = parts.train.union(parts.valid)
    expected = evaluate_ranker(plain.ranker, parts.test, seen, ["ndcg@20"]).means()
    assert found["ndcg@20"] == expected["ndcg@20"]
    other = reproduce("row", GRID, "honest", 1, tmp_path, parts=parts)
    assert other["chosen"] == best
    assert other["curve"] != found["curve"]
    record = json.loads(merge(tmp_path, "row", GRID, "honest", parts, found).read_text())
    assert record["run"]["loss"]["settings"]["tau"] == best["loss.tau"]


def test_a_grid_that_is_cut_short_has_tried_its_first_values_and_continues(tmp_path) -> None:
    parts, notes = parts_of(GRID, "honest"), list[str]()
    first = reproduce("row", GRID, "honest", 0, tmp_path, parts=parts, seconds=0.0)
    assert (len(first["validation"]), first["epochs"], first["finished"]) == (1, 1, False)
    whole = reproduce("row", GRID, "honest", 0, tmp_path, parts=parts, on_note=notes.append)
    assert len(whole["validation"]) == 3
    assert whole["finished"]
    assert "going on after epoch 1" in notes[0]
    assert notes[-1].endswith("3 of 3")


def test_what_is_no_record_is_refused_and_stays(tmp_path) -> None:
    parts, path = parts_of(SMALL, "paper"), record_path(tmp_path, "row", "paper")
    path.write_text("{}")
    with pytest.raises(ArtefactError, match="not a record of row"):
        merge(tmp_path, "row", SMALL, "paper", parts, {"seed": 0})
    assert path.read_text() == "{}"


def test_a_baseline_takes_the_setting_that_validation_prefers(tmp_path) -> None:
    recipe = Recipe("planted", {"model": "itemknn"}, claim="a baseline", select="ndcg@20")
    found = {p: reproduce("row", recipe, p, 0, tmp_path) for p in ("paper", "honest")}
    assert found["paper"]["settings"] == found["honest"]["settings"]
    assert found["paper"]["tried"] > 1
    path = merge(tmp_path, "row", recipe, "paper", parts_of(recipe, "paper"), found["paper"])
    record = json.loads(path.read_text())
    assert (record["chosen_on"], record["published"], record["difference_percent"]) == ("validation", None, None)


def test_the_settings_of_a_source_are_fitted_once(tmp_path, monkeypatch) -> None:
    recipe = Recipe("planted", {"model": "ease"}, claim="a baseline", settings={"model": {"l2": 7.0}})
    fitted, whole = [], EASE.fit
    monkeypatch.setattr(EASE, "fit", lambda self, train: (fitted.append(self.l2), whole(self, train))[1])
    parts = parts_of(recipe, "paper")
    found = reproduce("row", recipe, "paper", 0, tmp_path, parts=parts)
    assert (fitted, found["settings"], found["tried"]) == ([7.0], {"l2": 7.0}, 0)
    expected = evaluate_ranker(whole(EASE(7.0), parts.train), parts.test, parts.train, ["ndcg@20"]).means()
    assert found["ndcg@20"] == expected["ndcg@20"]
    assert json.loads(merge(tmp_path, "row", recipe, "paper", parts, found).read_text())["chosen_on"] == "source"
    assert forecast(recipe, parts, "paper").epochs == 1


def test_the_grid_of_a_baseline_goes_on_where_it_was_cut_off(tmp_path, monkeypatch) -> None:
    recipe, fitted = Recipe("planted", {"model": "ease"}, claim="a baseline"), []
    whole = EASE.fit

    def fit(self: EASE, train: Interactions) -> EASE:
        fitted.append(self.l2)
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return whole(self, train)

    monkeypatch.setattr(EASE, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        reproduce("row", recipe, "paper", 0, tmp_path)
    notes: list[str] = []
    found = {p: reproduce("row", recipe, p, 0, tmp_path, on_note=notes.append) for p in ("paper", "honest")}
    grid = [point["l2"] for point in EASE.GRID]
    chosen = found["paper"]["settings"]["l2"]
    assert fitted == [*grid[:3], *grid[2:], chosen, chosen]
    assert f"{len(grid)} of {len(grid)}" in notes[-1]
    again = reproduce("row", recipe, "paper", 0, tmp_path / "else")
    assert [again[k] for k in ("settings", "ndcg@20")] == [found["paper"][k] for k in ("settings", "ndcg@20")]


def test_a_forecast_has_a_tier() -> None:
    found = forecast(SMALL, parts_of(SMALL, "paper"), "paper", threads=1)
    assert (found.epochs, found.tier) == (4, "A")
    assert found.seconds == 4 * found.epoch > 0
    baseline = Recipe("planted", {"model": "ease"}, claim="a baseline")
    found = forecast(baseline, parts_of(baseline, "paper"), "paper")
    assert (found.epochs, found.unit, found.tier) == (len(EASE.GRID) + 1, "fit", "A")


def test_a_set_that_is_not_divided_has_no_rows() -> None:
    with pytest.raises(UsageError, match="debian has no given training and test parts"):
        parts_of(Recipe("debian", {"loss": "sl"}, claim="none"), "paper")
