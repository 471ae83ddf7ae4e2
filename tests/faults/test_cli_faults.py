"""Wrong requests at the command line, by row number of the fault table: code, message, nothing altered."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from taurec.cli import main

FAST = ["--epochs", "1", "--set", "backbone.dim=8", "--negatives", "uniform:4"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a small log, and a broken one that must never be opened."""
    draw = random.Random(3)
    rows = [f"u{u},i{i}" for u in range(20) for i in draw.sample(range(30), 6)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    (tmp_path / "broken.csv").write_text("user,item\nann\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")


def unix_socket(folder: Path) -> None:
    address = "sock.csv"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(address)


def folder_csv(folder: Path) -> None:
    (folder / "folder.csv").mkdir()


def a_file_named_out(folder: Path) -> None:
    (folder / "plain").write_text("mine")


def a_folder_of_mine(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")


def a_run(folder: Path) -> None:
    assert main(["train", "log.csv", "--model", "popularity", "--out", "run", "-q", "--json"]) == 0


TRAIN = ["train", "log.csv", *FAST]
BROKEN = ["train", "broken.csv"]  # a wrong setting must be refused before this is read

CASES = [
    # row, what is prepared, the command line, exit code, what is said
    (1, None, ["train", "sub/missing.csv"], 2, ["sub/missing.csv", "no such file", "{folder}"]),
    (1, None, ["data", "check", "missing.csv"], 2, ["{folder}/missing.csv", "no such file"]),
    (1, None, ["train", "debain"], 2, ["neither a file here nor a named set", "did you mean 'debian'?"]),
    (1, None, ["recommend", "nowhere", "--user", "u1"], 2, ["{folder}/nowhere", "no such folder"]),
    (2, folder_csv, ["train", "folder.csv"], 2, ["folder.csv", "train.*"]),
    (2, fifo, ["train", "pipe.csv"], 2, ["pipe.csv", "FIFO", "-"]),
    (2, unix_socket, ["train", "sock.csv"], 2, ["sock.csv", "socket"]),
    (45, None, [*BROKEN, "--loss", "bsl", "--set", "loss.tau_nge=0.1"], 2, ["tau_nge", "did you mean 'tau_neg'?"]),
    (45, None, [*BROKEN, "--set", "epohcs=3"], 2, ["epohcs", "did you mean 'epochs'?"]),
    (45, None, [*BROKEN, "--epoch", "3"], 2, ["--epoch", "did you mean --epochs?"]),
    (45, None, [*BROKEN, "--loss", "bls"], 2, ["bls", "did you mean 'bsl'?"]),
    (45, None, [*BROKEN, "--set", "backbone.dim=wide"], 2, ["backbone.dim", "integer", "'wide'"]),
    (45, None, [*BROKEN, "--loss", "bsl", "--set", "loss.tau_neg=0"], 2, ["tau_neg", "above 0", "0"]),
    (45, None, [*BROKEN, "--loss", "bsl", "--set", "loss.tau_neg=-1"], 2, ["tau_neg", "above 0", "-1"]),
    (45, None, [*BROKEN, "--loss", "bsl", "--set", "loss.tau_neg=nan"], 2, ["tau_neg", "finite", "nan"]),
    (45, None, [*BROKEN, "--lr", "0"], 2, ["lr", "greater than 0", "0"]),
    (45, None, [*BROKEN, "--lr", "nan"], 2, ["lr", "finite"]),
    (45, None, [*BROKEN, "--negatives", "uniform:0"], 2, ["n must be at least 1", "got 0"]),
    (45, None, [*BROKEN, "--device", "tpu"], 2, ["'tpu'", "cpu, cuda"]),
    (45, None, [*BROKEN, "--model", "ease", "--lr", "1"], 2, ["--lr", "no effect"]),
    (46, None, ["recommend", "nowhere", "--user", "u1", "-k", "0"], 2, ["-k must be at least 1", "got 0"]),
    (46, None, ["recommend", "nowhere", "--user", "u1", "-k", "-3"], 2, ["-k must be at least 1", "got -3"]),
    (46, None, [*BROKEN, "--metrics", "ndcg@0"], 2, ["at least 1", "ndcg@0"]),
    (46, None, [*BROKEN, "--metrics", ","], 2, ["the list of metrics is empty"]),
    (46, None, [*TRAIN, "--metric", "ndcg@500"], 2, ["ndcg@500 looks at 500 items", "only 30"]),
    (47, a_file_named_out, [*BROKEN, "--out", "plain/m"], 4, ["plain/m", "cannot be written"]),
    (47, a_file_named_out, ["compare", "broken.csv", "--out", "plain/c.json"], 4, ["cannot be written"]),
    (48, a_run, [*BROKEN, "--out", "run"], 2, ["run exists already", "--overwrite"]),
    (48, a_folder_of_mine, [*BROKEN, "--out", "mine", "--overwrite"], 2, ["mine is not a saved run"]),
    (54, None, ["train", "log.csv", "--loss", "bpr", "--lr", "1e30", "--epochs", "3"], 5, ["error:"]),
]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("case", CASES, ids=[f"row{row}-{' '.join(argv)[:50]}" for row, _, argv, _, _ in CASES])
def test_refused_in_one_line_with_nothing_altered(here, capsys, case):
    _, prepare, argv, code, words = case
    if prepare is not None:
        prepare(here)
    before = snapshot(here)
    capsys.readouterr()
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in err
    assert "internal error" not in err
    for word in words:
        assert word.format(folder=here) in last
    assert snapshot(here) == before


def test_row_48_a_finished_run_says_so_and_exits_0(here, capsys):
    a_run(here)
    before = (here / "run" / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    a_run(here)
    out, _ = capsys.readouterr()
    assert json.loads(out)["saved"] == "run"
    assert (here / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_row_48_another_folder_of_mine_is_never_replaced(here):
    a_folder_of_mine(here)
    assert main([*TRAIN, "--out", "mine"]) == 2
    assert (here / "mine" / "thesis.txt").read_text() == "years of work"


def test_row_54_names_where_and_under_which_settings(here, capsys):
    assert main(["train", "log.csv", "--loss", "sl", "--set", "train_score=dot", "--lr", "1e25", "--epochs", "9"]) == 5
    err = capsys.readouterr().err
    for word in ("epoch", "step", "tau", "lr 1e+25"):
        assert word in err.splitlines()[-1]


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a shell")
def test_row_64_head_ends_it_quietly(here):
    command = f"{sys.executable} -m taurec list metrics | head -n 1"
    env = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=env, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
