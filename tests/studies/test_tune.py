"""``taurec tune``: the best setting by validation, resumable, and refused where the file is of another search."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taurec.backbones import backbone_class
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.studies.tune.result import ENOUGH
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


def test_a_killed_trial_continues_and_the_trials_are_the_same(log: str, tmp_path: Path, monkeypatch) -> None:
    from taurec.recommender import Recommender

    fields = {**FIELDS, "epochs": 4}
    whole = outcome(tune(log, trials=3, fields=fields, reading={}))
    fit, storage, fits = Recommender.fit, tmp_path / "trials.jsonl", []

    def killed(self, parts, on_progress, **given):
        fits.append(self.run)

        def progress(told) -> None:
            on_progress(told)
            if len(fits) == 2 and told.epoch == 3:
                raise KeyboardInterrupt

        return fit(self, parts, on_progress=progress, **given)

    monkeypatch.setattr(Recommender, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(log, trials=3, fields=fields, reading={}, storage=storage)
    monkeypatch.setattr(Recommender, "fit", fit)
    assert len(storage.read_text().splitlines()) > 0
    assert outcome(tune(log, trials=3, fields=fields, reading={}, storage=storage)) == whole
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_second_process_on_one_file_is_refused(log: str, tmp_path: Path) -> None:
    storage = tmp_path / "trials.jsonl"
    hold = "import sys; from pathlib import Path; from taurec.studies.files import locked\n"
    hold += "with locked(Path(sys.argv[1]), '--storage'): print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold, storage], **pipes) as other:
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(UsageError, match=r"--storage .*trials.jsonl is in use by another process"):
            tune(log, trials=1, fields=FIELDS, reading={}, storage=storage)
        other.kill()
    assert tune(log, trials=1, fields=FIELDS, reading={}, storage=storage).best == 1


@pytest.mark.parametrize("values", [["xavier_uniform", "normal:0.1"]])
def test_a_setting_without_an_order_is_tried_by_value(log: str, monkeypatch, values: list[str]) -> None:
    monkeypatch.setattr(backbone_class("mf"), "grid", classmethod(lambda cls: {"backbone.init": values}))
    found = tune(log, trials=6, fields={**FIELDS, "lr": 0.01, "settings": {"loss": {"tau": 0.1}}}, reading={})
    [setting] = found.document()["settings"]
    assert (setting["name"], setting["searched"]) == ("backbone.init", ", ".join(values))
    assert {t.values["backbone.init"] for t in found.trials} == set(values)
    assert found.chosen.run.backbone.settings["init"] == setting["best"]
    [bars] = [figure for figure in found.figures() if figure.kind == "bar"]
    assert max(bars.series[0].y) == max(t.value for t in found.trials if t.state == "complete")


def test_the_layers_of_lightgcn_are_searched_as_whole_numbers(log: str) -> None:
    found = tune(log, trials=4, fields={**FIELDS, "backbone": "lightgcn"}, reading={})
    searched = {one.name: one.searched for one in found.searched}
    assert set(searched) == {"lr", "loss.tau", "backbone.layers"}
    layers = [t.values["backbone.layers"] for t in found.trials]
    assert all(isinstance(n, int) for n in layers)
    assert layers[0] == found.searched[-1].preset
    assert len(set(layers)) > 1


def test_a_baseline_that_is_first_on_validation_has_the_first_command(log: str) -> None:
    found = tune(log, trials=1, fields=FIELDS, reading={})
    ahead, behind = (replace(found, valid={"ease": value}) for value in (1.0, 0.0))
    assert ahead.commands()[0].startswith(f"taurec train {log} --model ease --set model.l2=")
    assert ahead.commands()[1:] == behind.commands() == [ahead.document()["commands"][1]]
    assert "ease 1.0000" in ahead.verdict()[1]
    assert (ahead.document()["first"], behind.document()["first"]) == ("ease", found.chosen.run.label)
    assert not any("ease" in line and "first" in line for line in behind.verdict())


def test_what_mattered_needs_enough_trials(log: str, monkeypatch) -> None:
    few = tune(log, trials=3, fields=FIELDS, reading={})
    assert all(one.importance is None and one.correlation is None for one in few.searched)
    assert f"need at least {ENOUGH} and" in few.tables()[1].note
    assert not any("mattered" in line for line in few.verdict())
    monkeypatch.setattr("taurec.studies.tune.search.ENOUGH", 3)
    monkeypatch.setattr("taurec.studies.tune.result.ENOUGH", 3)
    enough = tune(log, trials=3, fields=FIELDS, reading={})
    assert sum(one.importance for one in enough.searched) == pytest.approx(1.0)
    assert enough.tables()[1].note.startswith("Over the 3 complete trials.")


@pytest.mark.slow
def test_the_setting_that_matters_comes_first_in_most_searches_of_enough_trials() -> None:
    """One setting of three has an optimum inside its range, under noise; by chance it is named in 1 of 3 searches."""
    import optuna

    rng, of = np.random.default_rng(0), {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in "abc"}
    evaluator, named = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25), 0
    for _ in range(60):
        x = rng.random((ENOUGH, 3))
        values = -4 * (x[:, 0] - 0.6) ** 2 + rng.normal(0, 0.25, ENOUGH)
        study = optuna.create_study(direction="maximize")
        for point, value in zip(x.tolist(), values.tolist(), strict=True):
            params = dict(zip("abc", point, strict=True))
            study.add_trial(optuna.trial.create_trial(params=params, distributions=of, value=value))
        importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
        named += max(importance, key=importance.get) == "a"
    assert named >= 42


def test_the_page_has_every_trial_and_what_was_varied(log: str) -> None:
    pytest.importorskip("matplotlib", reason="the extra taurec[report] is not installed")
    from taurec.report.page import render
    from taurec.report.result_page import result_page

    html = render(result_page(tune(log, trials=3, fields=FIELDS, reading={}), "taurec tune x"))
    for text in ("taurec tune x", "All 3 trials", "The settings that were varied", "loss.tau", "On the test part"):
        assert text in html


FAILING = """
from dataclasses import dataclass

from taurec.losses import RowReduce, StreamedLoss


@dataclass(frozen=True)
class Failing(StreamedLoss):
    tau: float = 1.0
    always: bool = False

    @property
    def reduce(self):
        return RowReduce("mean")

    def combine(self, pos, reduced, n):
        if self.always or self.tau != 1:
            raise KeyError("oops")
        return reduced - pos

    @classmethod
    def grid(cls):
        return {"loss.tau": [1.0, 2.0]}
"""


def test_a_loss_that_raises_fails_its_trial_and_the_reason_is_told(log: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    loss = f"{tmp_path}/failing.py:Failing"
    reason = "KeyError: 'oops' in combine (failing.py:18)"
    notes: list[str] = []
    fields = {**FIELDS, "loss": loss, "lr": 0.01, "negatives": "uniform:8", "train_score": "dot", "seed": 1}
    found = tune(log, trials=4, fields=fields, reading={}, on_note=notes.append)
    states = {t.state for t in found.trials}
    assert found.trials[0].state == "complete"
    assert "failed" in states
    assert {t.error for t in found.trials if t.state == "failed"} == {reason}
    assert any(f"failed: {reason}" in str(cell) for row in found.tables()[0].rows for cell in row)
    assert any(f"failed: {reason}" in note for note in notes)


def test_a_search_of_failed_trials_alone_tells_the_last_reasons(log: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    settings = {"loss": {"always": True}}
    fields = {**FIELDS, "loss": f"{tmp_path}/failing.py:Failing", "lr": 0.01, "settings": settings}
    with pytest.raises(UsageError, match=r"all 2 failed, .*trial 2: KeyError: 'oops' in combine \(failing.py:18\)"):
        tune(log, trials=2, fields=fields, reading={})


def test_it_says_how_often_the_test_part_was_used(log: str, tmp_path: Path) -> None:
    storage = tmp_path / "trials.jsonl"
    first, again = (tune(log, trials=n, fields=FIELDS, reading={}, storage=storage) for n in (1, 2))
    assert "The test part was used once, after the choice." in " ".join(first.verdict())
    assert first.document()["test_uses"] == 1
    assert "The test part was used 2 times, " in " ".join(again.verdict())
    assert "once" not in " ".join([*again.verdict(), *(table.note for table in again.tables())])
    assert again.document()["test_uses"] == 2
