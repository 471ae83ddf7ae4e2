"""AdvInfoNCE and its adversary: published values, SSM as a case, and which way the adversary moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.losses import SSM, AdvInfoNCE
from taurec.losses.adversarial import Adversary
from taurec.sampling import Layout
from taurec.sampling.layouts import PerRowNegatives, SharedNegatives
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

LOGITS = [[0.2, 0.5, 0.1], [0.9, 0.1, 0.3], [0.4, 0.4, 0.4], [0.0, 0.1, 0.8]]
LOG = planted(n_users=60, n_items=40, n_groups=4, seed=3).log


def test_golden(rows) -> None:
    logits = torch.tensor(LOGITS, dtype=rows.pos.dtype)
    for k_neg, mean in ((1.0, 1.834427202565476), (64.0, 5.688679133397368)):
        value = AdvInfoNCE(tau=0.2, k_neg=k_neg)(rows.pos, rows.neg, log_weight=logits)
        assert value.mean().item() == pytest.approx(mean, **rows.tol)


def test_by_hand(exact) -> None:
    """Row 0 at tau .2, k 64: three negatives, weights by the softmax of .2, .5, .1."""
    e = [math.exp(x) for x in LOGITS[0]]
    negatives = sum(x / sum(e) * math.exp(n / 0.2) for x, n in zip(e, (0.1, -0.3, 0.85), strict=True))
    expected = -math.log(math.exp(4.5) / (math.exp(4.5) + 64 * 3 * negatives))
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    value = AdvInfoNCE(tau=0.2)(exact.pos, exact.neg, log_weight=logits)
    assert value[0].item() == pytest.approx(expected, abs=1e-13)


def test_equal_weights_are_ssm_and_a_shift_of_logits_changes_nothing(exact) -> None:
    loss = AdvInfoNCE(tau=0.2, k_neg=1.0)
    equal = loss(exact.pos, exact.neg, log_weight=torch.full_like(exact.neg, 5.0))
    torch.testing.assert_close(equal, SSM(0.2)(exact.pos, exact.neg), rtol=0, atol=1e-13)
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    shifted = loss(exact.pos, exact.neg, log_weight=logits + 7)
    torch.testing.assert_close(shifted, loss(exact.pos, exact.neg, log_weight=logits), rtol=0, atol=1e-13)


def test_only_negatives_that_are_present_share_the_weight(exact) -> None:
    loss = AdvInfoNCE(tau=0.2)
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    without = loss(exact.pos, exact.neg[:, :2], log_weight=logits[:, :2])
    gone = exact.neg.index_fill(1, torch.tensor([2]), -torch.inf)
    torch.testing.assert_close(loss(exact.pos, gone, log_weight=logits), without, rtol=0, atol=1e-13)


def trainer(**fields) -> Trainer:
    settings = {"loss": {"dim": 4, "adversary_lr": 0.01, **fields.pop("loss", {})}, "backbone": {"dim": 8}}
    given = {"epochs": 4, "batch_size": 64, "negatives": "uniform:8", **fields}
    return Trainer(resolve(loss="adv-infonce", settings=settings, **given), LOG)


def batch(negatives: Layout) -> Batch:
    return Batch(torch.tensor([0, 5]), torch.tensor([1, 2]), torch.arange(2), negatives)


def test_the_logits_are_inner_products() -> None:
    state = Adversary(AdvInfoNCE(dim=4), LOG, seed=1)
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    by_hand = [
        [float(state.user.data[u] @ state.item.data[i]) for i in row]
        for u, row in zip((0, 5), ids.tolist(), strict=True)
    ]
    each = state.side(batch(PerRowNegatives(ids=ids)))["log_weight"]
    np.testing.assert_allclose(each.tolist(), by_hand, atol=1e-6)
    shared = state.side(batch(SharedNegatives(ids=ids[0])))["log_weight"]
    assert shared.shape == (2, 3)
    np.testing.assert_allclose(shared[0].tolist(), by_hand[0], atol=1e-6)
    with pytest.raises(UsageError, match="items of Layout are not known"):
        state.side(batch(Layout()))


@pytest.mark.parametrize(
    ("interval", "number", "epochs"), [(5, 3, [3, 8, 13]), (1, 2, [2, 3]), (4, 2, [2, 6]), (3, 1, [4])]
)
def test_adversarial_epochs(interval: int, number: int, epochs: list[int]) -> None:
    assert list(Adversary(AdvInfoNCE(interval=interval, adversarial_epochs=number), LOG).epochs()) == epochs


def test_the_adversary_raises_the_loss_that_the_model_lowers(exact) -> None:
    """A step along its gradient, as Adam makes it, raises the loss; the scores' gradient is the usual one."""
    loss = AdvInfoNCE(tau=0.2, dim=4)
    state = Adversary(loss, LOG, seed=1)
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    pos, neg = exact.pos[:2].float().requires_grad_(), exact.neg[:2].float()
    rows = batch(PerRowNegatives(ids=ids))

    def value() -> torch.Tensor:
        return loss(pos, neg, **state.side(rows)).mean()

    state.begin_epoch(2, lambda: (pos, pos))
    assert not state.side(rows)["log_weight"].requires_grad
    before = value().item()
    state.begin_epoch(3, lambda: (pos, pos))
    assert value().item() == before
    dpos, duser = torch.autograd.grad(value(), [pos, state.user])
    assert (dpos < 0).all()
    state.user.data -= 0.5 * duser
    assert value().item() > before


def test_it_moves_in_its_epochs_only_and_away_from_equal_weights() -> None:
    one = trainer(epochs=2)
    one.fit()
    start = Adversary(AdvInfoNCE(dim=4), LOG, seed=0)
    assert torch.equal(one.step.loss_state.user, start.user)
    two = trainer(epochs=4)
    two.fit()
    assert not torch.equal(two.step.loss_state.user, start.user)
    last, third = two, trainer(epochs=3)
    third.fit()
    assert torch.equal(last.step.loss_state.item, third.step.loss_state.item)


@pytest.mark.parametrize("negatives", ["in-batch", "shared:8"])
def test_other_layouts_train(negatives: str) -> None:
    assert all(np.isfinite(r.loss) for r in trainer(negatives=negatives).fit().records)


def test_stopped_after_any_epoch_it_ends_with_the_same_bits(tmp_path) -> None:
    whole, path = trainer(), tmp_path / "run.safetensors"
    expected = whole.fit()
    for _ in range(4):
        part = trainer()
        found = part.fit(path, every=0.0, seconds=0.0)
    assert found.finished
    assert np.array_equal(found.ranker.user, expected.ranker.user)
    assert torch.equal(part.step.loss_state.user, whole.step.loss_state.user)


def test_what_is_refused(exact) -> None:
    with pytest.raises(UsageError, match="AdvInfoNCE: interval must be a finite number of at least 1"):
        AdvInfoNCE(interval=0)
    with pytest.raises(UsageError, match="AdvInfoNCE needs log_weight"):
        AdvInfoNCE()(exact.pos, exact.neg)
