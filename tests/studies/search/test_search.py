"""A search within a given time, on a planted world."""

from __future__ import annotations

import math
import os

import pytest

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.losses import SL
from taurec.recommender import Recommender
from taurec.studies.search import search
from taurec.studies.search.pool import make_pool
from taurec.studies.search.results import setting_text
from taurec.training.calibrate import Cost
from taurec.training.forecast import Sizes

LOG = planted(n_users=80, n_items=40, seed=2, noise=0.1).log
FIELDS = {"batch_size": 64, "negatives": "uniform:4", "settings": {"backbone": {"dim": 8}}, "threads": 1}


@pytest.fixture
def idle() -> None:
    """Four seconds are enough for this search, but not where several programs share each core."""
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        pytest.skip(f"the machine is busy (load {os.getloadavg()[0]:.0f}), so a budget in seconds is no measure")


@pytest.fixture(scope="module")
def searched():
    """A search, and which parts were evaluated in which order, fits among them."""
    seen: list[str] = []
    evaluate, fit = Recommender.evaluate, Recommender.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recommender, "evaluate", lambda self, part, m: seen.append(part) or evaluate(self, part, m))
        patch.setattr(Recommender, "fit", lambda self, *a, **k: seen.append("fit") or fit(self, *a, **k))
        found = search(LOG, 4.0, ["mf:sl", "mf:bpr"], fields=FIELDS)
    return found, seen


def test_the_budget_is_kept(idle, searched) -> None:
    assert searched[0].seconds <= 1.15 * searched[0].budget


def test_the_test_part_is_looked_at_last_and_once(searched) -> None:
    found, seen = searched
    first = seen.index("test")
    assert set(seen[first:]) == {"test"}
    assert len(seen) - first == len(found.test) == 2


def test_what_validation_prefers_is_chosen(idle, searched) -> None:
    found, _ = searched
    whole = [t for t in found.trials if t.stage in ("baseline", "whole")]
    best = max(whole, key=lambda t: t.valid)
    assert (found.chosen.run.label, setting_text(found.chosen.run)) == (best.label, best.setting)
    assert found.second != found.chosen.run.label
    assert sum(found.chance.values()) == pytest.approx(1.0)
    assert {t.label for t in found.trials} >= {"popularity", "itemknn", "ease", "ials", "mf:sl", "mf:bpr"}
    assert len({t.setting for t in found.trials if t.label == "mf:sl" and t.stage == "probe"}) == 3


def test_the_chosen_run_can_be_repeated(searched) -> None:
    found, _ = searched
    trained = [t for t in found.trials if t.stage == "whole" and t.ended]
    if not trained:
        pytest.skip("this machine was too slow for a whole training within the budget")
    again = Recommender.from_run(trained[0].run.but(source="(in memory)")).fit(found.chosen.split)
    assert again.best.metrics[found.metric] == trained[0].valid


@pytest.mark.parametrize(
    ("rounds", "share", "labels", "settings"),
    [
        (1840.0, 1.0, {"mf:sl", "mf:bpr", "lightgcn:sl"}, 9),  # 3 rounds; the first takes 2 * (3 + 3 + 300) = 612
        (1000.0, 0.5, {"mf:sl", "mf:bpr", "lightgcn:sl"}, 9),
        (400.0, 0.25, {"mf:sl", "mf:bpr", "lightgcn:sl"}, 6),  # two settings of each: 1/4 of 2 * 204 in a half of 400
        (100.0, 1.0, {"mf:sl", "mf:bpr"}, 6),  # 2 rounds; the first takes 12
        (15.0, 0.5, {"mf:sl", "mf:bpr"}, 6),
        (7.0, 0.25, {"mf:sl", "mf:bpr"}, 6),
        (4.5, 0.25, {"mf:sl", "mf:bpr"}, 4),
        (1.9, 0.25, {"mf:sl"}, 2),
        (0.1, 0.25, {"mf:sl"}, 2),
    ],
)
def test_a_pool_fits_into_its_time(monkeypatch, rounds, share, labels, settings) -> None:
    """Epochs of 1 second for MF and of 100 for LightGCN; two of each in the first of two or three rounds."""
    monkeypatch.setattr(
        "taurec.studies.search.pool.cost",
        lambda run, sizes: Cost(0.1, 0.9, 0.1) if run.backbone.name == "mf" else Cost(1.0, 90.0, 10.0),
    )
    labels_of_interest = ["mf:sl", "mf:bpr", "lightgcn:sl"]
    pool = make_pool(labels_of_interest, {}, Sizes(100, 100, 1000), rounds, math.inf, lambda line: None)
    assert pool.share == share
    assert {run.label for run in pool.runs} == labels
    assert len(pool.runs) == settings
    assert len(pool.notes) == 3 - len(labels)


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(UsageError, match="at least 2 seconds"):
        search(LOG, 0.5)
    with pytest.raises(UsageError, match="backbone:loss"):
        search(LOG, 5, ["ease"])
    with pytest.raises(UsageError, match="validation part"):
        search(LOG, 5, fields={"split": "none"})


class Outside(SL):
    """A loss from outside the package."""


class Raising(SL):
    """A loss from outside whose call raises."""

    def __call__(self, pos, neg, **side):
        raise KeyError("oops")


def test_a_loss_from_outside_takes_part_and_one_that_raises_is_noted() -> None:
    found = search(LOG, 6.0, [f"mf:{__name__}:Raising", f"mf:{__name__}:Outside"], fields=FIELDS)
    assert any("Raising" in note and "KeyError: 'oops'" in note for note in found.notes)
    assert "mf:Outside" in {t.label for t in found.trials}
