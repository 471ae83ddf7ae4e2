from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from taurec import Recommender, Run
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import UsageError
from taurec.training.auto_temperature import climb, find_temperature, probe_epochs
from taurec.training.presets import auto_settings, resolve, settled

PARTS = split(planted(n_users=40, n_items=30, seed=1).log)
FIELDS = {"epochs": 2, "threads": 1, "kernel": "torch", "settings": {"loss": {"tau": "auto"}, "backbone": {"dim": 8}}}


@pytest.mark.parametrize("peak", [0.013, 0.1, 0.17, 0.9])
def test_the_climb_finds_the_top_of_a_parabola_over_log_tau(peak: float) -> None:
    asked: list[float] = []

    def value(tau: float) -> float:
        asked.append(tau)
        return -(math.log(tau / peak) ** 2)

    tau, probes = climb(value, 0.1, 1 / 160, 12.8)
    assert tau == pytest.approx(peak, rel=5e-3)
    assert len(asked) == len(set(asked)) == len(probes) <= 4 + abs(math.log2(peak / 0.1))
    assert [t for t, _ in probes] == sorted(t for t, _ in probes)


def test_the_climb_ends_at_its_borders() -> None:
    assert climb(lambda tau: tau, 0.1, 0.05, 0.4) == (0.4, ((0.1, 0.1), (0.2, 0.2), (0.4, 0.4)))
    assert climb(lambda tau: -tau, 0.1, 0.05, 0.4)[0] == 0.05
    assert climb(lambda tau: 1.0, 0.1, 0.05, 0.4)[0] == 0.1
    assert climb(lambda tau: -math.inf, 0.1, 0.05, 0.4)[0] == 0.1


def test_a_stopped_climb_returns_the_best_so_far() -> None:
    asked: list[float] = []
    tau, probes = climb(lambda tau: asked.append(tau) or tau, 0.1, 0.01, 10.0, stop=lambda: len(asked) == 2)
    assert (tau, len(probes)) == (0.2, 2)


def test_probes_shorten_with_the_log_and_never_outlast_the_run() -> None:
    run = resolve(loss="sl", batch_size=100, epochs=50)
    assert [probe_epochs(run, n) for n in (1, 25_000, 30_000, 10**9)] == [6, 6, 5, 3]
    assert probe_epochs(run.but(epochs=2), 1) == 2


@pytest.mark.parametrize(("loss", "name"), [("sl", "tau"), ("ssm", "tau"), ("infonce", "tau"), ("bsl", "tau_neg")])
def test_auto_stays_until_the_data_is_known(loss: str, name: str) -> None:
    run = resolve(loss=loss, settings={"loss": {name: "auto"}})
    assert auto_settings(run.loss) == [name]
    assert run == resolve(**{field: getattr(run, field) for field in Run.model_fields})
    assert settled(run) == resolve(loss=loss)
    assert settled(run, {name: 0.3}).loss.settings[name] == 0.3
    if name == "tau":
        assert resolve(loss=f"{loss}:auto") == run


@pytest.mark.parametrize(
    ("loss", "key", "said"),
    [
        ("bsl", "tau_pos", "loss.tau_pos cannot be auto; of bsl only tau_neg can"),
        ("sl", "scale_by_tau", "of sl only tau can"),
        ("ccl", "margin", "ccl has no temperature to find"),
        ("sl", "tauu", "did you mean 'tau'"),
    ],
)
def test_what_cannot_be_auto(loss: str, key: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(loss=loss, settings={"loss": {key: "auto"}})


def test_the_found_run_is_the_run_with_that_number() -> None:
    notes: list[str] = []
    auto = Recommender("mf", "sl", **FIELDS).fit(PARTS, on_note=notes.append)
    tau = auto.run.loss.settings["tau"]
    assert isinstance(tau, float)
    assert auto.run.found == {"loss.tau": auto.notes[0]}
    assert f"loss.tau {tau:g} found on validation by trials of 2 epochs (ndcg@20 at" in auto.notes[0]
    assert notes[-1] == auto.notes[0]
    plain = Recommender("mf", "sl", **{**FIELDS, "settings": {"loss": {"tau": tau}, "backbone": {"dim": 8}}}).fit(PARTS)
    assert np.array_equal(auto.embeddings()[1], plain.embeddings()[1])
    assert auto.run.but(found={}) == plain.run
    assert auto.run.but(loss=plain.run.loss).found == auto.run.found  # the same loss
    assert auto.run.but(loss=resolve(loss="ssm").loss).found == {}


def test_the_saved_run_holds_the_number_and_how_it_was_found(tmp_path: Path) -> None:
    model = Recommender("mf", "sl", **FIELDS).fit(PARTS)
    model.save(tmp_path / "m")
    written = json.loads((tmp_path / "m" / "run.json").read_text())
    assert written["loss"]["settings"]["tau"] == model.run.loss.settings["tau"]
    assert written["found"] == model.run.found
    assert Run.from_json(tmp_path / "m" / "run.json") == model.run


def test_found_from_run_train_and_validation_alone() -> None:
    """Neither the test part nor the number of threads, nor how often it is asked, has a say."""
    run = Recommender("mf", "sl", **FIELDS).run
    found = find_temperature(run, PARTS.train, PARTS.valid)
    assert find_temperature(run.but(threads=2), PARTS.train, PARTS.valid).probes == found.probes
    other = dataclasses.replace(PARTS, test=PARTS.test.take(range(3)))
    assert Recommender("mf", "sl", **FIELDS).fit(other).run.loss.settings["tau"] == found.tau
    assert find_temperature(run.but(seed=1), PARTS.train, PARTS.valid).probes != found.probes


@pytest.mark.parametrize("score", ["cosine", "dot"])
@pytest.mark.parametrize("negatives", ["uniform:5", "popularity:5", "shared:20", "in-batch", "full"])
def test_every_layout_and_score(negatives: str, score: str) -> None:
    fields = {**FIELDS, "negatives": negatives, "train_score": score, "rank_score": score, "epochs": 1}
    model = Recommender("mf", "sl", **fields).fit(PARTS)
    assert 1 / 160 <= model.run.loss.settings["tau"] <= (1.6 if score == "cosine" else 12.8)


@pytest.mark.parametrize(("score", "largest"), [("cosine", 1.6), ("dot", 12.8)])
def test_cosines_have_no_use_for_a_large_tau(score: str, largest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    borders: list[float] = []

    def only_borders(value: object, start: float, low: float, high: float, stop: object) -> tuple[float, tuple[()]]:
        borders.extend([start, low, high])
        return start, ()

    monkeypatch.setattr("taurec.training.auto_temperature.climb", only_borders)
    find_temperature(resolve(loss="sl:auto", train_score=score), PARTS.train, PARTS.valid)
    assert borders == [0.1, 1 / 160, largest]


def test_bsl_and_a_graph() -> None:
    settings = {"loss": {"tau_neg": "auto", "tau_pos": 0.7}}
    model = Recommender("lightgcn", "bsl", settings=settings, epochs=1, threads=1, kernel="torch").fit(PARTS)
    assert model.run.loss.settings["tau_pos"] == 0.7
    assert isinstance(model.run.loss.settings["tau_neg"], float)


def test_without_a_validation_part_one_is_cut_for_the_probes_alone() -> None:
    everything = PARTS.train.union(PARTS.valid).union(PARTS.test)
    notes: list[str] = []
    model = Recommender("mf", "sl", split="none", **FIELDS).fit(everything, on_note=notes.append)
    assert "no validation part, so trials are evaluated on" in notes[0]
    assert len(model.split.train) == len(everything)
    assert len(model.records) == 2
    run = Recommender("mf", "sl", seed=3, **FIELDS).run
    cut = split(everything, "ratio", valid=0.1, test=0.0, seed=3)
    assert find_temperature(run, everything).probes == find_temperature(run, cut.train, cut.valid).probes


def test_too_few_pairs_to_judge_on() -> None:
    with pytest.raises(UsageError, match="no user has enough training pairs to hold one out; give a number"):
        Recommender("mf", "sl", split="none", **FIELDS).fit(Interactions.from_pairs([0, 1, 1], [0, 0, 1]))
    with pytest.raises(UsageError, match="no setting of sl is auto"):
        find_temperature(resolve(loss="sl"), PARTS.train, PARTS.valid)


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    """The probes are repeated, as nothing of them is kept, and find the same number."""
    notes: list[str] = []
    Recommender("mf", "sl", **FIELDS).fit(PARTS, resume=tmp_path / "c", seconds=0.0)
    again = Recommender("mf", "sl", **FIELDS).fit(PARTS, resume=tmp_path / "c", on_note=notes.append)
    assert any("going on after epoch 1" in note for note in notes)
    assert np.array_equal(again.embeddings()[0], Recommender("mf", "sl", **FIELDS).fit(PARTS).embeddings()[0])


def test_a_signal_ends_the_climb_and_nothing_is_trained() -> None:
    calls = 0

    def on_progress(progress: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    model = Recommender("mf", "sl", **FIELDS).fit(PARTS, on_progress=on_progress)
    assert model.stopped_by == signal.SIGTERM
    assert model.records == []
    assert isinstance(model.run.loss.settings["tau"], float)
