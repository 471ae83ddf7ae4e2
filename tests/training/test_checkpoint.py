"""A run that is stopped and goes on ends with the bits of one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.training import checkpoint
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

PARTS = split(planted(n_users=80, n_items=40, seed=3).log, "ratio", valid=0.15, test=0.15, seed=0)
SMALL = {"epochs": 4, "batch_size": 16, "negatives": "uniform:8", "settings": {"backbone": {"dim": 8}}, "patience": 9}
WAYS = {
    "unit table": {"loss": "sl", "kernel": "numba", "negatives": "uniform:12"},
    "late tables": {"loss": "bpr", "negatives": "uniform:1", "batch_size": 4, "kernel": "auto"},
    "late tables, weight decay": {
        "loss": "sl",
        "batch_size": 4,
        "negatives": "uniform:1",
        "l2": 0.01,
        "l2_mode": "adam",
    },
    "plain torch": {"loss": "sl", "kernel": "torch"},
    "graph": {"backbone": "lightgcn", "loss": "sl", "negatives": "in-batch", "l2": 1e-3},
    "layers with weights": {"backbone": "ngcf", "loss": "bpr"},
    "learned combination": {
        "backbone": "lightgcn",
        "loss": "sl",
        "negatives": "in-batch",
        "settings": {"backbone": {"dim": 8, "combine": "learned"}},
    },
    "two noisy views": {"backbone": "simgcl", "loss": "bpr", "l2": 1e-3},
    "noise in the vectors": {"backbone": "xsimgcl", "loss": "sl", "negatives": "in-batch"},
    "rate by plateaus": {"loss": "sl", "lr_schedule": "plateau", "lr": 0.3},
    "falling rate, dropout": {"loss": "sl", "lr_schedule": "cosine", "user_dropout": 0.2},
}


def trainer(**fields):
    return Trainer(resolve(**{**SMALL, **fields}), PARTS.train, PARTS.valid)


@pytest.mark.parametrize("way", WAYS)
def test_stopped_after_any_epoch_it_ends_with_the_same_bits(way: str, tmp_path) -> None:
    whole = trainer(**WAYS[way]).fit()
    path = tmp_path / "run.safetensors"
    found = None
    for _ in range(4):
        found = trainer(**WAYS[way]).fit(path, every=0.0, seconds=0.0)
    assert found is not None
    assert found.finished
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert np.array_equal(found.ranker.item, whole.ranker.item)
    assert [(r.epoch, r.loss, r.metrics) for r in found.records] == [
        (r.epoch, r.loss, r.metrics) for r in whole.records
    ]
    again = trainer(**WAYS[way]).fit(path)
    assert len(again.records) == 4
    assert np.array_equal(again.ranker.user, whole.ranker.user)


def test_a_run_that_ran_out_of_patience_does_not_go_on(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    first = trainer(loss="sl", lr=1e-9, patience=1, epochs=9).fit(path)
    assert first.finished
    assert len(first.records) < 9
    again = trainer(loss="sl", lr=1e-9, patience=1, epochs=9).fit(path)
    assert [r.epoch for r in again.records] == [r.epoch for r in first.records]


def test_more_epochs_may_be_asked_for_where_the_rate_does_not_hang_on_them(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    trainer(loss="sl", epochs=2).fit(path)
    longer, whole = trainer(loss="sl", epochs=4).fit(path), trainer(loss="sl", epochs=4).fit()
    assert np.array_equal(longer.ranker.item, whole.ranker.item)
    trainer(loss="sl", epochs=2, lr_schedule="linear").fit(tmp_path / "falling")
    with pytest.raises(UsageError, match=r"its epochs is 2, that of this run 4; delete"):
        trainer(loss="sl", epochs=4, lr_schedule="linear").fit(tmp_path / "falling")


def test_how_a_setting_was_found_does_not_matter(tmp_path) -> None:
    """The texts of ``found`` have measured times, which differ when the same command continues."""
    path = tmp_path / "run.safetensors"
    first, second = (resolve(**SMALL, loss="sl").but(found={"loss.tau": f"found in {n} s"}) for n in (1, 2))
    done = Trainer(first, PARTS.train, PARTS.valid).fit(path)
    again = Trainer(second, PARTS.train, PARTS.valid).fit(path)
    assert [r.loss for r in again.records] == [r.loss for r in done.records]


def test_a_checkpoint_of_another_run_or_of_other_data_is_refused(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    trainer(loss="sl").fit(path)
    with pytest.raises(UsageError, match=r"its seed is 0, that of this run 1"):
        trainer(loss="sl", seed=1).fit(path)
    with pytest.raises(UsageError, match="pairs are others"):
        Trainer(resolve(**SMALL, loss="sl"), PARTS.train, PARTS.test).fit(path)


def test_a_checkpoint_from_before_a_setting_goes_on_where_that_is_at_its_default(tmp_path, monkeypatch) -> None:
    path, whole = tmp_path / "run.safetensors", checkpoint.identity

    def older(*given):
        who = whole(*given)
        del who["run"]["user_dropout_on"], who["run"]["backbone"]["settings"]["init"]
        return who

    monkeypatch.setattr(checkpoint, "identity", older)
    trainer(loss="sl", epochs=1).fit(path)
    monkeypatch.setattr(checkpoint, "identity", whole)
    for fields, said in (
        ({"user_dropout_on": "unit"}, "its user_dropout_on is None, that of this run 'unit'"),
        ({"settings": {"backbone": {"dim": 8, "init": "normal:1"}}}, "its backbone is"),
    ):
        with pytest.raises(UsageError, match=said):
            trainer(loss="sl", epochs=2, **fields).fit(path)
    gone_on, from_the_start = trainer(loss="sl", epochs=2).fit(path), trainer(loss="sl", epochs=2).fit()
    assert np.array_equal(gone_on.ranker.item, from_the_start.ranker.item)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "version"])
def test_a_broken_checkpoint_is_named_with_the_remedy(damage: str, tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    trainer(loss="sl", epochs=1).fit(path)
    content = path.read_bytes()
    wrong = {"cut": content[:-100], "text": b"not this", "empty": b""}.get(damage)
    if wrong is None:
        wrong = content.replace(b'\\"format\\": 1', b'\\"format\\": 7')
        assert wrong != content
    path.write_bytes(wrong)
    with pytest.raises(ArtefactError, match=r"run\.safetensors.*delete"):
        trainer(loss="sl", epochs=1).fit(path)


def test_what_cannot_be_written_is_said_and_the_file_before_stays(tmp_path, monkeypatch) -> None:
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, {"run": {}}, {"a": np.ones(3)}, {"steps": 1})
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "replace", full)
    with pytest.raises(ResourceError, match="No space left"):
        checkpoint.write(path, {"run": {}}, {"a": np.zeros(3)}, {"steps": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_header_is_plain_json(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, {"run": {"seed": 0}}, {"a": np.ones(3)}, {"steps": 1})
    arrays, progress = checkpoint.read(path, json.loads(json.dumps({"run": {"seed": 0}})))
    assert progress == {"steps": 1}
    assert arrays["a"].tolist() == [1, 1, 1]


CHILD = """
import sys
from pathlib import Path
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
parts = split(planted(n_users=80, n_items=40, seed=3).log, "ratio", valid=0.15, test=0.15, seed=0)
run = resolve(loss="sl", epochs=400, batch_size=16, negatives="uniform:8", patience=999,
              settings={"backbone": {"dim": 8}}, kernel="torch")
Trainer(run, parts.train, parts.valid, lambda p: print(p.epoch, flush=True)).fit(Path(sys.argv[1]), every=0.0)
"""


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path) -> None:
    path, command = tmp_path / "run.safetensors", [sys.executable, "-c", CHILD]
    kills = 0
    for _ in range(4):
        child = subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.3)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.communicate()
    assert kills >= 2
    run = {"epochs": 400, "patience": 999, "loss": "sl", "kernel": "torch"}
    resumed, whole = trainer(**run).fit(path), trainer(**run).fit()
    assert resumed.notes[0].startswith("going on after epoch")
    assert np.array_equal(resumed.ranker.user, whole.ranker.user)
    assert np.array_equal(resumed.ranker.item, whole.ranker.item)
