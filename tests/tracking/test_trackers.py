"""Trackers follow a real training with the real libraries; one that fails costs nothing but itself."""

from __future__ import annotations

import csv
import importlib.util
from typing import Any

import pytest

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.tracking import CsvTracker, Together, open_tracker

LOG = planted(n_users=40, n_items=24, seed=1).log


def model(epochs: int = 3) -> Recommender:
    fields = {"batch_size": 64, "negatives": "uniform:4", "threads": 1, "patience": 9}
    return Recommender("mf", "sl", settings={"backbone": {"dim": 4}}, epochs=epochs, **fields)


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def start(self, run, facts):
        self.said.append(("start", run["loss"]["name"]))
        assert facts["python"]

    def log(self, epoch, values):
        self.said.append(("log", epoch))
        assert {"loss", "ndcg@20"} <= set(values)

    def end(self, summary):
        self.said.append(("end", summary))


def test_the_order_of_what_is_told() -> None:
    listener = Listener()
    fitted = model().fit(LOG, trackers=[listener])
    assert [what for what, _ in listener.said] == ["start", "log", "log", "log", "end"]
    assert [epoch for what, epoch in listener.said if what == "log"] == [1, 2, 3]
    summary = listener.said[-1][1]
    assert summary["best_epoch"] == fitted.best.epoch
    assert summary["best_ndcg@20"] == fitted.best.metrics["ndcg@20"]


def test_a_training_that_goes_on_is_told_from_its_first_epoch(tmp_path) -> None:
    place, listener = tmp_path / "c.safetensors", Listener()
    model(epochs=2).fit(LOG, resume=place)
    model(epochs=3).fit(LOG, resume=place, trackers=[listener])
    assert [epoch for what, epoch in listener.said if what == "log"] == [1, 2, 3]


def test_a_baseline_has_a_start_and_an_end() -> None:
    seen = []
    Recommender(model="popularity").fit(
        LOG,
        trackers=[
            type(
                "T",
                (),
                {
                    "start": lambda s, run, facts: seen.append(run["model"]["name"]),
                    "end": lambda s, x: seen.append(sorted(x)),
                },
            )()
        ],
    )
    assert seen == ["popularity", ["fit_seconds", "ndcg@20", "seconds"]]


@pytest.mark.parametrize("when", ["start", "log", "end"])
def test_one_that_fails_is_told_once_and_the_training_is_the_same(when: str) -> None:
    class Broken(Listener):
        pass

    def fail(self, *given):
        raise RuntimeError("the disk\nis full")

    setattr(Broken, when, fail)
    notes: list[str] = []
    other = Listener()
    fitted = model().fit(LOG, on_note=notes.append, trackers=[Broken(), other])
    warnings = [note for note in notes if note.startswith("warning:")]
    assert warnings == [
        "warning: Broken failed and is left out from here on; training goes on (RuntimeError: the disk is full)"
    ]
    assert other.said[-1][0] == "end"
    assert [r.loss for r in fitted.records] == [r.loss for r in model().fit(LOG).records]


def test_an_error_of_training_still_ends_the_trackers() -> None:
    listener = Listener()

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(LOG, on_progress=stop, trackers=[listener])
    assert [what for what, _ in listener.said] == ["start", "end"]


def test_csv(tmp_path) -> None:
    fitted = model().fit(LOG, trackers=[open_tracker(f"csv:{tmp_path}/a/curve.csv")])
    rows = list(csv.DictReader((tmp_path / "a" / "curve.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows] == [r.loss for r in fitted.records]
    assert [float(row["ndcg@20"]) for row in rows] == [r.metrics["ndcg@20"] for r in fitted.records]


def test_csv_with_a_name_that_comes_later(tmp_path) -> None:
    tracker = CsvTracker(tmp_path / "c.csv")
    tracker.start({}, {})
    tracker.log(1, {"loss": 0.5})
    tracker.log(2, {"loss": 0.25, "ndcg@20": 0.1})
    tracker.log(3, {"loss": 0.125})
    assert (tmp_path / "c.csv").read_text().splitlines() == ["epoch,loss,ndcg@20", "1,0.5,", "2,0.25,0.1", "3,0.125,"]


def test_a_saved_folder_has_the_epochs_as_csv(tmp_path) -> None:
    fitted = model().fit(LOG)
    fitted.save(tmp_path / "m")
    rows = list(csv.DictReader((tmp_path / "m" / "metrics.csv").open()))
    assert [float(row["ndcg@20"]) for row in rows] == [r.metrics["ndcg@20"] for r in fitted.records]


def test_tensorboard(tmp_path) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = model().fit(LOG, trackers=[open_tracker(f"tensorboard:{tmp_path}/runs")])
    found = EventAccumulator(str(tmp_path / "runs"))
    found.Reload()
    values = found.Scalars("ndcg@20")
    assert [v.step for v in values] == [1, 2, 3]
    assert [v.value for v in values] == pytest.approx([r.metrics["ndcg@20"] for r in fitted.records])


def test_mlflow(tmp_path, monkeypatch) -> None:
    needs("mlflow")
    from mlflow.tracking import MlflowClient

    notes: list[str] = []
    tracker = open_tracker(f"mlflow:{tmp_path}/store")
    fitted = model().fit(LOG, on_note=notes.append, trackers=[tracker])
    assert not [note for note in notes if "failed" in note]
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(tracking_uri=tracker.uri)
    (run,) = client.search_runs([client.get_experiment_by_name("taurec").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["loss.name"] == "sl"
    history = client.get_metric_history(run.info.run_id, "ndcg_at_20")
    assert [(m.step, m.value) for m in history] == [(r.epoch, r.metrics["ndcg@20"]) for r in fitted.records]


def test_wandb_stays_offline(tmp_path, monkeypatch) -> None:
    needs("wandb")
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    model(1).fit(LOG, on_note=notes.append, trackers=[open_tracker(f"wandb:{tmp_path}/w")])
    assert not [note for note in notes if "failed" in note]
    (written,) = (tmp_path / "w" / "wandb").glob("offline-run-*/*.wandb")
    assert written.stat().st_size > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("tensorbord:x", "did you mean 'tensorboard'"), ("csv", "does not say where to write"), ("mlflow:", "write for")],
)
def test_texts_that_are_no_tracker(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_tracker(text)


def test_a_missing_package_names_its_extra(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'taurec\[wandb\]'"):
        open_tracker("wandb:x")


def test_none_at_all_is_no_work() -> None:
    Together([]).end({})
    assert model(1).fit(LOG).records
