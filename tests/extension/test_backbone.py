"""A backbone of one's own with a parameter beyond the two tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from taurec import Interactions, Recommender, planted
from taurec.backbones import Backbone
from taurec.backbones.cost import StepBytes, StepSize
from taurec.backbones.protocol import Rows
from taurec.training.forecast import Sizes, memory
from taurec.types import Embeddings


class ScaledMF(Backbone):
    """MF whose dimensions are weighed by a learned vector: <u, w * v>."""

    def __init__(self, train: Interactions, /, dim: int = 8, init: str = "xavier_uniform", seed: int = 0):
        super().__init__(train, dim, init, seed)
        self.weight = nn.Parameter(torch.ones(dim))

    @classmethod
    def step_bytes(cls, size: StepSize, settings: Mapping[str, Any]) -> StepBytes:
        return StepBytes(step=3 * size.tables)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        return Embeddings(self.user, self.item * self.weight, self.user, self.item)


def test_it_trains_its_parameter_and_ranks_after_loading(tmp_path: Path) -> None:
    log = planted(n_users=60, n_items=40, seed=1).log
    model = Recommender(ScaledMF, "sl", negatives="uniform:8", epochs=3).fit(log)
    weights = model.ranker.item  # unit rows of item * weight
    again = Recommender.load(model.save(tmp_path / "model"))
    assert np.array_equal(again.ranker.item, weights)
    assert again.recommend("0", k=5).item == model.recommend("0", k=5).item


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    log, given = planted(n_users=60, n_items=40, seed=1).log, {"negatives": "uniform:8", "epochs": 4, "l2": 0.01}
    whole = Recommender(ScaledMF, "sl", **given).fit(log)
    for _ in range(4):
        resumed = Recommender(ScaledMF, "sl", **given).fit(log, resume=tmp_path / "state", seconds=0.0)
    assert np.array_equal(resumed.ranker.user, whole.ranker.user)


def test_its_memory_is_what_it_declares() -> None:
    run = Recommender(ScaledMF, "sl").run
    sizes = Sizes(10_000, 5_000, 100_000)
    assert memory(run, sizes)["layers"] == 3 * 4 * 8 * 15_000
