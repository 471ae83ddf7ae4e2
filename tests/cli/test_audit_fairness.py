import json

import pytest
import typer

from taurec.baselines.ease import EASE
from taurec.cli.failures import run as run_app
from taurec.cli.runner import command_of
from taurec.recommender import Recommender
from taurec.studies.audit.fairness.study import fairness

SMALL = ["--epochs", "2", "--set", "backbone.dim=8", "--threads", "1"]


@pytest.fixture
def run(capsys, monkeypatch):
    """``fairness`` alone as a program; returns its code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command_of(fairness))

    def call(*argv):
        capsys.readouterr()
        code = run_app(app, [str(a) for a in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def attributes(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("uid,half,one\n" + "".join(f"u{u:02d},{'ab'[u % 2]},x\n" for u in range(50)) + "nobody,a,x\n")
    return path


def test_models_by_group_with_files(run, log_csv, tmp_path, attributes):
    html, out = tmp_path / "f.html", tmp_path / "f.json"
    code, said, notes = run(
        log_csv, "--models", "popularity,mf:sl", *SMALL, "--k", 5, "--groups", 4, "--user-groups", 3,
        "--user-attributes", attributes, "--attribute", "half", "--html", html, "--out", out,
    )  # fmt: skip
    assert code == 0, notes
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "Contribution to ndcg@5" in said
    assert "1 of 51 users are not in the log; 10 of 60 users of the log have no half" in notes
    content = json.loads(out.read_text())
    assert [m["label"] for m in content["models"]] == ["popularity", "mf:sl"]
    for m in content["models"]:
        groups = m["fairness"]["item_groups"]
        assert len(groups) == 4
        assert sum(g["ndcg"]["mean"] for g in groups) == pytest.approx(m["fairness"]["ndcg@5"]["mean"], abs=1e-12)
    assert content["runs"]["mf:sl"]["backbone"]["settings"]["dim"] == 8
    page = html.read_text()
    assert "Fairness audit of" in page
    assert "--models popularity,mf:sl" in page  # how to repeat it
    assert "--user-groups 3" in page


def test_settings_are_those_best_on_validation(run, log_csv):
    tried = {
        l2: Recommender(model="ease", settings={"model": {"l2": l2}}).fit(log_csv).best.metrics["ndcg@20"]
        for l2 in (point["l2"] for point in EASE.GRID)
    }
    assert len(set(tried.values())) > 1
    chosen = {}
    for tune in ("baselines", "none"):
        _, said, _ = run(log_csv, "--models", "ease", "--tune", tune, "--json", "-q", "--k", 5)
        chosen[tune] = json.loads(said)["runs"]["ease"]["model"]["settings"]["l2"]
    assert chosen == {"baselines": max(tried, key=lambda l2: tried[l2]), "none": 500.0}


def test_saved_models_bring_their_data(run, saved):
    code, said, _ = run("--saved", saved, "--json", "--k", 5)
    assert code == 0
    content = json.loads(said)
    assert [m["label"] for m in content["models"]] == ["ease"]


def test_saved_beside_a_fitted_one_of_the_same_name(run, saved, log_csv):
    _, said, _ = run(log_csv, "--saved", saved, "--models", "ease", "--json", "-q", "--k", 5)
    assert [m["label"] for m in json.loads(said)["models"]] == [f"ease ({saved})", "ease"]


def test_private_shows_no_item_id(run, log_csv, tmp_path):
    html = tmp_path / "f.html"
    code, said, _ = run(log_csv, "--models", "ease", "--json", "-q", "--private", "--html", html, "--k", 5)
    assert code == 0
    names = [e["item"] for e in json.loads(said)["models"][0]["most_exposed"]]
    assert all(name.startswith("item-") for name in names)
    page = html.read_text()
    assert names[0] in page
    assert not [i for i in range(40) if f"<td>i{i:02d}</td>" in page or f">i{i:02d}<" in page]
    assert "salted hashes" in page


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--models", "eas"], "unknown model 'eas'; did you mean 'ease'?"),
        (["--models", ""], "no models to audit"),
        (["--models", "ease", "--attribute", "half"], "add --user-attributes FILE"),
        (["--models", "ease", "--user-attributes", "x.csv"], "add --attribute COLUMN"),
        (["--models", "ease", "--user-attributes", "x.csv", "--attribute", "half"], "x.csv: no such file"),
        (["--models", "ease", "--split", "none"], "there is no test part"),
        (["--models", "ease", "--k", "0"], "k must be a whole number of at least 1"),
        (["--models", "ease", "--groups", "1"], "at least 2, got 1"),
        (["--models", "ease", "--tune", "some"], "--tune 'some'"),
        (["--models", "ease", "--set", "valid=0"], "no validation part to choose settings on; add --tune none"),
        (["--models", "ease", "--html", "x.json"], "cannot tell the format from '.json'"),
        (["--saved", "nowhere"], "would have no effect"),
    ],
)
def test_wrong_requests(run, log_csv, argv, said):
    code, out, err = run(log_csv, "-q", *argv)
    assert (code, out) == (2, "")
    assert said in err


def test_saved_models_of_another_division(run, saved, log_csv):
    code, _, err = run(log_csv, "--saved", saved, "--models", "popularity", "--seed", 3, "-q")
    assert code == 2
    assert "was fitted to another log or another split" in err


def test_an_attribute_that_says_nothing(run, log_csv, attributes):
    code, _, err = run(log_csv, "--models", "popularity", "--user-attributes", attributes, "--attribute", "one", "-q")
    assert code == 2
    assert "there is nothing to compare" in err
