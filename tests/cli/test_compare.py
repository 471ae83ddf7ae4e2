import json

import pytest

from taurec.studies.compare.candidates import BASELINES_ALWAYS, CLOSED_FORMS

ARGS = ["--models", "popularity,mf:sl", "--tune", "none", "--epochs", "2", "--set", "backbone.dim=8"]


@pytest.fixture(scope="module")
def written(log_csv, tmp_path_factory):
    from taurec.cli import main

    path = tmp_path_factory.mktemp("c") / "c.json"
    assert main(["compare", str(log_csv), *ARGS, "--metrics", "recall@5", "--out", str(path), "-q"]) == 0
    return json.loads(path.read_text())


def test_the_baselines_stand_beside_what_was_asked(written):
    assert [row["label"] for row in written["rows"]] == ["popularity", "mf:sl", *BASELINES_ALWAYS[1:]]
    assert written["best"] in BASELINES_ALWAYS[1:]
    assert written["closed_form"] in CLOSED_FORMS
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


def test_a_budget_names_a_model_and_the_command_that_makes_it(run, log_csv):
    small = ["--set", "backbone.dim=8", "--batch-size", "64", "--threads", "1", "--models", "mf:sl"]
    code, out, err = run("compare", log_csv, "--budget", "5s", *small, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["seconds"] <= 1.15 * 5
    assert found["command"].startswith(f"taurec train {log_csv} --")
    assert found["chosen"]["source"] == str(log_csv)
    assert {t["label"] for t in found["tries"]} >= {"popularity", "itemknn", "ease", "ials"}
    assert set(found["test"]) == {found["words"][0].split()[4].rstrip(".,;"), found["second"]}
    assert "min left" in err


def test_a_page(run, log_csv, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra taurec[report] is not installed")
    page = tmp_path / "c.html"
    code, _, err = run("compare", log_csv, *ARGS, "--html", page, "--private", "--threads", "1")
    assert code == 0
    html = page.read_text()
    assert f"taurec compare {log_csv}" in html
    assert "Who is served" in html
    assert "u01" not in html
    assert f"written to {page}" in " ".join(err.split())


def test_the_front_and_the_duel_are_in_the_document(written):
    assert set(written["front"]) == {"seconds", "tune_seconds", "peak_mb"}
    assert written["trained_against_baseline"]["trained"] == "mf:sl"
    assert any(line.startswith("Best trained model (mf:sl) against the best ") for line in written["words"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--tries", "0"], "--tries must be at least 1"),
        (["--private"], "--private hashes the ids in the page; add --html FILE"),
        (["--html", "c.txt"], "cannot tell the format from '.txt'"),
        (["--budget", "10 parsecs"], "is not a duration; write for example 90s, 10m or 1h30m"),
        (["--budget", "10m10m"], "is not a duration"),
        (["--budget", "9s", "--seeds", "3", "--tries", "2"], "--seeds, --tries would have no effect with --budget"),
        (["--budget", "1s"], "at least 2 seconds"),
        (["--budget", "9s", "--models", "ease"], "needs trained models"),
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


def test_a_model_that_fails_does_not_end_the_command(run, log_csv, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from taurec.baselines.popularity import Popularity\n\n\n"
        "class Bad(Popularity):\n    GRID = ({},)\n\n    def fit(self, train):\n        raise KeyError('oops')\n"
    )
    bad = f"{tmp_path}/bad.py:Bad"
    code, out, err = run("compare", log_csv, "--models", bad, "--tune", "none", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [one["reason"] for one in found["failed"]] == ["KeyError: 'oops' in fit (bad.py:8)"]
    assert len(found["rows"]) == len(BASELINES_ALWAYS)
    code, out, err = run("compare", log_csv, "--models", bad, "--tune", "none")
    assert code == 0, err
    assert any("Bad" in line and "failed" in line for line in out.splitlines())
    assert "failed: KeyError: 'oops' in fit (bad.py:8). The comparison covers the other models." in " ".join(
        out.split()
    )
