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
    said = "3 users without training rows: 3 ranked from their rows before the test part (the exact fold-in)."
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


def test_searches_show_them_apart(run, log):
    code, out, err = run("compare", log, *SPLIT, "--budget", "4", "--models", "mf:sl", "--json", "--quiet")
    assert code == 0, err
    apart = json.loads(out)["apart"]
    assert all(one["users"]["user"] == 1 for one in apart.values())
    assert apart


USERS = ("--split", "users", "--set", "valid=0.1", "--set", "test=0.1")


def test_held_out_users_are_compared_by_their_fold_in(run, log, tmp_path):
    page = tmp_path / "page.html"
    argv = ("--models", "ease,mf:sl", *USERS, "--tune", "none", "--epochs", "2", "--html", page)
    code, out, err = run("compare", log, *argv)
    assert code == 0, err
    said = "No row of the test users is trained on; they are ranked from their given rows, by the exact fold-in of"
    assert said in " ".join(out.split())
    assert "by the mean of the item vectors of mf:sl." in " ".join(out.split())
    assert "ranked from their given rows, four of five" in page.read_text()
    assert "Warm and cold users" not in out


def test_held_out_users_are_trained_without_and_evaluated(run, log, tmp_path):
    code, out, err = run("train", log, *USERS, "--loss", "sl", "--epochs", "2", "--out", tmp_path / "m", "--json")
    document = json.loads(out)
    assert (code, document["pairs"]) == (0, {"train": 320, "valid": 8, "test": 8, "given": 64})
    assert document["from"] == {"user": 0, "history": 4, "popularity": 0}
    assert "held out: 4 users for validation, 4 for test; 64 pairs of theirs are given" in err
    code, out, _ = run("evaluate", tmp_path / "m")
    assert (code, "from history" in out) == (0, False)
    assert "4 ranked from their rows before the test part (the mean of the item vectors)" in " ".join(out.split())


def test_a_log_split_by_users_into_files_can_be_trained_on(run, log, tmp_path):
    argv = ("--how", "users", "--out", tmp_path / "parts", "--as", "csv", "--json")
    code, out, _ = run("data", "split", log, *argv)
    assert (code, list(json.loads(out)["parts"])) == (0, ["train", "valid", "test", "given"])
    code, out, _ = run("train", tmp_path / "parts", "--model", "ease", "--json", "--metrics", "recall@5")
    document = json.loads(out)
    assert (code, document["from"]["history"], document["run"]["split"]) == (0, 4, "users")
    direct = json.loads(run("train", log, "--split", "users", "--model", "ease", "--json", "--metrics", "recall@5")[1])
    assert document["pairs"] == direct["pairs"]
    assert document["test"] == direct["test"]
