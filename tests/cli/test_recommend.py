import json

import polars as pl
import pytest


def test_lists_for_users_stand_beside_what_they_have(run, saved):
    code, out, err = run("recommend", saved, "--user", "u00", "--user", "u01", "-k", "3")
    assert (code, err) == (0, "")
    assert "For u00, who has i" in out
    assert "For u01, who has i" in out
    assert "item" in out
    assert "score" in out


def test_json_lists_leave_out_what_the_user_has_unless_asked(run, saved):
    _, out, _ = run("recommend", saved, "--user", "u00", "-k", "40", "--json")
    (one,) = json.loads(out)
    items = [row["item"] for row in one["items"]]
    assert len(one["history"]) == 10
    assert len(items) == 30
    assert not set(items) & set(one["history"])
    assert [row["rank"] for row in one["items"]] == list(range(1, 31))
    _, out, _ = run("recommend", saved, "--user", "u00", "-k", "40", "--with-seen", "--json")
    assert len(json.loads(out)[0]["items"]) == 40


def test_a_history_gets_items_of_its_own_kind(run, saved):
    _, out, _ = run("recommend", saved, "--like", "i00,i02,i04", "-k", "5", "--json")
    items = [row["item"] for row in json.loads(out)[0]["items"]]
    assert len(items) == 5
    assert all(int(item[1:]) % 2 == 0 and item not in ("i00", "i02", "i04") for item in items)
    code, out, _ = run("recommend", saved, "--like", "i00,i02,i04", "-k", "2")
    assert code == 0
    assert "For a new user, who has i00, i02, i04:" in out


def test_only_and_without(run, saved):
    _, out, _ = run("recommend", saved, "--like", "i00", "--only", "i02,i04,i06", "--without", "i04", "--json")
    assert {row["item"] for row in json.loads(out)[0]["items"]} == {"i02", "i06"}
    code, _, err = run("recommend", saved, "--like", "i00", "--only", "i02,i04", "-k", "5")
    assert code == 0
    assert "only 2 of 5: there are no more candidates" in err


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv"])
def test_everybody_into_a_file_equals_the_lists_one_by_one(run, saved, tmp_path, monkeypatch, ending):
    monkeypatch.setattr("taurec.cli.recommend.ROWS", 50)
    path = tmp_path / f"all.{ending}"
    code, out, err = run("recommend", saved, "--all", "-k", "4", "--to", path)
    assert (code, out) == (0, "")
    assert "240 rows for 60 users written to" in err
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if ending == "parquet":
        frame = pl.read_parquet(path)
    else:
        frame = pl.read_csv(path, separator="\t" if ending == "tsv" else ",")
    assert frame.columns == ["user", "item", "score", "rank", "from"]
    assert frame["user"].n_unique() == 60
    _, out, _ = run("recommend", saved, "--user", "u37", "-k", "4", "--json")
    expected = [row["item"] for row in json.loads(out)[0]["items"]]
    assert frame.filter(pl.col("user") == "u37").sort("rank")["item"].to_list() == expected


def test_lists_of_some_users_into_a_file(run, saved, tmp_path):
    path = tmp_path / "two.csv"
    code, out, _ = run("recommend", saved, "--user", "u00", "--user", "u01", "-k", "2", "--to", path)
    assert (code, out) == (0, "")
    assert pl.read_csv(path)["user"].to_list() == ["u00", "u00", "u01", "u01"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "give one of --user ID, --like ITEMS and --all --to FILE; got none of them"),
        (["--user", "u00", "--like", "i00"], "got --user and --like"),
        (["--all"], "--all needs a file"),
        (["--all", "--to", "x.xlsx"], "cannot tell the format from '.xlsx'"),
        (["--all", "--to", "x.csv", "--json"], "--all writes a file"),
        (["--user", "u00", "-k", "0"], "-k must be at least 1, got 0"),
        (["--user", "u0"], "unknown user 'u0'; did you mean"),
        (["--like", "i00,j02"], "unknown item 'j02'; did you mean"),
        (["--user", "u00", "--only", "nothing"], "unknown item 'nothing'"),
    ],
)
def test_wrong_requests(run, saved, argv, said):
    code, out, err = run("recommend", saved, *argv)
    assert (code, out) == (2, "")
    assert said in err


def test_similar_items_share_their_parity(run, saved):
    code, out, _ = run("similar", saved, "i00", "-k", "5", "--json")
    found = json.loads(out)["similar"]
    assert code == 0
    assert len(found) == 5
    assert all(int(row["item"][1:]) % 2 == 0 for row in found)
    _, out, _ = run("similar", saved, "i00", "-k", "2")
    assert "Similar to i00" in out
    assert run("similar", saved, "i0")[0] == 2
