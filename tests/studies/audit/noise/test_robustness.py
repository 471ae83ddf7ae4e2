"""Noise curves: slopes by hand, what is disturbed and what is not, and that an interrupted experiment goes on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives, hold_out_false_negatives
from taurec.data.planted import planted
from taurec.data.split import split
from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.evaluation.significance import holm
from taurec.recommender import Recommender
from taurec.studies.audit.noise import fits as noise_fits
from taurec.studies.audit.noise.fits import FitsEnded
from taurec.studies.audit.noise.results import estimate, slope
from taurec.studies.audit.noise.robustness import noise_curves

QUICK = {"epochs": 2, "threads": 1}


@pytest.fixture(scope="module")
def log() -> Interactions:
    return planted(n_users=50, n_items=40, seed=1).log


def curves(log: Interactions, **given: object):
    settings = {"losses": ["sl"], "levels": [0.0, 0.4], "seeds": 1, "baselines": ["popularity"], "fields": QUICK}
    return noise_curves(log, **{**settings, **given})


def test_slopes_and_intervals_by_hand() -> None:
    # x - mean = -1, 0, 1; (-1 * 3 + 0 * 7 + 1 * 1) / 2 = -1
    assert slope([1, 2, 3], [3, 7, 1]) == -1
    assert math.isnan(slope([1], [3]))
    # s = sqrt(2), t_{.975, 1} = 12.706; half = 12.706 * sqrt(2) / sqrt(2)
    found = estimate([1.0, 3.0])
    assert (found.mean, found.n) == (2.0, 2)
    assert found.high == pytest.approx(2 + 12.7062, abs=1e-4)
    assert (estimate([5.0]).low, estimate([5.0]).high) == (None, None)


def test_a_curve_is_what_fits_by_hand_give(log: Interactions) -> None:
    """Split first, then inject into training; judge on the clean test part."""
    found = curves(log, levels=[0.4], tune="none", seeds=2, fields={**QUICK, "seed": 3})
    parts = split(log, seed=3)
    for label, made in (("mf:sl", {"loss": "sl", **QUICK}), ("popularity", {"model": "popularity"})):
        values = []
        for seed in (3, 4):
            noisy = add_false_positives(parts.train, 0.4, seed, [parts.valid, parts.test])
            model = Recommender(**made, seed=seed).fit(type(parts)(noisy.log, parts.valid, parts.test, "ratio"))
            values.append(model.evaluate("test", ["ndcg@20"]).means()["ndcg@20"])
        point = next(c for c in found.of("ndcg@20") if c.label == label).points[0]
        assert list(point.values) == pytest.approx(values)
        assert point.pairs == len(noisy.log)
        assert point.injected == int(noisy.injected.sum())


def test_the_next_commands_measure_the_noise_and_train_the_best_loss(log: Interactions) -> None:
    found = curves(log, losses=["sl", "bpr"], tune="none", levels=[0.0])
    best = max(found.losses, key=lambda c: c.points[0].estimate.mean).label.removeprefix("mf:")
    measure, train = replace(found, source="my log.csv").commands()
    assert measure == "taurec audit log 'my log.csv'"
    assert train.startswith("taurec train 'my log.csv' ")
    assert f"--backbone mf --loss {best} " in train
    assert "--epochs 2" in train


def test_false_positives_cost_accuracy_and_the_slope_says_how_much(log: Interactions) -> None:
    given = {"baselines": ["ease"], "metrics": ["recall@3"], "tune": "none", "seeds": 3}
    ease = curves(log, levels=[0, 0.5, 3.0], fields={**QUICK, "epochs": 1}, **given).of("recall@3")[1]
    means = [p.estimate.mean for p in ease.points]
    assert means[0] > means[2]
    assert ease.slope is not None
    by_seed = [
        slope([0, 0.5, 3.0], [ease.points[0].values[0], *(p.values[n] for p in ease.points[1:])]) for n in range(3)
    ]
    assert ease.slope.mean == pytest.approx(np.mean(by_seed) / 100)
    assert ease.points[0].estimate.n == 1  # deterministic on the clean log: fitted once
    assert ease.points[1].estimate.n == 3  # the injected pairs differ by seed


def test_settings_are_chosen_once_on_clean_data_and_kept(log: Interactions) -> None:
    found = curves(log, tune="all", levels=[0, 1.0], fields={**QUICK, "epochs": 1})
    sl = found.of()[0]
    assert sl.run["loss"]["settings"]["tau"] in (0.05, 0.1, 0.2)
    assert curves(log, losses=["sl:0.3"], tune="all").of()[0].run["loss"]["settings"]["tau"] == 0.3


@pytest.mark.parametrize(("kind", "name"), [("negatives", "noisy"), ("negatives-held-out", "noisy-held-out")])
def test_noise_in_the_negatives_reaches_trained_models_only(
    log: Interactions, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    fit = Recommender.fit

    def watched(self: Recommender, *args: object, **more: object) -> Recommender:
        runs.append((self.run, args[0]))
        return fit(self, *args, **more)

    monkeypatch.setattr(Recommender, "fit", watched)
    found = curves(log, kind=kind, tune="none", losses=["bpr"], levels=[0.0, 0.5])
    negatives = [run.negatives for run, _ in runs if run.model is None]
    assert [n.name for n in negatives] == [name, name]
    assert [n.settings["noise"] for n in negatives] == [0.0, 0.5]
    assert all(n.settings["n"] == 1 for n in negatives)  # as many as the preset of bpr has
    loss, popularity = found.of()
    assert popularity.constant
    assert popularity.slope is None
    assert popularity.points[0].values == popularity.points[1].values
    assert loss.points[0].values != loss.points[1].values
    held = len(split(log).train) if kind == "negatives" else len(hold_out_false_negatives(split(log).train, 0.1).train)
    assert {p.pairs for curve in (loss, popularity) for p in curve.points} == {held}
    assert [len(data.train) for run, data in runs if run.model is not None][-1] == held


def test_an_interrupted_experiment_goes_on_to_the_same_result(
    log: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = curves(log).document()
    done = []
    fit = Recommender.fit

    def broken(self: Recommender, *args: object, **more: object) -> Recommender:
        if len(done) == 2:
            self.stopped_by = 15
            return self
        done.append(self.run.label)
        return fit(self, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Recommender, "fit", broken)
        with pytest.raises(FitsEnded) as stopped:
            curves(log, journal=tmp_path / "j.jsonl")
    assert (stopped.value.signum, stopped.value.done) == (15, 2)

    steps = []
    again = curves(log, journal=tmp_path / "j.jsonl", on_progress=steps.append).document()
    assert steps[0].done == 2
    assert steps[-1].total == 4
    assert steps[-1].seconds_left is not None
    assert _without_times(again) == _without_times(whole)
    nothing = []
    assert _without_times(curves(log, journal=tmp_path / "j.jsonl", on_progress=nothing.append).document()) == (
        _without_times(whole)
    )
    assert nothing == []


def _without_times(document: dict) -> dict:
    text = json.loads(json.dumps(document))
    for curve in text["curves"]:
        for point in curve["points"]:
            del point["seconds"]
    return text


def test_other_settings_are_other_entries_and_other_data_another_journal(log: Interactions, tmp_path: Path) -> None:
    journal = tmp_path / "j.jsonl"
    curves(log, journal=journal, levels=[0.0])
    steps = []
    curves(log, journal=journal, levels=[0.0], fields={**QUICK, "lr": 0.5}, on_progress=steps.append)
    assert [step.label for step in steps] == ["mf:sl"]
    with pytest.raises(UsageError, match="another experiment: data_hash"):
        curves(planted(n_users=50, n_items=40, seed=2).log, journal=journal)
    with pytest.raises(UsageError, match="another experiment: kind"):
        curves(log, journal=journal, kind="negatives")
    lines = journal.read_text().splitlines()
    lines[1] = lines[1].replace('"numerator":[', '"numerator":["x",')
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(ArtefactError, match="not that of a fit"):
        curves(log, journal=journal, levels=[0.0])


def test_all_pairs_of_losses_are_tested_at_each_level(log: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    corrected = []
    monkeypatch.setattr("taurec.studies.audit.noise.robustness.holm", lambda ps: corrected.extend(ps) or holm(ps))
    found = curves(log, losses=["sl", "bpr", "mml"], levels=[0.0, 0.2], baselines=[])
    assert [(d.level, d.first, d.second) for d in found.differences[:3]] == [
        (0.0, "mf:sl", "mf:bpr"),
        (0.0, "mf:sl", "mf:mml"),
        (0.0, "mf:bpr", "mf:mml"),
    ]
    assert len(found.differences) == 6
    means = {c.label: c.points[0].estimate.mean for c in found.of()}
    assert found.differences[0].mean == pytest.approx(means["mf:sl"] - means["mf:bpr"], abs=1e-6)
    assert [d.p_value for d in found.differences] == holm(corrected)  # all six together
    assert len(corrected) == 6


def test_a_baseline_too_large_for_memory_is_left_out_and_said(
    log: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, train: object) -> None:
        raise ResourceError("needs 9 TB")

    monkeypatch.setattr("taurec.baselines.ease.EASE.fit", refuse)
    found = curves(log, baselines=["ease", "popularity"], levels=[0.0])
    assert [c.label for c in found.of()] == ["mf:sl", "popularity"]
    assert "ease is left out" in found.notes[0]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"levels": []}, "got none"),
        ({"levels": [-0.1]}, "levels of positives must be 0 or more"),
        ({"levels": [0, float("nan")]}, "levels of positives must be"),
        ({"levels": [0, 1.0], "kind": "negatives-held-out"}, "from 0 to below 1"),
        ({"kind": "both"}, "unknown kind of noise"),
        ({"seeds": 0}, "at least 1"),
        ({"losses": []}, "no losses"),
        ({"losses": ["sll"]}, "did you mean 'sl'"),
        ({"baselines": ["eas"]}, "did you mean 'ease'"),
        ({"kind": "negatives", "fields": {"negatives": "in-batch"}}, "replaces uniform negatives"),
        ({"fields": {"split": "none"}}, "need a validation and a test part"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_fit(
    log: Interactions, given: dict[str, object], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_fits.FitQueue, "fit", lambda *args: pytest.fail("a fit was begun"))
    with pytest.raises(UsageError, match=match):
        curves(log, **given)


def test_levels_that_inject_equally_many_pairs_are_noted() -> None:
    user, position = np.divmod(np.arange(240), 6)
    log = Interactions.from_pairs(user, (3 * user + position) % 40)  # four training items each
    notes = noise_curves(log, ["sl"], [0.0, 0.1, 0.25, 0.9], baselines=["popularity"], fields={"epochs": 1}).notes
    said = [note for note in notes if "same number of pairs" in note]
    assert [note[:19] for note in said] == ["levels 0.1 and 0.25"], notes
