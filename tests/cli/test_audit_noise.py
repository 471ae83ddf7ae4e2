from __future__ import annotations

import json
from pathlib import Path

import pytest

ARGS = ["--losses", "sl", "--levels", "0,.5", "--seeds", "2", "--baselines", "popularity", "--epochs", "2"]
ARGS += ["--set", "backbone.dim=8", "--threads", "1"]


@pytest.fixture
def audit(run):
    """Run the command line of the subcommand; returns its code, stdout and stderr."""
    return lambda *argv: run("audit", "noise", *argv)


def test_table_verdict_files_and_a_second_run_from_the_journal(audit, log_csv: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("n.json", "n.html", "n.jsonl")]
    options = ["--out", files[0], "--html", files[1], "--journal", files[2]]
    code, out, err = audit(log_csv, *ARGS, *options)
    assert code == 0, err
    assert max(len(line) for line in out.splitlines() if not line.startswith("  taurec ")) <= 80
    assert "At 50 %, mf:sl has the best ndcg@20 of the losses" in " ".join(out.split())
    assert "fit 7 of 7: popularity, 50 %, seed 1; about" in err
    written = json.loads(files[0].read_text())
    assert [c["label"] for c in written["curves"] if c["metric"] == "ndcg@20"] == ["mf:sl", "popularity"]
    assert written["levels"] == [0, 0.5]
    assert written["slope_per"] == 0.01
    assert "<svg" in files[1].read_text()
    assert "--levels 0,.5 --seeds 2" in files[1].read_text()
    code, out, err = audit(log_csv, *ARGS, "--journal", files[2], "--json")
    assert code == 0
    assert json.loads(out) == written
    assert "holds 7 finished fits" in err
    assert "fit 1 of" not in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--levels", "0,a"], "--levels '0,a': expected numbers"),
        (["--kind", "positive"], "did you mean 'positives'"),
        (["--tune", "some"], "--tune 'some'"),
        (["--losses", "sll"], "did you mean 'sl'"),
        (["--baselines", "eas"], "did you mean 'ease'"),
        (["--out", "n.csv"], "--out n.csv"),
        (["--journal", "n.json"], "--journal n.json"),
        (["--seeds", "0"], "seeds must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_said(audit, log_csv: Path, argv: list[str], said: str) -> None:
    code, out, err = audit(log_csv, *argv)
    assert (code, out) == (2, "")
    assert said in err


def test_an_interruption_says_where_the_fits_are(audit, log_csv: Path, tmp_path: Path, monkeypatch) -> None:
    from taurec.recommender import Recommender

    fit = Recommender.fit

    def stopped(self, *args, **more):
        if self.run.model is not None:
            return fit(self, *args, **more)
        self.stopped_by = 15
        return self

    monkeypatch.setattr(Recommender, "fit", stopped)
    code, out, err = audit(log_csv, *ARGS, "--journal", tmp_path / "n.jsonl", "-q")
    assert (code, out) == (143, "")
    assert "stopped by a signal after 1 of 7 fits; they are in" in " ".join(err.split())
