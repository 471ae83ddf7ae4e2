"""Saved folders: those of earlier versions go on loading and rank to the same bits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from taurec import Recommender

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
