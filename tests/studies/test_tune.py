"""``taurec tune``: the best setting by validation, resumable, and refused where the file is of another search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.studies.tune.study import tune

pytest.importorskip("optuna")

LOG = planted(n_users=60, n_items=40, seed=1).log
FIELDS = {"epochs": 2, "batch_size": 64, "negatives": "uniform:8", "threads": 1, "kernel": "torch"}


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "log.csv"
    pairs = zip(LOG.user_of.tolist(), LOG.indices.tolist(), strict=True)
    path.write_text("user,item\n" + "".join(f"u{u},i{i}\n" for u, i in pairs))
    return str(path)


def outcome(found) -> list[tuple]:
    return [(t["number"], t["values"], t["value"]) for t in found.document()["trials"]]


def test_the_first_trial_is_the_preset_and_the_best_by_validation_is_chosen(log: str) -> None:
    found = tune(log, trials=4, fields=FIELDS, reading={})
    content = found.document()
    json.dumps(content)
    values = [t["value"] for t in content["trials"] if t["value"] is not None]
    assert len(content["trials"]) == 4
    assert content["trials"][0]["values"] == {"lr": 0.01, "loss.tau": 0.1}
    best = max(content["trials"], key=lambda t: -1.0 if t["value"] is None else t["value"])
    assert best["value"] == max(values)
    assert any("by validation" in line or "on validation" in line for line in found.verdict())
    assert found.tables()


def test_the_same_command_gives_the_same_trials_and_a_stopped_search_continues(log: str, tmp_path: Path) -> None:
    whole = outcome(tune(log, trials=4, fields=FIELDS, reading={}))
    assert len({str(values) for _, values, _ in whole}) == 4
    storage = tmp_path / "trials.jsonl"
    notes: list[str] = []
    tune(log, trials=2, fields=FIELDS, reading={}, storage=storage)
    found = tune(log, trials=4, fields=FIELDS, reading={}, storage=storage, on_note=notes.append)
    assert outcome(found) == whole
    assert any("2" in note and "trial" in note for note in notes)


def test_a_file_of_another_search_is_refused(log: str, tmp_path: Path) -> None:
    storage = tmp_path / "trials.jsonl"
    tune(log, trials=1, fields=FIELDS, reading={}, storage=storage)
    with pytest.raises(UsageError, match="another"):
        tune(log, trials=2, fields={**FIELDS, "loss": "bsl"}, reading={}, storage=storage)


def test_what_is_given_is_not_varied(log: str) -> None:
    found = tune(log, trials=2, fields={**FIELDS, "lr": 0.05}, reading={})
    assert all("lr" not in t["values"] for t in found.document()["trials"])
    with pytest.raises(UsageError, match="nothing is left to vary"):
        tune(log, trials=2, fields={**FIELDS, "lr": 0.05, "settings": {"loss": {"tau": 0.2}}}, reading={})


def test_a_diverging_trial_is_a_failed_trial_and_not_the_end(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from taurec.errors import NonFiniteError
    from taurec.recommender import Recommender

    fit, calls = Recommender.fit, []

    def sometimes(self, *args, **given):
        calls.append(1)
        if len(calls) == 2:
            raise NonFiniteError("the loss is not finite")
        return fit(self, *args, **given)

    monkeypatch.setattr(Recommender, "fit", sometimes)
    states = [t["state"] for t in tune(log, trials=3, fields=FIELDS, reading={}).document()["trials"]]
    assert states == ["complete", "failed", "complete"]


def test_every_trial_gets_its_first_epochs(log: str) -> None:
    fields = {**FIELDS, "epochs": 8, "patience": 2, "settings": {"loss": {"tau": 0.1}}}
    trials = tune(log, trials=12, fields=fields, reading={}).document()["trials"]
    pruned = [t["epochs"] for t in trials if t["state"] == "pruned"]
    assert pruned
    assert min(pruned) >= 5


def test_it_says_what_is_missing(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'taurec\[tune\]'"):
        tune(log, trials=1, fields=FIELDS, reading={})
