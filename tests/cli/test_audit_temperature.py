from __future__ import annotations

import json
from pathlib import Path

import pytest

ARGS = ["--epochs", "2", "--set", "backbone.dim=8", "--threads", "1"]


@pytest.fixture
def audit(run):
    """Run the command line of the subcommand; returns its code, stdout and stderr."""
    return lambda *argv: run("audit", "temperature", *argv)


def test_trains_and_looks(audit, log_csv: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    code, out, err = audit(log_csv, *ARGS, "--loss", "bsl", "--taus", "0.05,1", "--out", file)
    assert code == 0, err
    assert max(len(line) for line in out.splitlines() if not line.startswith("  taurec ")) <= 80
    assert "With tau 0.1 a user's gradient is spread over" in " ".join(out.split())
    assert "along training" in out
    written = json.loads(file.read_text())
    assert [view["tau"] for view in written["others"]] == [0.05, 1.0]
    assert len(written["curve"]) == 2
    assert written["positives"]["tau"] == 1.0


def test_json_alone_on_stdout(audit, log_csv: Path) -> None:
    code, out, err = audit(log_csv, *ARGS, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["negatives"]["tau"] == 0.1


def test_a_saved_model(audit, run, log_csv: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    assert run("train", log_csv, *ARGS, "--out", folder, "-q")[0] == 0
    code, out, err = audit("--saved", folder)
    assert code == 0, err
    assert "along training" not in out
    code, _, err = audit(log_csv, "--saved", folder)
    assert code == 2
    assert "--saved looks at a model as it is" in err


def test_a_page_with_the_command_that_repeats_it(audit, log_csv: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "t.html"
    code, _, err = audit(log_csv, *ARGS, "--html", page, "--quiet")
    assert code == 0, err
    assert f"taurec audit temperature {log_csv} --epochs 2 --set backbone.dim=8 --threads 1" in page.read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--taus", "0.1,x"], "'x' is not a number; write for example --taus 0.05,0.1,0.2"),
        (["--taus", "0"], "must be a finite number above 0"),
        (["--loss", "bpr"], "loss 'bpr' has no temperature; name those to audit (--taus"),
        (["--html", "t.txt"], "cannot tell the format from '.txt'"),
        (["--out", "t.txt"], "cannot tell the format from '.txt'"),
        (["--users", "0"], "at least 1 user"),
        (["--loss", "slx"], "did you mean 'sl'"),
    ],
)
def test_wrong_requests(audit, log_csv: Path, argv: list[str], said: str) -> None:
    code, out, err = audit(log_csv, *argv, "--epochs", "1")
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
