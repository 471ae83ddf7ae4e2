"""SimpleX against sums over histories written as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from taurec.backbones import SimpleX, simplex
from taurec.data.interactions import Interactions
from taurec.errors import UsageError
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

AGGREGATORS = ("mean", "user_attention", "self_attention", "user_attention padded", "self_attention padded")
LOG = Interactions.from_pairs([0, 0, 0, 1, 3, 3], [0, 2, 4, 1, 0, 3])
"""User 2 has no pair, user 1 a single one."""


def naive(model: SimpleX, user: int, without: int | None = None) -> Tensor:
    """The vector of one user, item by item."""
    table = model.history if hasattr(model, "history") else model.item
    items = [int(i) for i in LOG.indices[LOG.indptr[user] : LOG.indptr[user + 1]] if i != without]
    own = model.user[user]
    pooled = torch.zeros_like(own)
    if model.aggregator == "mean":
        weights = [1 / len(items)] * len(items) if items else []
    else:
        query = own if model.aggregator == "user_attention" else model.query
        logits = [torch.tanh(table[i] @ model.keys + model.key_bias) @ query for i in items]
        total = sum(math.exp(x.item()) for x in logits)
        total += max(int(LOG.user_counts.max()) - 1 - len(items), 0) if model.padded else 0
        weights = [math.exp(x.item()) / total for x in logits]
    for i, w in zip(items, weights, strict=True):
        pooled = pooled + w * table[i]
    return model.gamma * own + (1 - model.gamma) * pooled @ model.values


def how(aggregator: str) -> dict:
    name, *padded = aggregator.split()
    return {"aggregator": name, "padded": bool(padded)}


def built(aggregator: str, **settings) -> SimpleX:
    model = SimpleX(LOG, dim=3, gamma=0.7, init="normal:1", seed=2, **how(aggregator), **settings).double()
    if aggregator != "mean":
        with torch.no_grad():
            model.key_bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return model


@pytest.mark.parametrize("at_once", [1, 3, 1 << 17])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_all_users(aggregator, shared, at_once, monkeypatch) -> None:
    monkeypatch.setattr(simplex, "PAIRS_AT_ONCE", at_once)
    model = built(aggregator, shared=shared)
    e = model.embed()
    expected = torch.stack([naive(model, u) for u in range(LOG.n_users)])
    torch.testing.assert_close(e.user, expected, rtol=1e-12, atol=1e-12)
    assert e.item is model.item
    assert not e.by_row


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_a_row_of_training_leaves_its_own_item_out(aggregator, shared) -> None:
    model = built(aggregator, shared=shared)
    user, item = torch.tensor([3, 0, 1, 0]), torch.tensor([0, 4, 1, 2])
    e = model.embed_pairs(user, item)
    expected = [naive(model, u, i) for u, i in zip(user.tolist(), item.tolist(), strict=True)]
    torch.testing.assert_close(e.user, torch.stack(expected), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(e.user[2], 0.7 * model.user[1])
    assert e.by_row


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_gradients(aggregator) -> None:
    model = built(aggregator, shared=False)
    user, item = torch.tensor([3, 0, 1]), torch.tensor([0, 4, 1])
    parameters = dict(model.named_parameters())

    def of(*values: Tensor) -> Tensor:
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(_Pairs(model), {f"of.{k}": v for k, v in given.items()}, (user, item))

    torch.autograd.gradcheck(of, tuple(parameters.values()))


class _Pairs(torch.nn.Module):
    def __init__(self, of: SimpleX):
        super().__init__()
        self.of = of

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return self.of.embed_pairs(user, item).user


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_bits_do_not_depend_on_threads(aggregator) -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 300, 9000), rng.integers(0, 500, 9000))
    user, item = torch.from_numpy(log.user_of[::7].copy()), torch.from_numpy(log.indices[::7].copy())
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            model = SimpleX(log, dim=16, init="normal:1", **how(aggregator))
            e = model.embed_pairs(user, item)
            e.user.square().sum().backward()
            found.append([e.user.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_all_weight_on_the_user_is_mf() -> None:
    model = SimpleX(LOG, dim=3, gamma=1)
    e = model.embed_pairs(torch.tensor([0]), torch.tensor([0]))
    assert e.user is model.user
    assert not e.by_row


@pytest.mark.parametrize("gamma", [0.7, 1.0])
def test_biases_are_added_to_the_cosine(gamma) -> None:
    model = SimpleX(LOG, dim=3, gamma=gamma, biases=True, init="normal:1", seed=2).double()
    with torch.no_grad():
        model.bias.fill_(0.4)
    user, item = torch.tensor([3, 0, 1]), torch.tensor([0, 4, 1])
    whole, rows = model.embed(), model.embed_pairs(user, item)
    of_row = rows.user if rows.by_row else F.embedding(user, rows.user)
    for b, (u, i) in enumerate(zip(user.tolist(), item.tolist(), strict=True)):
        shift = model.item_bias[i, 0] + model.user_bias[u, 0] + 0.4
        with_it, without = (F.cosine_similarity(naive(model, u, left), model.item[i], dim=0) for left in (None, i))
        torch.testing.assert_close(whole.user[u] @ whole.item[i], with_it + shift)
        torch.testing.assert_close(of_row[b] @ rows.item[i], without + shift)


def test_gradients_of_biases() -> None:
    model = SimpleX(LOG, dim=3, biases=True, init="normal:1").double()
    user, item = torch.tensor([3, 0, 0]), torch.tensor([0, 4, 1])
    e = model.embed_pairs(user, item)
    (e.user * F.embedding(item, e.item)).sum().backward()
    assert model.bias.grad.item() == 3
    assert model.user_bias.grad[:, 0].tolist() == [2, 0, 0, 1]
    assert model.item_bias.grad[:, 0].tolist() == [1, 1, 0, 0, 1]


def test_dropout_leaves_the_users_bias_alone() -> None:
    fields = {"train_score": "dot", "rank_score": "dot", "user_dropout": 0.9}
    trainer = Trainer(resolve(backbone="simplex", loss="ccl", settings={"backbone": {"biases": True}}, **fields), LOG)
    seen = trainer.backbone.embed_pairs(torch.tensor([0, 3]), torch.tensor([0, 3])).user
    mask = trainer.step.forward.dropout_mask(torch.arange(500), seen, 1)
    assert mask.shape[1] == seen.shape[1]
    assert (mask[:, -1] == 1).all()
    assert 0.07 < (mask[:, -2] != 0).float().mean() < 0.13


def test_biases_take_dot_scores() -> None:
    settings = {"backbone": {"biases": True}}
    with pytest.raises(UsageError, match="rank_score='dot'"):
        Trainer(resolve(backbone="simplex", loss="ccl", settings=settings), LOG)
    Trainer(resolve(backbone="simplex", loss="ccl", settings=settings, train_score="dot", rank_score="dot"), LOG)


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="gamma"):
        SimpleX(LOG, gamma=1.5)
    with pytest.raises(UsageError, match="user_attention"):
        SimpleX(LOG, aggregator="user-attention")
    with pytest.raises(UsageError, match="padded is about the softmax"):
        SimpleX(LOG, padded=True)
