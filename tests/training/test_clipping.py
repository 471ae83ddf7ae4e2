"""Clipping against torch's, on every way in which a step moves its tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taurec import kernels
from taurec.data.planted import planted
from taurec.kernels.unit_rows import unit_rows
from taurec.training import plain, step
from taurec.training.clipping import clip
from taurec.training.plain import TableUpdates
from taurec.training.presets import resolve
from taurec.training.tables import UnitAdamTable
from taurec.training.trainer import Trainer

compiled = pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")
LOG = planted(n_users=150, n_items=120, seed=3, per_user=9).log
MF = {"epochs": 1, "batch_size": 32, "lr": 0.02, "loss": "ccl:0.2:20", "clip_norm": 1.0, "kernel": "numba"}
INIT = {"backbone": {"dim": 16, "init": "normal:0.01"}}


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_it_is_that_of_torch(limit) -> None:
    t = torch.Generator().manual_seed(0)
    mine = [torch.randn(shape, generator=t) for shape in ((70, 33), (5,), (1, 1))]
    theirs = [torch.nn.Parameter(torch.zeros_like(g)) for g in mine]
    for p, g in zip(theirs, mine, strict=True):
        p.grad = g.clone()
    length = torch.nn.utils.clip_grad_norm_(theirs, limit)
    assert clip(limit, mine) == pytest.approx(float(length), rel=1e-6)
    for p, g in zip(theirs, mine, strict=True):
        torch.testing.assert_close(g, p.grad)


def test_what_is_not_finite_is_left_to_be_told() -> None:
    gradients = [torch.tensor([1.0, math.nan])]
    assert math.isnan(clip(0.1, gradients))
    assert gradients[0][0] == 1


@compiled
@pytest.mark.parametrize("dim", [5, 64])
def test_a_unit_table_is_measured_as_its_rows(dim) -> None:
    t = torch.Generator().manual_seed(dim)
    w = torch.randn((700, dim), generator=t)
    w[3] = 0
    table = UnitAdamTable(w.clone(), torch.zeros_like(w), torch.zeros_like(w), lr=0.1)
    table.gradient.copy_(torch.randn(w.shape, generator=t))
    exact = w.double().requires_grad_()
    (unit_rows(exact) * table.gradient).sum().backward()
    assert table.squared_norm() == pytest.approx(float(exact.grad.square().sum()), rel=1e-5)
    table.gradient[9, 1] = math.inf
    assert not math.isfinite(table.squared_norm())


def fitted(monkeypatch, ways: TableUpdates | None, **fields) -> tuple[list[np.ndarray], list[float], TableUpdates]:
    lengths: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(step, "clip", lambda *given: lengths.append(clip(*given)))
        if ways is not None:
            patch.setattr(plain, "table_updates", lambda *shapes: ways)
        t = Trainer(resolve(settings=INIT, **{**MF, **fields}), LOG)
        trained = t.fit()
    return [trained.ranker.user, trained.ranker.item], lengths, t.step.tables.updates


@compiled
@pytest.mark.parametrize("l2", [{}, {"l2": 1e-11, "l2_mode": "tables"}, {"l2": 1e-3, "l2_mode": "gathered"}])
@pytest.mark.parametrize(("negatives", "item"), [("uniform:80", "unit"), ("in-batch", "sparse")])
def test_all_ways_measure_and_scale_alike(negatives, item, l2, monkeypatch) -> None:
    fields = {"negatives": negatives, **l2, "batch_size": 32 if item == "unit" else 16}
    mine, lengths, took = fitted(monkeypatch, None, **fields)
    whole, expected, _ = fitted(monkeypatch, TableUpdates("whole", "whole"), **fields)
    free, _, _ = fitted(monkeypatch, None, **fields | {"clip_norm": 0.0})
    assert took == ("sparse", item)
    assert max(lengths) > 1
    assert lengths == pytest.approx(expected, rel=1e-3)
    for a, b, c in zip(mine, whole, free, strict=True):
        assert np.quantile(np.abs(a - b), 0.99) <= 1e-3 * np.abs(b).max()
        assert np.quantile(np.abs(a - c), 0.5) > 1e-2 * np.abs(b).max()


@compiled
def test_bits_do_not_depend_on_threads() -> None:
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            fields = {**MF, "negatives": "uniform:80", "threads": n}
            found.append(Trainer(resolve(settings=INIT, **fields), LOG).fit().ranker)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0].item, found[1].item)
    assert np.array_equal(found[0].user, found[1].user)


def test_a_backbone_with_layers_is_clipped_too() -> None:
    fields = {**MF, "backbone": "lightgcn", "negatives": "in-batch", "kernel": "auto"}
    free, clipped = (Trainer(resolve(settings=INIT, **fields | {"clip_norm": c}), LOG).fit() for c in (0.0, 0.5))
    assert not np.allclose(free.ranker.item, clipped.ranker.item, rtol=1e-3)


def test_the_first_gradients_of_small_vectors_are_long(monkeypatch) -> None:
    """What clipping is for, as docs/training.md says it."""
    lengths: list[float] = []
    monkeypatch.setattr(step, "clip", lambda *given: lengths.append(clip(*given)))
    settings = {"backbone": {"dim": 64, "init": "normal:0.0001"}}
    Trainer(resolve(settings=settings, **MF | {"lr": 1e-3, "clip_norm": 1e9, "negatives": "uniform:80"}), LOG).fit()
    assert lengths[0] > 10 * lengths[30]
