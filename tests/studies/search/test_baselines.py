"""What a baseline is said to take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from taurec.data.interactions import Interactions
from taurec.data.split import split
from taurec.run import Run
from taurec.studies.search import baselines as probe_baselines
from taurec.studies.search.baselines import SPARSE_SECONDS, forecast

RUN = Run.of(model={"name": "ease"})


@pytest.mark.parametrize(("users", "items"), [(40, 90), (90, 40)])
def test_ease_grows_with_the_third_power_of_the_shorter_side(users, items, monkeypatch) -> None:
    log = Interactions.from_pairs(*np.indices((users, items)).reshape(2, -1))
    parts = split(log, "ratio", valid=0.1, test=0.1)
    monkeypatch.setattr(probe_baselines, "FEW_ITEMS", 10)
    monkeypatch.setattr(probe_baselines.time, "perf_counter", itertools.count().__next__)
    sparse = SPARSE_SECONDS * len(parts.train) * (users + items)
    assert forecast(RUN, parts) == pytest.approx(4**3 + sparse)
    monkeypatch.setattr(probe_baselines, "FEW_ITEMS", 40)
    assert forecast(RUN, parts) == 0.0
