"""A study keeps its fits as they end; its record does not mix what was tested apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.bilateral import merged
from benchmarks.fits import Fits

SL, BSL, BPR = "sl, blocks of 4", "bsl, tau_pos 1, blocks of 4", "bpr"
AUTHORS = "bsl-authors-multi, k 1.1, blocks of 4"


def record(commit: str, *lines: tuple[float, str, float]) -> dict:
    found = [
        {"level": level, "line": line, "ndcg@20": value, "commit": commit, "cpu": f"cpu of {commit}"}
        for level, line, value in lines
    ]
    return {
        "set": "debian",
        "setting": {"tau": 0.1},
        "machine": {"commit": commit, "cpu": f"cpu of {commit}"},
        "lines": found,
    }


def test_what_was_not_run_is_kept_with_its_commit_and_processor() -> None:
    old = record("a", (0.0, SL, 0.3), (0.0, BSL, 0.31), (0.0, BPR, 0.2))
    for line in old["lines"]:
        del line["commit"], line["cpu"]
    found = merged(old, record("b", (0.0, BPR, 0.21), (0.1, SL, 0.28)))
    assert [(r["level"], r["line"], r["ndcg@20"], r["commit"]) for r in found["lines"]] == [
        (0.0, SL, 0.3, "a"), (0.0, BSL, 0.31, "a"), (0.0, BPR, 0.21, "b"), (0.1, SL, 0.28, "b"),
    ]  # fmt: skip
    assert [r["cpu"] for r in found["lines"]] == ["cpu of a", "cpu of a", "cpu of b", "cpu of b"]


def test_lines_tested_together_are_not_divided() -> None:
    old = record("a", (0.0, SL, 0.3), (0.0, BSL, 0.31))
    with pytest.raises(SystemExit, match=r"tested together .*bsl, tau_pos 1, blocks of 4 at 0'"):
        merged(old, record("b", (0.0, "bsl, tau_pos 0.2, blocks of 4", 0.29)))
    found = merged(old, record("b", (0.1, "bsl, tau_pos 0.2, blocks of 4", 0.29)))
    assert len(found["lines"]) == 3, "another level is another family"


def test_the_lines_of_the_authors_code_join_where_sl_comes_out_as_it_was() -> None:
    old = record("a", (0.0, SL, 0.3), (0.0, BSL, 0.31))
    found = merged(old, record("b", (0.0, SL, 0.3), (0.0, AUTHORS, 0.32)))
    assert [(r["line"], r["ndcg@20"], r["commit"]) for r in found["lines"]] == [
        (SL, 0.3, "b"), (BSL, 0.31, "a"), (AUTHORS, 0.32, "b"),
    ]  # fmt: skip
    with pytest.raises(SystemExit, match=r"came out otherwise: \['bsl, tau_pos 1, blocks of 4 at 0'"):
        merged(old, record("b", (0.0, SL, 0.29), (0.0, AUTHORS, 0.32)))


def test_another_setting_is_refused() -> None:
    with pytest.raises(SystemExit, match="another setting"):
        merged(record("a"), record("b") | {"setting": {"tau": 0.2}})


def test_fits_are_read_again_without_one_that_a_kill_cut(tmp_path: Path) -> None:
    fits = Fits(tmp_path / "debian")
    kept = fits.add(0.1, 2, BSL, {"valid": 0.25}, np.array([0.5, 1.0], dtype=np.float32))
    with open(tmp_path / "debian/runs.jsonl", "a") as file:
        file.write('{"set": "debian", "level": 0.1, "se')
    again = Fits(tmp_path / "debian")
    assert again.records() == [kept]
    assert [kept[key] for key in ("set", "level", "seed", "line", "valid")] == ["debian", 0.1, 2, BSL, 0.25]
    assert again.values(kept).tolist() == [0.5, 1.0]
    more = again.add(0.1, 3, BSL, {"valid": 0.5}, np.zeros(1))
    assert again.records() == [kept, more]
