from __future__ import annotations

import json
from pathlib import Path

import pytest

from taurec.errors import ArtefactError, UsageError
from taurec.run import Choice, Run


def test_a_run_comes_back_from_its_json(tmp_path: Path) -> None:
    run = Run.of(loss=Choice(name="sl", settings={"tau": 0.2}), lr=0.003, seed=4)
    path = tmp_path / "run.json"
    path.write_text(run.to_json())
    assert Run.from_json(path) == run


def test_but_checks_again() -> None:
    assert Run().but(seed=3).seed == 3
    with pytest.raises(UsageError, match="patience"):
        Run().but(patience=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0), ("lr", -1), ("lr", float("nan")), ("lr", float("inf")), ("epochs", 0), ("batch_size", 0),
        ("user_dropout", 1.0), ("l2", -1e-3), ("valid", 1.0), ("split", "randon"), ("train_score", "cos"), ("seed", -1),
    ],
)  # fmt: skip
def test_values_out_of_range_name_the_field(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        Run.of(**{field: value})


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        Run.of(epoch=3)


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"lr": 0}), json.dumps({"nonsense": 1})])
def test_a_broken_run_file_is_a_broken_artefact(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=r"run\.json"):
        Run.from_json(path)


def test_more_threads_than_a_process_bears_are_refused() -> None:
    with pytest.raises(UsageError, match="threads: input should be less than or equal to 1024; got 99999"):
        Run.of(threads=99999)
