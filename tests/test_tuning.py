"""Settings that validation chooses: those of a baseline, those that nobody named, and the model itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taurec import Recommender
from taurec.baselines import EASE
from taurec.baselines.auto import TOO_MUCH, WORK, Auto
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.run import Run
from taurec.training.auto_temperature import within
from taurec.training.opened import opened
from taurec.training.presets import has_auto, resolve

WORLD = planted(n_users=80, n_items=40, seed=3, noise=0.2).log
AUTO = {"model": {"l2": "auto"}}


def valid(model: Recommender) -> float:
    return model.metrics["valid"]["ndcg@20"]


def test_a_setting_of_a_baseline_is_the_best_of_its_grid_and_its_default() -> None:
    said = list[str]()
    model = Recommender(model="ease", settings=AUTO).fit(WORLD, on_note=said.append)
    values = [point["l2"] for point in EASE.GRID]
    tried = {l2: valid(Recommender(model="ease", settings={"model": {"l2": l2}}).fit(WORLD)) for l2 in [500.0, *values]}
    assert model.run.model is not None
    assert tried[model.run.model.settings["l2"]] == max(tried.values()) == valid(model)
    assert len(set(tried.values())) > 3, "the world must tell the settings apart"
    assert model.run.found["model.l2"] in said
    again = Recommender(run=Run.of(**json.loads(model.run.to_json()))).fit(WORLD)
    np.testing.assert_array_equal(again.ranker.block(np.arange(5)), model.ranker.block(np.arange(5)))


def test_without_a_validation_part_the_default_stays() -> None:
    model = Recommender(model="ease", settings=AUTO, split="none").fit(WORLD)
    assert model.run.model is not None
    assert model.run.model.settings["l2"] == 500.0
    assert "no validation part" in model.run.found["model.l2"]


def test_a_grid_that_takes_too_long_is_left_out_unless_it_is_asked_for() -> None:
    model = Recommender(model="ease", tune_seconds=1e-9).fit(WORLD)
    assert model.run.model is not None
    assert model.run.model.settings["l2"] == 500.0
    assert "would take" in model.run.found["model.l2"]
    asked = Recommender(model="ease", settings=AUTO, tune_seconds=1e-9).fit(WORLD)
    assert "chosen on validation" in asked.run.found["model.l2"]


def test_a_temperature_whose_trials_take_too_long_keeps_its_default() -> None:
    run = resolve(loss="sl", settings={"loss": {"tau": "auto"}}, epochs=3, kernel="torch")
    parts = split(WORLD, "ratio", seed=0)
    kept, note = within(run, parts.train, parts.valid, 1e9)
    assert (kept, note) == (run, "")
    kept, note = within(run, parts.train, parts.valid, 0.0)
    assert kept.loss.settings["tau"] == 0.1
    assert kept.found["loss.tau"] == note
    assert "loss.tau=auto makes them" in note
    kept, note = within(run, parts.train, None, 1e9)
    assert kept.loss.settings["tau"] == 0.1
    assert "no validation part" in note


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"model": "ease"}, {"model": {"l2": "auto"}}),
        ({"model": "ease", "settings": {"model": {"l2": 3.0}}}, {"model": {"l2": 3.0}}),
        ({"model": EASE(l2=4.0)}, None),
        ({"loss": "bsl"}, {"loss": {"tau_neg": "auto"}}),
        ({"loss": "bpr"}, {"loss": {}}),
        ({"backbone": "lightgcn", "loss": "sl:0.3"}, {"loss": {}}),
    ],
)
def test_only_what_is_not_given_is_opened(fields: dict[str, Any], settings: dict[str, Any] | None) -> None:
    found = opened(fields)
    if settings is None:
        assert not has_auto(resolve(**found))
    else:
        assert found["settings"] == settings
    resolve(**found)


def test_the_halves_of_a_blend_are_opened() -> None:
    run = resolve(**opened({"model": "blend:ease+mf:sl", "settings": {"backbone": {"dim": 8}}}))
    assert [has_auto(part) for part in run.parts] == [True, True]
    assert run.parts[1].backbone.settings["dim"] == 8
    given = resolve(**opened({"model": "blend:ease:50+mf:sl", "settings": {"loss": {"tau": 0.3}}}))
    assert [has_auto(part) for part in given.parts] == [False, False]


def log_of(users: int, items: int, pairs: int) -> Interactions:
    at = np.arange(pairs)
    return Interactions.from_pairs(at % users, at % items, Vocabulary.numbered(users), Vocabulary.numbered(items))


@pytest.mark.parametrize(
    ("users", "items", "model", "width"),
    [
        (10, 10, "ease-normalised", None),
        (1_000, 2_000, "blend:ease-normalised+fism:ssm", 256),
        (40_000, 10_000, "blend:ease-normalised+fism:ssm", 128),
        (30_000, 40_000, "blend:slim-local+fism:ssm", 64),
        (1_000_000, 200_000, "blend:slim-local+mf:sl", 64),
    ],
)
def test_the_size_of_a_log_decides(users: int, items: int, model: str, width: int | None) -> None:
    fields = Auto().pick(log_of(users, items, 40 if width is None else 2_011_009), has_valid=True).fields
    assert fields["model"] == model
    if width is not None:
        assert fields["settings"] == {"model": {}, "backbone": {"dim": width}}
        work = 6.0 * users * items * width * 30
        assert (work <= TOO_MUCH) == ("fism" in model)
        assert work <= WORK or width == 64


def test_what_nobody_named_is_picked_and_written_out(tmp_path: Path) -> None:
    said = list[str]()
    model = Recommender(epochs=2, kernel="torch").fit(WORLD, on_note=said.append)
    assert model.run.label == "blend:ease-normalised+fism:ssm"
    assert model.run.parts[1].epochs == 2
    assert said[0] == model.run.found["model"]
    assert not has_auto(model.run)
    folder = model.save(tmp_path / "model")
    assert Run.from_json(folder / "run.json").label == model.run.label
    again = Recommender(run=Run.from_json(folder / "run.json")).fit(WORLD)
    np.testing.assert_array_equal(again.ranker.block(np.arange(9)), model.ranker.block(np.arange(9)))
    loaded = Recommender.load(folder)
    history = WORLD.items.decode([0, 1])
    assert loaded.recommend_from_history(history, k=3).item == model.recommend_from_history(history, k=3).item


def test_without_a_validation_part_the_weight_is_given() -> None:
    model = Recommender(epochs=1, kernel="torch", split="none").fit(WORLD)
    assert model.run.model is not None
    assert model.run.model.settings["weight"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("named", [{"loss": "sl"}, {"backbone": "mf"}, {"negatives": "uniform"}, {"model": "ease"}])
def test_a_name_trains_that_model(named: dict[str, Any]) -> None:
    run = Recommender(**named).run
    assert run.label in ("mf:sl", "ease")
    assert not has_auto(run)


def test_auto_alone_is_no_model() -> None:
    with pytest.raises(UsageError, match="only says which model"):
        Auto().fit(WORLD)
    with pytest.raises(UsageError, match="is no model itself"):
        Auto().block(np.arange(1))
