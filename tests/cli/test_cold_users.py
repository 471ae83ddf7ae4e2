"""Users without training rows in the terminal and in JSON: after a split by time."""

import json

import pytest


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """40 users with 10 of the 20 items of their parity; half of the last users' rows are old."""
    lines = ["user,item,timestamp"]
    for user in range(40):
        for n in range(10):
            old = user < 36 or (user == 39 and n < 4)
            lines.append(f"u{user},i{2 * ((user * 7 + n * 3) % 20) + user % 2},{n if old else 100 + n}")
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


SPLIT = ("--split", "time", "--set", "valid=0.05", "--set", "test=0.05")


@pytest.fixture
def model(run, log, tmp_path):
    code, out, _ = run("train", log, *SPLIT, "--model", "ease", "--set", "model.l2=5", "--out", tmp_path / "model")
    assert code == 0
    assert "Warm and cold users" in out
    return tmp_path / "model"


def test_train_and_evaluate_show_them_apart(run, log, model):
    code, out, _ = run("evaluate", model, "--metrics", "recall@5,ndcg@5")
    assert code == 0
    said = (
        "3 users without training rows: 3 ranked from their rows before the test part (the exact fold-in of the model)."
    )
    assert said in " ".join(out.split())
    assert "Warm and cold users" in out
    document = json.loads(run("evaluate", model, "--metrics", "recall@5", "--json")[1])
    assert document["users_cold"] == 3
    assert document["from"] == {"user": 1, "history": 3, "popularity": 0}
    apart = document["warm_and_cold"]
    mean = (apart["warm"]["recall@5"] + 3 * apart["cold"]["recall@5"]) / 4
    assert document["metrics"]["recall@5"]["mean"] == pytest.approx(mean)
    code, out, _ = run("train", log, *SPLIT, "--model", "ease", "--metrics", "recall@5", "--json")
    assert json.loads(out)["from"] == {"user": 1, "history": 3, "popularity": 0}
    assert json.loads(out)["warm_and_cold"] is not None


def test_recommend_says_what_a_list_is_from(run, model):
    code, out, _ = run("recommend", model, "--user", "u0", "--user", "u37", "-k", "3", "--json")
    assert (code, [entry["from"] for entry in json.loads(out)]) == (0, ["user", "history"])
    items = [row["item"] for row in json.loads(out)[1]["items"]]
    assert all(int(item[1:]) % 2 == 1 for item in items)
    _, out, _ = run("recommend", model, "--user", "u37")
    assert "(no training rows: ranked from these items)" in " ".join(out.split())
    _, out, _ = run("recommend", model, "--like", "i1,i3")
    assert "no training rows" not in out


def test_comparisons_show_them_apart(run, log, tmp_path):
    page = tmp_path / "page.html"
    argv = ("--models", "popularity,ease", *SPLIT, "--tune", "none", "--html", page)
    code, out, _ = run("compare", log, *argv)
    assert code == 0
    assert "Warm and cold users" in out
    assert "Warm and cold users" in page.read_text()
    code, out, _ = run("compare", log, *argv[:-2], "--json")
    rows = {row["label"]: row["apart"] for row in json.loads(out)["rows"]}
    assert rows["ease"]["users"] == {"user": 1, "history": 3, "popularity": 0}
