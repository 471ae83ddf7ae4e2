"""A metric from outside the package."""

from __future__ import annotations

import numpy as np

import taurec
from taurec.evaluation.metrics import Metric


def first_is_hit(hits, n_relevant):
    """Whether the first item is a hit."""
    return hits[:, 0].astype(np.float64)


def test_it_is_computed_like_any_other() -> None:
    model = taurec.Recommender(model="ease").fit(taurec.planted(n_users=60, n_items=40, seed=1).log)
    name = f"{__name__}:first_is_hit@5"
    found = model.evaluate(metrics=[Metric.of(first_is_hit, 5), name, "hit_rate@1"]).means()
    assert list(found) == [name, "hit_rate@1"]
    assert found[name] == found["hit_rate@1"] > 0
