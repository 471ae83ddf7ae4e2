import json

import polars as pl
import pytest


def test_check_tells_what_is_in_a_log(run, log_csv):
    code, out, err = run("data", "check", log_csv)
    assert (code, err) == (0, "")
    for word in ("users", "60", "600 (25.000% of all", "600 read = 600 kept", "2001-09-09", "Gini", "half"):
        assert word in out


def test_check_lists_oddities_and_json(run, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("user,item\n12,a\n12,a\n12.0,b\n13,null\n")
    code, out, _ = run("data", "check", path)
    assert code == 0
    assert "warning" in out
    assert "4 read = 3 kept + 1 merged" in out
    _, out, _ = run("data", "check", path, "--json")
    document = json.loads(out)
    assert document["statistics"]["pairs"] == 3
    assert "missing-words" in [f["code"] for f in document["findings"]]


@pytest.mark.parametrize("form", ["parquet", "tsv", "csv"])
def test_split_writes_parts_that_train_reads_as_they_are(run, log_csv, tmp_path, form):
    folder = tmp_path / "parts"
    code, out, _ = run("data", "split", log_csv, "--out", folder, "--as", form, "--json")
    assert code == 0
    parts = json.loads(out)["parts"]
    assert {name: part["pairs"] for name, part in parts.items()} == {"train": 480, "valid": 60, "test": 60}
    assert sorted(p.name for p in folder.iterdir()) == [f"{n}.{form}" for n in ("test", "train", "valid")]
    _, direct, _ = run("train", log_csv, "--model", "ease", "--json")
    code, again, err = run("train", folder, "--model", "ease", "--json")
    assert code == 0, err
    assert json.loads(again)["pairs"] == {"train": 480, "valid": 60, "test": 60}
    assert json.loads(again)["run"]["split"] == "files"
    first, second = json.loads(direct)["test"], json.loads(again)["test"]
    assert {k: v["mean"] for k, v in second.items()} == pytest.approx(
        {k: v["mean"] for k, v in first.items()}, abs=1e-6
    )


def test_split_keeps_every_pair_and_time_once(run, log_csv, tmp_path):
    assert run("data", "split", log_csv, "--out", tmp_path, "--how", "time")[0] == 0
    parts = pl.concat([pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("train", "valid", "test")])
    whole = pl.read_csv(log_csv).rename({"timestamp": "time"}).with_columns(pl.col("time").cast(float))
    assert parts.sort("user", "item").equals(whole.sort("user", "item"))


def test_split_touches_no_file_that_is_there(run, log_csv, tmp_path):
    (tmp_path / "test.parquet").write_bytes(b"mine")
    code, _, err = run("data", "split", log_csv, "--out", tmp_path)
    assert code == 2
    assert "exists already" in err
    assert (tmp_path / "test.parquet").read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["test.parquet"]


def test_reading_options_beside_a_named_set_are_refused(run):
    code, _, err = run("train", "debian", "--user", "who")
    assert code == 2
    assert "is a named set" in err


def test_data_that_come_divided_are_not_split_another_way(run, log_csv, tmp_path):
    assert run("data", "split", log_csv, "--out", tmp_path / "parts")[0] == 0
    for command in (
        ("train", tmp_path / "parts", "--model", "popularity", "--split", "time"),
        ("data", "split", tmp_path / "parts", "--how", "time", "--out", tmp_path / "again"),
    ):
        code, _, err = run(*command)
        assert code == 2
        assert "has given training and test parts" in err
    assert not (tmp_path / "again").exists()


def test_ways_to_split_that_make_no_parts(run, log_csv, tmp_path):
    code, _, err = run("data", "split", log_csv, "--how", "none", "--out", tmp_path / "parts")
    assert (code, "accepted: leave-last-one, ratio, time" in err) == (2, True)
    code, _, err = run("train", log_csv, "--split", "files", "--model", "popularity")
    assert (code, "give a folder with train and test files" in err) == (2, True)


def test_standard_input(run, log_csv, monkeypatch):
    with open(log_csv) as file:
        monkeypatch.setattr("sys.stdin", file)
        code, out, _ = run("data", "check", "-", "--format", "csv")
    assert code == 0
    assert "60" in out


def test_a_rating_that_is_the_weight_is_not_called_unused(run, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating\na,x,2\nb,x,1\nb,y,3\n")
    assert "not used" in run("data", "check", path)[1]
    assert "not used" not in run("data", "check", path, "--weight", "rating")[1]
