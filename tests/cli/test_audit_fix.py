"""``taurec audit fix`` as somebody types it."""

from __future__ import annotations

import polars as pl


def test_the_cleaned_log_lacks_what_was_removed_and_nothing_else(run, log_csv, tmp_path) -> None:
    out = tmp_path / "clean.csv"
    argv = ["audit", "fix", log_csv, "--out", out, "--share", "0.1", "--models", "ease", "--seeds", "1"]
    code, said, _ = run(*argv, "--threads", "1")
    assert code == 0
    assert "removed" in said
    before, after = pl.read_csv(log_csv), pl.read_csv(out)
    assert 0 < before.height - after.height <= 0.1 * before.height
    kept = set(after.select("user", "item").iter_rows())
    assert kept < set(before.select("user", "item").iter_rows())


def test_a_clean_log_is_left_alone(run, log_csv, tmp_path) -> None:
    out = tmp_path / "clean.csv"
    code, said, _ = run("audit", "fix", log_csv, "--out", out, "--models", "ease", "--seeds", "1", "--threads", "1")
    assert code == 0
    assert "Clean enough" in said
    assert not out.exists()


def test_a_share_out_of_range_is_named(run, log_csv, tmp_path) -> None:
    code, said, err = run("audit", "fix", log_csv, "--out", tmp_path / "clean.csv", "--share", "2")
    assert (code, said) == (2, "")
    assert "share" in err
