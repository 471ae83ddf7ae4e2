"""``taurec audit log`` and ``taurec audit fix`` from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from taurec.data.planted import planted


def write(folder: Path, noise: float) -> Path:
    """A folder with train and test files; every id begins with ``secret``."""
    world = planted(n_users=160, n_items=80, n_groups=4, per_user=10, noise=noise, withheld=4, seed=2)
    folder.mkdir()
    for name, log in (("train", world.log), ("test", world.withheld)):
        rows = zip(log.users.decode(log.user_of), log.items.decode(log.indices), strict=True)
        lines = [f"secret-u{u},secret-i{i},{1_700_000_000 + 997 * n}" for n, (u, i) in enumerate(rows)]
        (folder / f"{name}.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("audit") / "noisy", 0.3)


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("audit") / "clean", 0.0)


JUDGE = ["--judge", "itemknn", "--threads", "1"]


def test_a_table_and_a_verdict(run, noisy: Path) -> None:
    code, out, err = run("audit", "log", noisy, *JUDGE)
    assert code == 0, err
    lines = [line for line in out.splitlines() if not line.startswith("  taurec ")]  # a command to copy is not broken
    assert max(map(len, lines)) <= 80
    said = " ".join(out.split())
    assert re.search(r"Problems found: at most \d\d% of the rows look like chance", said)
    assert "rows that look like chance (false positives)" in said
    assert "unexpected item" in said
    assert "itemknn: fold 5 of 5" in err


def test_a_clean_log_is_called_so(run, clean: Path) -> None:
    code, out, _ = run("audit", "log", clean / "train.csv", *JUDGE, "-q")
    assert code == 0
    assert "Clean enough: at most 0." in out


def test_everything_is_written_and_nothing_private_leaks(run, noisy: Path, tmp_path: Path) -> None:
    files = {"--suspects": tmp_path / "s.csv", "--out": tmp_path / "a.json", "--html": tmp_path / "a.html"}
    named = [word for option, path in files.items() for word in (option, path)]
    code, out, err = run("audit", "log", noisy, *JUDGE, *named, "--private")
    assert code == 0, err
    for text in (out, err, *(path.read_text() for path in files.values())):
        assert text
        assert "secret" not in text
    frame = pl.read_csv(files["--suspects"])
    assert frame.columns == ["user", "item", "suspicion", "percentile", "reasons"]
    assert frame["user"].str.starts_with("user-").all()
    written = json.loads(files["--out"].read_text())
    assert written["suspects"][0]["item"] == frame["item"][0]
    assert frame["item"][0] in files["--html"].read_text()
    code, out, _ = run("audit", "log", noisy, *JUDGE, "--json", "-q")
    assert "secret-u" in out


def test_weights_and_recovery(run, noisy: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    more = ["--bsl", "--recovery", "0.2", "--seeds", "2", "--epochs", "2", "--set", "backbone.dim=8"]
    code, out, err = run("audit", "log", noisy, *JUDGE, *more, "--html", page, "--json")
    assert code == 0, err
    written = json.loads(out)
    assert "bsl_weight" in written["suspects"][0]
    assert [m["method"] for m in written["recovery"]["methods"]][:2] == [
        "percentiles (itemknn)",
        "percentiles (popularity)",
    ]
    html = page.read_text()
    assert "Weights of BSL" in html
    assert "Recovery of injected noise" in html


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--judge", "eas"], "did you mean 'ease'"),
        (["--folds", "1"], "folds must be at least 2"),
        (["--suspects", "s.txt"], "cannot tell the format from '.txt'"),
        (["--epochs", "3"], "--epochs has an effect on BSL only"),
        (["--recovery", "0"], "the rate must be above 0"),
    ],
)
def test_wrong_requests(run, noisy: Path, argv: list[str], said: str) -> None:
    code, out, err = run("audit", "log", noisy, "--threads", "1", *argv)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_fix_writes_the_cleaned_training_part_with_raw_ids(run, noisy: Path, tmp_path: Path) -> None:
    out, page, report = tmp_path / "cleaned.csv", tmp_path / "f.html", tmp_path / "f.json"
    ask = ["--models", "ease", "--share", "0.2", "--seeds", "2", "--html", page, "--report", report]
    code, said, err = run("audit", "fix", noisy, "--out", out, *JUDGE, *ask)
    assert code == 0, err
    assert "random removed" in " ".join(said.split())
    before, after = (pl.read_csv(path) for path in (noisy / "train.csv", out))
    assert after.columns == ["user", "item", "time"]
    assert after["time"].min() >= before["time"].min()  # type: ignore[operator]
    written = json.loads(report.read_text())
    assert len(after) == len(before) - written["removed"] == written["written"]["pairs"]
    assert len(after.join(before, on=["user", "item"], how="anti")) == 0
    assert "Cleaning of" in page.read_text()
    code, _, err = run("audit", "fix", noisy, "--out", out, *JUDGE)
    assert code == 2
    assert "exists already" in err


def test_fix_says_clean_and_writes_nothing(run, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "cleaned.parquet"
    code, said, err = run("audit", "fix", clean, "--out", out, *JUDGE)
    assert code == 0, err
    assert said.startswith("Clean enough: about 0.")
    assert not out.exists()
    code, said, err = run("audit", "fix", clean, "--out", out, "--share", "0.1", "--models", "itemknn", *JUDGE)
    assert code == 0, err
    assert len(pl.read_parquet(out)) < 160 * 10
