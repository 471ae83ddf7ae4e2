"""What a person at a terminal does: Ctrl-C, kill, and a pipe into head."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

LONG = [
    "--epochs",
    "100000",
    "--patience",
    "100000",
    "--set",
    "eval_every=50",
    "--set",
    "backbone.dim=8",
    "--negatives",
    "uniform:4",
]
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def taurec(*argv, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "taurec", *map(str, argv)],
        env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_training_saves_and_leaves(log_csv, tmp_path, number, code):
    folder = tmp_path / "m"
    child = taurec("train", log_csv, *LONG, "--out", folder)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("epoch"):
            break
    sent = time.monotonic()
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert time.monotonic() - sent < 30  # 5 s are due on a machine at rest
    assert (child.returncode, out) == (code, "")
    assert f"saved to {folder}" in err
    assert "Traceback" not in err
    assert json.loads((folder / "run.json").read_text())["epochs"] == 100000
    assert subprocess.run(
        [sys.executable, "-m", "taurec", "recommend", str(folder), "--user", "u00"], env=ENV, capture_output=True
    ).returncode == 0  # fmt: skip
    assert {p.name for p in tmp_path.iterdir()} <= {"m", ".m.checkpoint.safetensors"}


@pytest.mark.parametrize("argv", [["list", "metrics"], ["--help"]])
def test_head_closes_the_pipe_and_nothing_is_said(argv):
    read, write = os.pipe()
    os.close(read)
    child = subprocess.Popen(
        [sys.executable, "-m", "taurec", *argv], env=ENV, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")


@pytest.mark.slow
def test_a_log_reader_that_goes_away_does_not_end_the_training(log_csv, tmp_path):
    read, write = os.pipe()
    os.close(read)
    folder = tmp_path / "m"
    argv = ["train", str(log_csv), "--epochs", "2", "--set", "backbone.dim=8", "--out", str(folder)]
    child = subprocess.run(
        [sys.executable, "-m", "taurec", *argv],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
        timeout=90,
    )
    os.close(write)
    assert child.returncode == 0
    assert "Saved to" in child.stdout
    assert (folder / "model.safetensors").exists()
