import json

import pytest

ARGS = ["--models", "popularity,mf:sl", "--tune", "none", "--epochs", "2", "--set", "backbone.dim=8"]


@pytest.fixture(scope="module")
def written(log_csv, tmp_path_factory):
    from taurec.cli import main

    path = tmp_path_factory.mktemp("c") / "c.json"
    assert main(["compare", str(log_csv), *ARGS, "--metrics", "recall@5", "--out", str(path), "-q"]) == 0
    return json.loads(path.read_text())


def test_the_baselines_stand_beside_what_was_asked(written):
    assert [row["label"] for row in written["rows"]] == ["popularity", "mf:sl", "itemknn", "ease", "ials"]
    assert written["best"] in ("itemknn", "ease", "ials")
    assert set(written["rows"][0]["metrics"]) == {"ndcg@20", "recall@5"}
    best = next(row for row in written["rows"] if row["label"] == written["best"])
    assert best["p_value"] is None
    assert written["rows"][1]["run"]["backbone"]["settings"]["dim"] == 8
    assert {row["run"]["source"] for row in written["rows"]} == {written["source"]}


def test_table_with_the_best_marked_and_a_sentence(run, log_csv):
    code, out, err = run("compare", log_csv, *ARGS)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    assert [line for line in out.splitlines() if line.startswith("*")]
    assert "Best by ndcg@20:" in out
    assert "mf:sl: setting 1 of 1" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--models", "eas"], "unknown model 'eas'; did you mean 'ease'?"),
        (["--models", "mf:bsll"], "unknown loss 'bsll'; did you mean"),
        (["--metrics", "ndgc@20"], "unknown metric 'ndgc'; did you mean 'ndcg'?"),
        (["--tune", "al"], "--tune 'al'; did you mean 'all'?"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--out", "c.txt"], "cannot tell the format from '.txt'"),
        (["--split", "none"], "needs a validation and a test part"),
        (["--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_wrong_requests(run, log_csv, argv, said):
    code, out, err = run("compare", log_csv, "--epochs", "1", *argv)
    assert (code, out) == (2, "")
    assert said in err
