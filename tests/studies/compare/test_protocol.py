"""The protocol of a comparison, on a planted world."""

from __future__ import annotations

import math

import pytest

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.recommender import Recommender
from taurec.studies.compare import compare, peak_memory

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
    assert {row.label for row in found.rows} >= {"popularity", "itemknn", "ease", "ials", "mf:sl"}
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
    assert {row.label: row.tried for row in rows} == {"mf:sl": 2, "popularity": 1, "itemknn": 2, "ease": 2, "ials": 2}
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
