from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec import draw
from taurec.data.interactions import Interactions
from taurec.losses import SLAtK, topk
from taurec.losses.topk import TopKThresholds
from taurec.sampling import Layout
from taurec.types import Batch

KNOWN = np.random.default_rng(0).random((30, 50)) < np.linspace(0.02, 0.5, 30)[:, None]
KNOWN[:, 0] = True
LOG = Interactions.from_pairs(*np.nonzero(KNOWN))
"""Users with few pairs and with many."""


def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 5, generator=generator), torch.randn(50, 5, generator=generator)


def everybody(side: TopKThresholds) -> torch.Tensor:
    users = torch.arange(30)
    return side.side(Batch(users, users, users, Layout()))["threshold"]


def test_they_are_refreshed_after_every_so_many_epochs() -> None:
    asked = []
    side = TopKThresholds(SLAtK(refresh_every=3), LOG)
    for epoch in range(1, 9):
        side.begin_epoch(epoch, lambda: asked.append(epoch) or vectors())  # noqa: B023 - called at once
        assert (everybody(side) == 0).all() == (epoch < 4)
    assert asked == [4, 7]


def test_a_small_catalogue_is_sorted_whole() -> None:
    side = TopKThresholds(SLAtK(k=7, refresh_every=1, samples=50), LOG)
    side.begin_epoch(2, vectors)
    user, item = vectors()
    slow = [sorted((user[u] @ item.T).tolist())[-7] for u in range(30)]
    assert everybody(side).tolist() == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize("block", [1, 1 << 21])
def test_the_sample_by_a_slow_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "BLOCK_VALUES", block)
    side = TopKThresholds(SLAtK(k=9, refresh_every=2, samples=9), LOG, seed=3)
    side.begin_epoch(5, vectors)
    user, item = vectors()
    drawn = draw.integers(draw.key(3, "top-k threshold", 4), np.arange(30), 50, 9)
    for u in range(30):
        ids = [*LOG.indices[LOG.indptr[u] : LOG.indptr[u + 1]].tolist(), *drawn[u].tolist()]
        slow = sorted(float(user[u] @ item[i]) for i in ids)[-9]
        assert float(everybody(side)[u]) == pytest.approx(slow, abs=1e-6)


def test_a_catalogue_smaller_than_k() -> None:
    side = TopKThresholds(SLAtK(k=80, samples=80, refresh_every=1), LOG)
    side.begin_epoch(2, vectors)
    user, item = vectors()
    assert everybody(side).tolist() == pytest.approx((user @ item.T).amin(1).tolist(), abs=1e-6)
