import random
from pathlib import Path

import pytest

from taurec.cli import main


@pytest.fixture(scope="session")
def log_csv(tmp_path_factory):
    """60 users who each have 10 of the 20 items of their parity: a CSV with a guessable header."""
    draw = random.Random(1)
    lines = ["user,item,timestamp"]
    for user in range(60):
        lines += [
            f"u{user:02d},i{item:02d},{10**9 + draw.randrange(10**7)}"
            for item in draw.sample(range(user % 2, 40, 2), 10)
        ]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def saved(log_csv, tmp_path_factory) -> Path:
    """An EASE model of that log."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    assert main(["train", str(log_csv), "--model", "ease", "--set", "model.l2=10", "--out", str(folder), "-q"]) == 0
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command line; returns its code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*argv):
        capsys.readouterr()
        code = main([str(a) for a in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
