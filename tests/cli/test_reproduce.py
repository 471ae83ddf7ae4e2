"""``taurec reproduce`` as somebody types it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from taurec.studies import recipes
from taurec.studies import reproduce as engine
from taurec.studies.protocols import PROTOCOLS, Protocol
from taurec.studies.recipes import Published, Recipe


@pytest.fixture
def rows(monkeypatch):
    """Two small rows in the place of the published ones."""
    fields = {"loss": "sl", "negatives": "uniform:8", "epochs": 3, "batch_size": 64}
    small = Recipe("planted", fields, Published(0.5, 0.25, "a table"), settings={"backbone": {"dim": 8}})

    def first():
        """The first row."""
        return small

    def second():
        """The second row."""
        return Recipe("planted", {"model": "popularity"}, claim="a baseline")

    monkeypatch.setattr("taurec.studies.recipes.RECIPES", {"one-mf": first, "one-pop": second})


def test_the_list_has_every_row_with_its_figure(run) -> None:
    code, out, _ = run("reproduce", "--list", "--json")
    told = json.loads(out)
    assert code == 0
    by_name = {row["row"]: row for row in told}
    assert by_name["gowalla-mf-bsl"]["published"]["recall@20"] == 0.1882
    assert by_name["yelp2018-mml-10"]["published"] is None
    assert by_name["yelp2018-mml-10"]["claim"]


def test_the_forecast_runs_nothing(run, rows, tmp_path) -> None:
    code, out, _ = run("reproduce", "--forecast", "--json", "--protocol", "both", "--out", tmp_path)
    told = json.loads(out)
    assert code == 0
    both = [(row, protocol) for row in ("one-mf", "one-pop") for protocol in ("paper", "honest")]
    assert [(r["row"], r["protocol"]) for r in told["rows"]] == both
    for r in told["rows"]:
        assert (r["epochs"], r["unit"]) == ((3, "epoch") if r["row"] == "one-mf" else (2, "fit"))
        assert r["tier"] == "A"
        assert r["seconds"] == pytest.approx(r["epoch_seconds"] * r["epochs"], abs=1)
    assert not list(tmp_path.iterdir())
    assert run("reproduce", "--forecast", "--list")[0] == 2


def test_a_row_is_run_under_the_protocols_that_it_names(run, rows, monkeypatch, tmp_path) -> None:
    own = Protocol("own", "on a fifth", "share", share=0.2)
    monkeypatch.setattr("taurec.studies.records.PROTOCOLS", {**PROTOCOLS, "own": own})
    two = recipes.RECIPES["one-mf"]

    def third():
        """The third row."""
        return replace(two(), protocols=("own",))

    monkeypatch.setattr("taurec.studies.recipes.RECIPES", {"one-mf": two, "one-own": third})
    code, out, err = run("reproduce", "--forecast", "--json")
    assert (code, err.count("left out")) == (0, 0)
    assert [(r["row"], r["protocol"]) for r in json.loads(out)["rows"]] == [("one-mf", "paper"), ("one-own", "own")]
    code, out, err = run("reproduce", "--forecast", "--json", "--protocol", "honest")
    assert [(r["row"], r["protocol"]) for r in json.loads(out)["rows"]] == [("one-mf", "honest")]
    assert "left out, not run under honest, but under the protocol in brackets: one-own (own)" in " ".join(err.split())
    code, out, err = run("reproduce", "one-own", "--protocol", "paper")
    assert (code, "leave --protocol out" in " ".join(err.split())) == (2, True)
    code, out, _ = run("reproduce", "--help")
    assert all(name in out for name in PROTOCOLS)


def test_a_row_is_run_recorded_and_not_run_again(run, rows, tmp_path) -> None:
    code, out, err = run("reproduce", "one-*", "--protocol", "both", "--seeds", "2", "--out", tmp_path)
    assert code == 0
    assert "an epoch, 3 epochs as a rule" in err
    assert "one-mf (paper)" in out
    assert "one-pop (honest)" in out
    assert "chosen on the test part" in out
    record = json.loads((tmp_path / "one-mf.honest.json").read_text())
    assert len(record["seeds"]) == 2
    assert set(record["measured"]) == set(record["published"]) - {"source"} == {"recall@20", "ndcg@20"}
    before = (tmp_path / "one-mf.paper.json").read_bytes()
    code, out, err = run("reproduce", "one-mf", "--out", tmp_path)
    assert (code, "already recorded" in err) == (0, True)
    assert (tmp_path / "one-mf.paper.json").read_bytes() == before
    code, out, _ = run("reproduce", "--list", "--out", tmp_path)
    assert out.count("0.5000") == 1


def test_a_run_may_be_stopped_by_the_clock_and_goes_on(run, rows, tmp_path) -> None:
    code, out, err = run("reproduce", "one-mf", "--out", tmp_path, "--minutes", "1e-9")
    assert (code, "stopped after 1 epochs as requested" in err) == (0, True)
    assert "one-mf (paper) …" in out
    code, out, err = run("reproduce", "one-mf", "--out", tmp_path)
    assert (code, "going on after epoch 1" in err) == (0, True)
    assert "…" not in out


def test_what_would_take_hours_is_begun_on_request_only(run, rows, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "forecast", lambda *args: engine.Forecast(4000.0, 3))
    code, out, err = run("reproduce", "one-mf", "--out", tmp_path)
    assert (code, out) == (0, "")
    assert "use --yes to run it" in " ".join(err.split())
    assert run("reproduce", "one-mf", "--out", tmp_path, "--yes")[0] == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["gowalla-mf-bsll"], "did you mean 'gowalla-mf-bsl'"),
        ([], "name a row"),
        (["gowalla-mf-bsl", "--protocol", "papr"], "did you mean 'paper'"),
        (["gowalla-mf-bsl", "--seeds", "0"], "--seeds must be at least 1"),
        (["gowalla-mf-bsl", "--minutes", "0"], "--minutes must be above 0"),
    ],
)
def test_a_wrong_request_is_named(run, argv, said) -> None:
    code, out, err = run("reproduce", *argv)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_a_broken_record_is_named(run, rows, tmp_path) -> None:
    (tmp_path / "one-mf.paper.json").write_text("[]")
    code, _, err = run("reproduce", "one-mf", "--out", tmp_path)
    assert (code, "move it away" in err) == (3, True)
