"""Rows of the table of faulty inputs that a model meets: users who have everything, lists that run short."""

from __future__ import annotations

from pathlib import Path

import pytest

from taurec.cli import main

SMALL = ["--epochs", "1", "--batch-size", "16", "--set", "backbone.dim=4", "--split", "none", "--quiet"]
ITEMS = ["ale", "brie", "cake", "dill"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log in which ann has every item, and bob all but one."""
    pairs = [("ann", i) for i in ITEMS] + [("bob", i) for i in ITEMS[:3]] + [("eve", i) for i in ITEMS[:2]]
    (tmp_path / "log.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in pairs))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "negatives", ["uniform:3:true", "popularity:3:0.5:true", "shared:3:0:true", "in-batch", "full"]
)
@pytest.mark.parametrize("loss", ["sl", "bsl", "bpr"])
def test_row34_a_user_with_every_item_neither_hangs_nor_breaks_training(
    folder: Path, negatives: str, loss: str
) -> None:
    assert main(["train", "log.csv", "--loss", loss, "--negatives", negatives, *SMALL, "--out", "m"]) == 0


def test_row35_a_short_list_is_short_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "log.csv", "--model", "popularity", "--split", "none", "--quiet", "--out", "m"]) == 0
    capsys.readouterr()
    assert main(["recommend", "m", "--user", "bob", "-k", "10"]) == 0
    out, err = capsys.readouterr()
    assert "dill" in out
    assert "only 1 of 10" in err
    assert main(["recommend", "m", "--user", "ann", "-k", "10", "--json"]) == 0
    assert '"items": []' in capsys.readouterr().out
