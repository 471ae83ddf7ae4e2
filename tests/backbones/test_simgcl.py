"""SimGCL and XSimGCL against dense products and a term written anew, and what holds where there is no noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from taurec import draw
from taurec.backbones import LightGCN, SimGCL, XSimGCL
from taurec.backbones.graph import normalised
from taurec.backbones.perturbed import contrast, perturbation
from taurec.backbones.protocol import Backbone, Rows
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.sampling import InBatchNegatives
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch, Embeddings

BOTH = (SimGCL, XSimGCL)


def random_log(users: int = 9, items: int = 7) -> Interactions:
    known = np.argwhere(np.random.default_rng(1).random((users, items)) < 0.5)
    return Interactions.from_pairs(known[:, 0], known[:, 1])


LOG = random_log()


def batch_of(*rows: int) -> Batch:
    row = torch.tensor(rows)
    user, item = torch.from_numpy(LOG.user_of)[row], torch.from_numpy(LOG.indices.copy())[row]
    return Batch(user, item, row, InBatchNegatives())


BATCH = batch_of(3, 20, 4, 20, 11, 0)
"""Six rows with a pair that occurs twice, so users and items that do."""


def exact(cls: type[Backbone], **settings) -> tuple[Backbone, Tensor]:
    """A backbone in float64 and its dense adjacency."""
    model = cls(LOG, dim=5, **{"layers": 2, "init": "normal:0.5", "seed": 3, **settings}).double()
    model.adjacency.value.copy_(torch.from_numpy(normalised(LOG, "symmetric").data))
    model.begin_step(2, 7)
    return model, torch.from_numpy(normalised(LOG, "symmetric").toarray())


def noise(x: Tensor, eps: float, view: str, layer: int) -> Tensor:
    """The noise of a layer in step 7 of epoch 2, from the random words."""
    stream = draw.key(3, f"{view}:{layer}", 2)
    u = np.empty(x.shape)
    for r, words in enumerate(draw.bits(stream, np.arange(len(x)), 2, start=14)):
        lanes = [(int(w) >> 16 * k) & 0xFFFF for w in words for k in range(4)]
        u[r] = (np.array(lanes[: x.shape[1]]) + 0.5) / 2**16
    return eps * x.sign() * F.normalize(torch.from_numpy(u))


def noisy_layers(a: Tensor, x: Tensor, eps: float, view: str, layers: int = 2) -> list[Tensor]:
    found = []
    for k in range(1, layers + 1):
        x = a @ x
        x = x + noise(x.detach(), eps, view, k)
        found.append(x)
    return found


def info_nce(one: Tensor, two: Tensor, tau: float) -> Tensor:
    total = one.new_zeros(())
    for a in range(len(one)):
        cosines = torch.stack([F.cosine_similarity(one[a], two[b], dim=0) for b in range(len(two))])
        total = total - cosines[a] / tau + torch.logsumexp(cosines / tau, 0)
    return total / len(one)


def by_sides(one: Tensor, two: Tensor, tau: float) -> Tensor:
    users, items = BATCH.user.unique(), BATCH.item.unique() + LOG.n_users
    return info_nce(one[users], two[users], tau) + info_nce(one[items], two[items], tau)


@pytest.mark.parametrize(
    "rows", [None, (BATCH.user, torch.cat([BATCH.item, torch.tensor([0, 6])]))], ids=["all", "some"]
)
def test_the_term_of_simgcl(rows: Rows | None) -> None:
    model, a = exact(SimGCL, eps=0.3, weight=0.4, tau=0.25)
    x = torch.cat([model.user, model.item])
    views = [sum(noisy_layers(a, x, 0.3, f"view {v}")) / 2 for v in (1, 2)]
    expected = 0.4 * by_sides(*views, 0.25)
    found = model.own_term(BATCH, model.embed(rows))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    tables = [model.user, model.item]
    for g, h in zip(torch.autograd.grad(found, tables), torch.autograd.grad(expected, tables), strict=True):
        torch.testing.assert_close(g, h, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("layer", [1, 2])
def test_the_vectors_and_the_term_of_xsimgcl(layer: int) -> None:
    model, a = exact(XSimGCL, eps=0.3, weight=0.4, tau=0.25, contrast_layer=layer)
    layers = noisy_layers(a, torch.cat([model.user, model.item]), 0.3, "view")
    e = model.embed((BATCH.user, BATCH.item))
    torch.testing.assert_close(torch.cat([e.user, e.item]), sum(layers) / 2, rtol=1e-6, atol=1e-8)
    expected = 0.4 * by_sides(sum(layers) / 2, layers[layer - 1], 0.25)
    found, tables = model.own_term(BATCH, e), [model.user, model.item]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    for g, h in zip(torch.autograd.grad(found, tables), torch.autograd.grad(expected, tables), strict=True):
        torch.testing.assert_close(g, h, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("rows", [None, (BATCH.user, BATCH.item)], ids=["all", "some"])
def test_without_noise_it_is_lightgcn_without_layer_0(cls: type[Backbone], layers: int, rows: Rows | None) -> None:
    model = cls(LOG, dim=5, layers=layers, eps=0.0, seed=3)
    plain = LightGCN(LOG, dim=5, layers=layers, combine="weighted", weights=(0.0, *[1 / layers] * layers), seed=3)
    for training in (True, False):
        one, two = (of.train(training).embed(rows) for of in (model, plain))
        for found, expected in zip(vectors(one, rows), vectors(two, rows), strict=True):
            torch.testing.assert_close(found, expected)


def vectors(e: Embeddings, rows: Rows | None) -> tuple[Tensor, Tensor]:
    if rows is None:
        return e.user, e.item
    user, item = e.at or rows
    return e.user[user], e.item[item]


@pytest.mark.parametrize("cls", BOTH)
def test_ranking_is_by_the_pass_without_noise(cls: type[Backbone]) -> None:
    noisy, silent = (cls(LOG, dim=5, eps=eps, seed=3).eval() for eps in (0.5, 0.0))
    assert torch.equal(noisy.embed().user, silent.embed().user)
    assert torch.equal(SimGCL(LOG, dim=5, seed=3).train().embed().item, silent.embed().item)


@pytest.mark.parametrize("cls", BOTH)
def test_a_step_has_its_own_noise(cls: type[Backbone]) -> None:
    model, seen = cls(LOG, dim=5, seed=3), []
    for at in ((1, 1), (1, 2), (2, 1), (1, 1)):
        model.begin_step(*at)
        seen.append(float(model.own_term(BATCH, model.embed()).detach()))
    assert seen[0] == seen[3]
    assert len(set(seen)) == 3


@pytest.mark.parametrize("cls", BOTH)
def test_without_weight_there_is_no_term(cls: type[Backbone]) -> None:
    model = cls(LOG, dim=5, weight=0.0)
    assert model.own_term(BATCH, model.embed()) is None


def test_noise_has_its_length_its_signs_and_no_row_where_there_is_nothing() -> None:
    x = torch.randn(3000, 7, generator=torch.Generator().manual_seed(0))
    x[5] = 0
    d = perturbation(x, 0.3, stream=5, step=2)
    assert torch.equal(d.sign(), x.sign())
    lengths = d.norm(dim=1)
    assert lengths[5] == 0
    torch.testing.assert_close(lengths[torch.arange(3000) != 5], torch.full((2999,), 0.3))
    # Rows of |d| / eps are n / |n| with n uniform: all entries alike on average, sqrt(1/7) = .378 at most.
    assert (d.abs() / 0.3).mean(0).numpy() == pytest.approx(np.full(7, 0.32), abs=0.02)
    some = torch.tensor([2, 2000])
    assert torch.equal(perturbation(x[some], 0.3, 5, 2, some), d[some])


def test_the_contrast_of_equal_views_of_two_orthogonal_nodes() -> None:
    """Cosines 1 and 0: log(1 + exp(-1 / tau))."""
    assert float(contrast(3 * torch.eye(2), torch.eye(2), 0.2)) == pytest.approx(np.log1p(np.exp(-5)), rel=1e-6)


def test_the_trainer_adds_the_term_to_the_loss(monkeypatch) -> None:
    log = planted(n_users=60, n_items=40, seed=1).log
    found = []
    for weight in (0.0, 0.5):
        settings = {"backbone": {"weight": weight, "dim": 8}}
        trainer = Trainer(resolve(loss="sl", backbone="simgcl", negatives="in-batch", settings=settings), log)
        batch = next(trainer.batches(1))
        monkeypatch.setattr(trainer.step.optimizer, "step", lambda *decay: None)
        value, _ = trainer.step(batch, 1, 1)
        found.append((value, trainer.backbone.user.grad))
    term = trainer.backbone.own_term(batch, trainer.backbone.embed())
    assert found[1][0] - found[0][0] == pytest.approx(float(term.detach()), rel=1e-4)
    (gradient,) = torch.autograd.grad(term, [trainer.backbone.user])
    torch.testing.assert_close(found[1][1] - found[0][1], gradient, rtol=1e-3, atol=1e-6)


class PlainWithTerm(Backbone):
    """A plain backbone that breaks the contract."""

    plain = True

    def __init__(self, train: Interactions, /, dim: int = 4, seed: int = 0):
        super().__init__(train, dim, "xavier_uniform", seed)

    def embed(self, rows: Rows | None = None) -> Embeddings:
        return Embeddings(self.user, self.item, self.user, self.item)

    def own_term(self, batch: Batch, embeddings: Embeddings) -> Tensor:
        return embeddings.user.square().sum()


def test_a_term_of_a_plain_backbone_is_refused() -> None:
    trainer = Trainer(resolve(loss="sl", backbone=PlainWithTerm), planted(n_users=60, n_items=40, seed=1).log)
    with pytest.raises(UsageError, match="declare plain = False"):
        trainer.step(next(trainer.batches(1)), 1, 1)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": 0}, "at least 1, got 0"),
        ({"eps": -0.1}, "eps is a finite number"),
        ({"weight": float("inf")}, "weight is a finite number"),
        ({"tau": 0.0}, "tau is a temperature above 0"),
    ],
)
def test_wrong_settings_are_refused(cls: type[Backbone], settings: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cls(LOG, **settings)


def test_the_contrasted_layer_is_one_of_the_layers() -> None:
    for layer in (0, 3):
        with pytest.raises(UsageError, match="from 1 to layers=2"):
            XSimGCL(LOG, layers=2, contrast_layer=layer)
