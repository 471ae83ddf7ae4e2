import json
import shutil

import pytest


@pytest.fixture
def model(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def test_values_their_intervals_and_the_gap(run, model):
    code, out, err = run("evaluate", model, "--metrics", "recall@5,ndcg@5")
    assert code == 0
    for word in ("ease on the test part, 60 users", "recall@5", "from history", "gap", "0 users without test items"):
        assert word in out
    assert "ease of" in err


def test_metrics_json_keeps_what_was_there(run, model):
    before = json.loads((model / "metrics.json").read_text())
    code, out, _ = run("evaluate", model, "--metrics", "recall@7", "--json", "--quiet")
    document = json.loads(out)
    after = json.loads((model / "metrics.json").read_text())
    assert code == 0
    assert after["valid"] == before["valid"]
    assert after["test"] == {**before["test"], "recall@7": document["metrics"]["recall@7"]["mean"]}
    assert after["test_from_history"] == document["from_history"]


def test_without_the_history(run, model):
    code, out, _ = run("evaluate", model, "--no-from-history", "--part", "valid", "--json")
    assert code == 0
    assert json.loads(out)["from_history"] == {}
    assert json.loads(out)["part"] == "valid"


def test_an_unknown_part(run, model):
    code, _, err = run("evaluate", model, "--part", "tset")
    assert code == 2
    assert "did you mean 'test'?" in err


def test_a_cutoff_beyond_the_catalogue_is_refused(run, model):
    code, _, err = run("evaluate", model, "--metrics", "ndcg@500")
    assert code == 2
    assert "there are only 40" in err
