"""``taurec tune`` as somebody types it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("optuna")

SMALL = ["--set", "backbone.dim=8", "--epochs", "2", "--threads", "1"]
SMALL += ["--negatives", "uniform", "--set", "negatives.n=4"]


def test_a_search_its_files_and_the_command_to_run_next(run, log_csv, tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="the extra taurec[report] is not installed")
    storage, page, out = (tmp_path / name for name in ("trials.jsonl", "t.html", "t.json"))
    files = ["--storage", storage, "--html", page, "--out", out, "--private"]
    code, shown, err = run("tune", log_csv, *SMALL, "--trials", "2", *files)
    assert code == 0
    assert max(len(line) for line in shown.splitlines() if "taurec train" not in line) <= 80
    found = json.loads(out.read_text())
    assert [t["number"] for t in found["trials"]] == [1, 2]
    assert found["schema"] == "taurec.tune/1"
    assert found["commands"][0] == found["command"]
    after = shown[shown.index("Next:") :]
    assert all(command in " ".join(after.split()) for command in found["commands"])
    assert "All 2 trials" in page.read_text()
    assert "u01" not in page.read_text()
    assert "trial 1 of 2" in err
    code, shown, err = run("tune", log_csv, *SMALL, "--trials", "3", "--storage", storage, "--json")
    assert code == 0
    assert [t["values"] for t in json.loads(shown)["trials"][:2]] == [t["values"] for t in found["trials"]]
    assert "2 trials of 3 done already" in " ".join(err.split())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--trials", "0"], "--trials must be at least 1"),
        (["--budget", "0s"], "--budget must be more than 0 seconds"),
        (["--storage", "t.txt"], "cannot tell the format from '.txt'"),
        (["--split", "none"], "needs a validation part"),
        (["--set", "loss.tau=auto"], "loss.tau=auto is another search for it"),
        (["--loss", "bsll"], "unknown loss 'bsll'; did you mean"),
    ],
)
def test_wrong_requests(run, log_csv, argv, said) -> None:
    code, out, err = run("tune", log_csv, *SMALL, *argv)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
