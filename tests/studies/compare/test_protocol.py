"""The protocol of a comparison, on a planted world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from taurec.baselines.popularity import Popularity
from taurec.data.planted import planted
from taurec.errors import NonFiniteError, ResourceError, TaurecError, UsageError
from taurec.losses import RowReduce, StreamedLoss
from taurec.recommender import Recommender
from taurec.studies.compare import BASELINES_ALWAYS, compare, peak_memory
from taurec.studies.search import search

LOG = planted(n_users=60, n_items=30, seed=2, noise=0.1).log
QUICK = {"epochs": 2, "batch_size": 64, "negatives": "uniform:4", "settings": {"backbone": {"dim": 8}}}


@pytest.fixture(scope="module")
def found():
    return compare(LOG, ["mf:sl", "ease"], seeds=2, tune="all", fields=QUICK)


def test_settings_are_chosen_on_validation_and_what_is_used_too(found) -> None:
    assert found.chosen.run.label == max(found.rows, key=lambda row: row.valid).label
    tried = {row.label: row.tried for row in found.rows}
    assert tried["mf:sl"] == 3
    assert tried["popularity"] == 1
    assert tried["ease"] > 3


def test_the_baselines_are_there_and_the_best_is_marked_by_test(found) -> None:
    assert {row.label for row in found.rows} >= {*BASELINES_ALWAYS, "mf:sl"}
    assert found.best.p_value is None
    assert all(row.p_value is not None for row in found.rows if row is not found.best)
    assert found.best.metrics["ndcg@20"].mean == max(row.metrics["ndcg@20"].mean for row in found.rows)


def test_the_best_of_each_kind_on_validation_meet_on_test(found) -> None:
    trained = [row for row in found.rows if row.trained]
    baselines = [row for row in found.rows if not row.trained]
    assert found.versus.trained == max(trained, key=lambda row: row.valid).label == "mf:sl"
    assert found.versus.baseline == max(baselines, key=lambda row: row.valid).label
    means = [found.row(label).metrics["ndcg@20"].mean for label in (found.versus.trained, found.versus.baseline)]
    assert found.versus.paired.difference.mean == pytest.approx(means[0] - means[1])
    assert set(found.models) == {row.label for row in found.rows}


def test_the_spread_over_seeds_is_that_of_runs_of_their_own(found) -> None:
    row = found.row("mf:sl")
    again = [Recommender.from_run(row.run.but(seed=seed, source="(in memory)")) for seed in (0, 1)]
    values = [model.fit(found.split).evaluate("test", ["ndcg@20"]).means()["ndcg@20"] for model in again]
    assert row.spread["ndcg@20"].mean == pytest.approx(sum(values) / 2)
    assert row.spread["ndcg@20"].std == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
    assert found.row("ease").spread["ndcg@20"].std is None


def test_the_same_number_of_settings_for_all() -> None:
    rows = compare(LOG, ["mf:sl"], tune="all", fields=QUICK, tries=2).rows
    assert {row.label: row.tried for row in rows} == {
        "mf:sl": 2, "popularity": 1, "itemknn": 2, "ease": 2, "ease-normalised": 2, "slim-local": 2, "ials": 2,
    }  # fmt: skip
    with pytest.raises(UsageError, match="tries must be at least 1"):
        compare(LOG, ["ease"], tries=0)


def test_a_value_that_was_given_is_not_varied() -> None:
    fields = {**QUICK, "settings": {**QUICK["settings"], "loss": {"tau": 0.3}}}
    row = next(r for r in compare(LOG, ["mf:sl"], tune="all", fields=fields, tries=2).rows if r.label == "mf:sl")
    assert row.tried == 1
    assert row.run.loss.settings["tau"] == 0.3


def test_the_same_comparison_gives_the_same_numbers() -> None:
    one, again = (compare(LOG, ["mf:sl"], seeds=2, tune="all", fields=QUICK, tries=1) for _ in range(2))
    assert [(r.label, r.metrics) for r in again.rows] == [(r.label, r.metrics) for r in one.rows]


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(UsageError, match="did you mean 'ease'"):
        compare(LOG, ["eese"])
    with pytest.raises(UsageError, match="no models"):
        compare(LOG, [])
    with pytest.raises(UsageError, match="validation and a test part"):
        compare(LOG, ["ease"], fields={"split": "none"})


def test_memory_is_what_a_block_took() -> None:
    with peak_memory(interval=0.001) as memory:
        block = bytearray(64 << 20)
        block[::4096] = b"x" * len(block[::4096])
        import time

        time.sleep(0.05)
    if memory.peak_mb is None:
        pytest.skip("no /proc here")
    assert 60 <= memory.peak_mb <= 200


class Broken(Popularity):
    """Its fit raises, or some of its scores are not finite."""

    GRID = ({"how": "raises"},)

    def __init__(self, how: str = "raises"):
        super().__init__()
        self.how = how

    def fit(self, train):
        if self.how == "raises":
            raise KeyError("oops")
        super().fit(train)
        self._counts[3] = np.nan
        return self


@dataclass(frozen=True)
class NotANumber(StreamedLoss):
    """NaN in every row where ``tau`` is 1, else the mean of the negatives."""

    tau: float = 1.0

    @property
    def reduce(self):
        return RowReduce("mean")

    def combine(self, pos, reduced, n):
        return (reduced - pos) * (math.nan if self.tau == 1 else 1)

    @classmethod
    def grid(cls):
        return {"loss.tau": [1.0, 2.0]}


def test_a_model_that_fails_is_a_row_and_the_others_are_compared() -> None:
    models = ["ease", Broken(), ("mf", NotANumber()), "mf:sl"]
    found = compare(LOG, models, fields=QUICK, tries=1)
    assert [row.label for row in found.rows] == [
        "ease",
        "mf:sl",
        *(label for label in BASELINES_ALWAYS if label != "ease"),
    ]
    raised, diverged = found.failed
    assert raised.label == "Broken"
    assert raised.reason.startswith("KeyError: 'oops' in fit (test_protocol.py:")
    assert "NotANumber" in diverged.label
    assert "nan" in diverged.reason
    words = " ".join(found.verdict())
    assert f"{raised.label} failed: KeyError: 'oops'" in words
    assert f"{diverged.label} failed: " in words
    table = found.tables()[0]
    assert [row[1:3] for row in table.rows[-2:]] == [[raised.label, "failed"], [diverged.label, "failed"]]
    assert [one["label"] for one in found.document()["failed"]] == [raised.label, diverged.label]
    assert any(getattr(part, "title", "") == "Models that failed" for part in found.parts())


def test_scores_that_are_not_finite_fail_the_baseline_that_gave_them() -> None:
    found = compare(LOG, [Broken("nan")], tune="none", fields=QUICK)
    assert found.failed[0].label == "Broken"
    assert "item index 3 is nan in Broken; scores must be finite" in found.failed[0].reason


def test_a_setting_that_fails_leaves_the_other_settings_of_its_model() -> None:
    found = compare(LOG, [("mf", NotANumber)], tune="all", fields=QUICK, tries=2)
    row = next(row for row in found.rows if row.trained)
    assert not found.failed
    assert row.run.loss.settings["tau"] == 2.0
    assert any("setting 1 of 2 failed" in note for note in found.notes)


def test_a_comparison_without_any_model_left_is_an_error(monkeypatch) -> None:
    def fails(self, *args, **given):
        raise NonFiniteError("the score is nan")

    monkeypatch.setattr(Recommender, "fit", fails)
    with pytest.raises(TaurecError, match="every model failed: ease: the score is nan; popularity: ") as error:
        compare(LOG, ["ease"], tune="none", fields=QUICK)
    assert error.value.exit_code == 1


def test_a_defect_of_taurec_is_no_failure_of_a_model(monkeypatch) -> None:
    def fails(self, *args, **given):
        raise KeyError("oops")

    monkeypatch.setattr(Recommender, "fit", fails)
    with pytest.raises(KeyError):
        compare(LOG, ["ease"], tune="none", fields=QUICK)


def test_a_baseline_that_was_added_may_be_too_large(monkeypatch) -> None:
    """One that was named ends the comparison, as any request that cannot be met."""

    def too_large(self, train):
        raise ResourceError("EASE on 99 items needs 9.0 GB of memory and 1.0 GB are free")

    monkeypatch.setattr("taurec.baselines.ease.EASE.fit", too_large)
    found = compare(LOG, ["itemknn"], tune="none", fields=QUICK)
    assert [(one.label, one.reason[:15]) for one in found.failed] == [("ease", "EASE on 99 item")]
    assert {row.label for row in found.rows} == {*BASELINES_ALWAYS} - {"ease"}
    with pytest.raises(ResourceError):
        compare(LOG, ["ease"], tune="none", fields=QUICK)


def test_the_halves_of_a_blend_are_chosen_alone_and_fitted_once(monkeypatch) -> None:
    monkeypatch.setattr("taurec.studies.compare.protocol.BASELINES_ALWAYS", ("popularity",))
    fitted = []
    fit = Recommender.fit

    def counted(self, *args, **given):
        fitted.append(self.run.label)
        return fit(self, *args, **given)

    monkeypatch.setattr(Recommender, "fit", counted)
    found = compare(LOG, ["ease", "blend:ease+mf:sl", "mf:sl"], fields=QUICK, seeds=2)
    rows = {row.label: row for row in found.rows}
    both, ease, trained = (rows[label] for label in ("blend:ease+mf:sl", "ease", "mf:sl"))
    assert fitted.count("ease") == ease.tried == 8
    assert (fitted.count("mf:sl"), fitted.count("blend:ease+mf:sl")) == (2, 1), "a second seed of each"
    assert both.run.parts[0].model == ease.run.model
    assert both.run.parts[1].loss == trained.run.loss
    assert both.tried == 9
    assert both.tune_seconds > ease.tune_seconds
    assert (both.trained, both.closed_form, both.epochs) == (True, False, 0)
    assert both.spread["ndcg@20"].std is not None
    assert both.run.source == found.source
    again = Recommender.from_run(both.run).fit(found.split)
    users = np.arange(LOG.n_users)
    np.testing.assert_array_equal(again.ranker.block(users), found.models[both.label].ranker.block(users))
    assert both.valid == max(row.valid for row in found.rows)
    assert found.document()["rows"][1]["run"]["model"]["name"] == "blend"
    assert "blend(weight=" in str(found.parts())


def test_a_blend_of_closed_forms_is_one_and_is_fitted_once() -> None:
    found = compare(LOG, ["blend:ease-normalised+slim-local"], tune="none", fields=QUICK, seeds=3)
    row = found.row("blend:ease-normalised+slim-local")
    assert (row.closed_form, row.trained, row.spread["ndcg@20"].std) == (True, False, None)
    assert found.closed_form in [one for one in found.rows if one.closed_form]
    assert not found.row("ials").closed_form


def test_a_search_refuses_blends() -> None:
    with pytest.raises(UsageError, match="a search needs trained models as backbone:loss, got"):
        search(LOG, budget=3, models=["mf:sl", "blend:ease+mf:sl"])
