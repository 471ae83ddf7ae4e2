"""The forecast of a baseline's fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from taurec.baselines import EASE, Popularity, closed_form
from taurec.data.interactions import Interactions
from taurec.data.split import split
from taurec.run import Run
from taurec.studies.compare import BASELINES_ALWAYS
from taurec.studies.search import baselines as search_baselines
from taurec.studies.search.baselines import fit_baselines, forecast

RUN = Run.of(model={"name": "ease"})


def full_log(users: int, items: int) -> Interactions:
    return Interactions.from_pairs(*np.indices((users, items)).reshape(2, -1))


@pytest.mark.parametrize(("users", "items"), [(40, 90), (90, 40)])
def test_ease_grows_with_the_third_power_of_the_shorter_side(users, items, monkeypatch) -> None:
    parts = split(full_log(users, items), "ratio", valid=0.1, test=0.1)
    monkeypatch.setattr(closed_form, "_FORECAST_ITEMS", 10)
    monkeypatch.setattr(closed_form.time, "perf_counter", itertools.count().__next__)
    sums = closed_form._SECONDS_OF_SUM * len(parts.train) * (users + items)
    assert forecast(RUN, parts) == pytest.approx(4**3 + sums)
    monkeypatch.setattr(closed_form, "_FORECAST_ITEMS", 40)
    assert 0 < forecast(RUN, parts) < 0.01


def test_bytes_are_those_of_the_shorter_inverse_and_the_weights() -> None:
    cost = EASE().fit_cost(full_log(4, 9))
    assert cost.bytes == 8 * 4**2 + 4 * 9**2
    assert Popularity().fit_cost(full_log(4, 9)).seconds == 0


def test_a_baseline_without_a_declaration_is_measured_on_some_users(monkeypatch) -> None:
    parts = split(full_log(40, 9), "ratio", valid=0.2, test=0.2)
    monkeypatch.setattr(search_baselines, "FEW_USERS", 10)
    monkeypatch.setattr(search_baselines.time, "perf_counter", itertools.count(step=2).__next__)
    assert forecast(Run.of(model={"name": "itemknn"}), parts) == 2 * 40 / 10


def test_without_time_only_what_costs_nothing_is_fitted() -> None:
    parts = split(full_log(40, 9), "ratio", valid=0.2, test=0.2)
    found = fit_baselines(parts, {}, until=0.0, say=lambda line: None)
    assert list(found.best) == ["popularity"]
    assert found.notes == [f"{label} left out: no time" for label in BASELINES_ALWAYS[1:]]
