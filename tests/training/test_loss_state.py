"""What training remembers reaches the loss, follows its rules, and survives a stop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.losses import SL, TCE
from taurec.losses.denoising import DropRate
from taurec.sampling import Layout
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

PARTS = split(planted(n_users=80, n_items=60, n_groups=4, seed=3).log, "ratio", valid=0.15, test=0.15, seed=0)
SMALL = {"epochs": 4, "batch_size": 64, "negatives": "uniform:8", "lr": 0.05}
LOSSES = {
    "adap-tau": {"warmup": 2, "gap": 0.2},
    "sl-at-k": {"refresh_every": 1, "samples": 20, "k": 3},
    "t-ce": {"gradual_steps": 20, "max_drop_rate": 0.5},
    "talos": {"k": 5, "threshold_lr": 0.01},
    "bc": {"pop_epochs": 2, "pop_lr": 0.05},
    "drrl": {"margin": 0.2, "neg_weight": 20.0, "margin_lr": 0.01},
    "sogclr": {"rate": 0.3},
}


def trainer(loss: str, settings: dict | None = None, **fields) -> Trainer:
    settings = {"loss": LOSSES[loss] if settings is None else settings, "backbone": {"dim": 8}}
    return Trainer(resolve(**{**SMALL, "loss": loss, **fields}, settings=settings), PARTS.train, PARTS.valid)


def test_most_losses_need_nothing() -> None:
    assert SL().state(PARTS.train, 0) is None
    assert Trainer(resolve(loss="sl", **SMALL), PARTS.train).step.loss_state is None


def test_the_drop_rate_grows_with_the_steps() -> None:
    side = DropRate(TCE(max_drop_rate=0.4, gradual_steps=2))
    rows = Batch(*(torch.zeros(3, dtype=torch.int64),) * 3, Layout())
    seen = []
    for _ in range(4):
        seen.append(side.side(rows)["drop_rate"].tolist())
        side.observe(rows, torch.zeros(3), None)
    assert seen == [pytest.approx([rate] * 3) for rate in (0.0, 0.2, 0.4, 0.4)]


def test_every_row_gets_what_belongs_to_its_user() -> None:
    t = trainer("adap-tau", {"gap": 0.2}, epochs=2)
    t.fit()
    assert t.step.loss_state is not None
    batch = next(t.batches(1))
    tau = t.step.loss_state.side(batch)["tau"]
    assert tau.tolist() == [float(t.step.loss_state.tau[u]) for u in batch.user]
    assert len(set(tau.tolist())) > 10


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", ["in-batch", "uniform:8", "shared:8", "full"])
@pytest.mark.parametrize("kernel", ["torch", "auto"])
def test_every_layout_trains(loss: str, layout: str, kernel: str) -> None:
    found = trainer(loss, negatives=layout, kernel=kernel, epochs=2).fit()
    assert all(np.isfinite(r.loss) for r in found.records)


@pytest.mark.parametrize("loss", LOSSES)
def test_stopped_after_any_epoch_it_ends_with_the_same_bits(loss: str, tmp_path) -> None:
    settings = {**LOSSES[loss], "refresh_every": 2} if loss == "sl-at-k" else LOSSES[loss]
    whole, path = trainer(loss, settings).fit(), tmp_path / "run.safetensors"
    found = whole
    for _ in range(4):
        found = trainer(loss, settings).fit(path, every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert [(r.loss, r.metrics) for r in found.records] == [(r.loss, r.metrics) for r in whole.records]


@pytest.mark.parametrize(
    ("loss", "other"), [("adap-tau", {"beta": 5.0}), ("sl-at-k", {"k": 30}), ("t-ce", {}), ("talos", {"learn": False})]
)
def test_the_state_moves_the_model(loss: str, other: dict) -> None:
    """A setting that only the state reads changes what is learned."""
    base = {**LOSSES, "adap-tau": {"beta": 0.2}, "sl-at-k": {"k": 2, "refresh_every": 1}}[loss]
    one = trainer(loss, base).fit().ranker.item
    two = trainer(loss, {**({} if loss in ("adap-tau", "t-ce") else base), **other}).fit().ranker.item
    assert not np.array_equal(one, two)


def test_dropout_is_off_where_the_vectors_are_looked_at() -> None:
    settings = {"loss": {"warmup": 0}, "backbone": {"dim": 8, "layers": 1, "edge_dropout": 0.5}}
    run = resolve(loss="adap-tau", backbone="lightgcn", **SMALL, settings=settings)
    t = Trainer(run, PARTS.train)
    t.backbone.train()
    user, item = t.vectors()
    e = t.backbone.eval().embed()
    assert torch.allclose(user, F.normalize(e.user, dim=1))
    assert torch.allclose(item, F.normalize(e.item, dim=1))


def test_tables_whose_rows_come_late() -> None:
    """The side inputs go by users, not by their places among the rows of a step; vectors are up to date."""
    t = trainer("adap-tau", batch_size=4, negatives="uniform:1", kernel="auto")
    assert t.step.loss_state is not None
    asked, given = [], t.step.loss_state.side
    t.step.loss_state.side = lambda batch: asked.append(batch.user) or given(batch)  # type: ignore[method-assign]
    batches = [batch for _, batch in zip(range(3), t.batches(1), strict=False)]
    for number, batch in enumerate(batches, start=1):
        t.step(batch, 1, number)
    assert all(torch.equal(a, b.user) for a, b in zip(asked, batches, strict=True))
    user, item = t.vectors()
    t.step.settle()
    assert torch.allclose(user, F.normalize(t.backbone.user, dim=1))
    assert torch.allclose(item, F.normalize(t.backbone.item, dim=1))
