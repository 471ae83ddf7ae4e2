"""Saved folders: those of earlier versions go on loading and rank to the same bits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from taurec import Recommender, planted, saved
from taurec.errors import ArtefactError
from taurec.run import Run

FIXTURES = Path(__file__).parent / "fixtures" / "saved"
"""Folders written by version 0.1.0 (format 1), each with ``expected.json``: what it held and ranked when written."""
each_folder = pytest.mark.parametrize("folder", sorted(p for p in FIXTURES.iterdir()), ids=lambda p: p.name)


@each_folder
def test_an_earlier_folder_loads_to_the_same_bits(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    model = Recommender.load(folder)
    assert model.run.label == expected["label"]
    state = model.ranker.state()
    found = {name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for name, value in state.items()}
    assert found == expected["arrays"]


@each_folder
def test_an_earlier_folder_ranks_as_it_did(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    model = Recommender.load(folder)
    for user, items in expected["lists"].items():
        assert model.recommend(user, k=5).item == items
    assert model.recommend_from_history(["3", "8", "12"], k=5).item == expected["from_history"]
    if expected["similar"]:
        assert model.similar_items("4", k=3).item == expected["similar"]
    means = model.evaluate(metrics=list(expected["test"])).means()
    assert means == pytest.approx(expected["test"], abs=1e-6)


@each_folder
def test_an_earlier_folder_is_saved_again_without_loss(folder: Path, tmp_path: Path) -> None:
    model = Recommender.load(folder)
    again = Recommender.load(model.save(tmp_path / "again"))
    assert again.run == model.run
    for name, value in model.ranker.state().items():
        np.testing.assert_array_equal(again.ranker.state()[name], value)


def test_a_newer_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = Recommender(model="popularity").fit(planted(n_users=30, n_items=20).log).save(tmp_path / "new")
    content = json.loads((folder / "run.json").read_text())
    content["taurec"] = {"version": "9.0", "format": saved.FORMAT + 1}
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(ArtefactError, match=r"written by TauRec 9\.0 in format 3; .* reads formats up to 2\. Install"):
        Recommender.load(folder)


def test_every_earlier_format_has_a_converter_and_they_are_applied_in_turn(tmp_path: Path, monkeypatch) -> None:
    assert sorted(saved.CONVERTERS) == list(range(1, saved.FORMAT))
    monkeypatch.setattr(saved, "FORMAT", 4)
    monkeypatch.setattr(
        saved, "CONVERTERS", {n: lambda content, n=n: {**content, "seen": [*content["seen"], n]} for n in (2, 3)}
    )
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"taurec": {"format": 2}, "seen": []}))
    assert saved.read_document(path)["seen"] == [2, 3]


def test_an_earlier_spelling_of_a_field_is_read_with_a_warning(monkeypatch) -> None:
    monkeypatch.setattr("taurec.run.RENAMED", {"step_size": "lr"})
    with pytest.warns(FutureWarning, match="'step_size' of a run is now 'lr'"):
        assert Run.from_document({"step_size": 0.5}).lr == 0.5
